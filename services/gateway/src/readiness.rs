//! Whether new connections can be served now, and why not: the state behind `/readyz` and behind every handshake.

use tokio::sync::watch;

use crate::error::ApiError;

/// Why new connections cannot be served now; nothing if they can.
#[derive(Debug, Default)]
pub(crate) struct Readiness(watch::Sender<Option<ApiError>>);

impl Readiness {
    /// The error that a new connection is refused with now, if it is.
    pub(crate) fn error(&self) -> Option<ApiError> {
        self.0.borrow().clone()
    }

    /// Waits until new connections cannot be served.
    pub(crate) async fn lost(&self) -> ApiError {
        let mut error = self.0.subscribe();
        let found = error.wait_for(Option::is_some).await.ok().and_then(|error| error.clone());
        match found {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn set(&self, error: Option<ApiError>) {
        self.0.send_if_modified(|known| {
            let is_new = *known != error;
            *known = error;
            is_new
        });
    }
}
