//! Who hears what: everybody of every tenant at once, with ids that try to be more than ids.
//!
//! Each publication states whom its contract addresses, each listener what its token says; who hears is then a
//! comparison of texts, which knows nothing of subjects, encodings, keys or catalogs. All that a listener receives
//! is compared, in order: live, after its token was exchanged, and on return.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers fail a test by panicking")]

mod ids;
mod listeners;
mod matrix;
mod publications;
mod refused;
