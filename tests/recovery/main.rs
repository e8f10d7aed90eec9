//! What lies in NATS is not what it should be: records that cannot be read, streams that are gone or other ones, servers
//! that are away or too old.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]

mod backups;
mod delivery_backups;
mod ends;
mod missing;
mod notices;
mod records;
mod rollbacks;
mod scheduled_backups;
mod site;
mod start;
