//! Envelopes that are made anew, and tenants that move: the command's part of it.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, helper functions included")]

mod dry_run;
mod following;
mod kitchen;
mod moving;
mod requests;
mod whole;
