//! A producer against real nats-servers.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]

mod blocking;
mod end_to_end;
mod outage;
mod permissions;
mod refusal;
mod storing;
mod support;
mod trace;
mod typed;

/// What `tidings-producer-build` generates of the five systems' catalogs; its own test keeps it up to date.
mod generated {
    include!("../generated/cnc.rs");
    include!("../generated/documents.rs");
    include!("../generated/ops.rs");
    include!("../generated/shelter.rs");
    include!("../generated/uploads.rs");
}
