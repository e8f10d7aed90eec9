//! Faults on request, for tests of what a gateway does when a worker fails. Not in release builds.

use std::io;

use super::Worker;
use crate::error::WorkerError;

/// Names a fault and the user whose connection causes it, as in `panic:eve` or `poll:eve`.
const VARIABLE: &str = "GATEWAY_WORKER_FAULT";

impl Worker {
    /// Fails, if a test wants it for a connection of this user.
    #[expect(clippy::panic, reason = "a test wants to see what comes of it")]
    pub(super) fn fail_on_request(&self, user: &str) {
        let requested = std::env::var(VARIABLE).unwrap_or_default();
        match requested.split_once(':') {
            Some(("panic", of)) if of == user => panic!("{VARIABLE}={requested}"),
            Some(("poll", of)) if of == user => {
                let error = WorkerError::Poll(io::Error::other(format!("{VARIABLE}={requested}")));
                self.failure.error.replace(Some(error));
                self.failure.occurred.notify_one();
            }
            _ => {}
        }
    }
}
