//! The loss of a connection after which another attempt makes sense.

use std::time::Duration;

/// Why the connection was lost, if another attempt makes sense.
pub(super) struct Interruption {
    pub(super) what: String,
    /// The minimum wait before the next attempt.
    pub(super) after: Option<Duration>,
}

impl Interruption {
    pub(super) fn new(what: String) -> Self {
        Self { what, after: None }
    }
}
