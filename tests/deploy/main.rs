//! The deployment as shipped: everything from the folder `deploy`, made by the real `nsc`; what each credential can reach;
//! and how processes connect to NATS.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers fail a test by panicking"
)]

mod accounts;
mod deployment;
mod doctor;
mod duties;
mod hostile;
mod logins;
mod proxies;
mod restores;
mod routes;
mod servers;
mod shipped;
