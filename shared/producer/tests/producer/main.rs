//! A producer against real nats-servers.

mod blocking;
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
