//! Handshakes that are refused by a Close.
//!
//! A browser shows a page no status of a refused handshake, only 1006, as if the network were down. A client that asks for it
//! (`refusals=close`) is therefore accepted and closed at once, with a code that says why and what to do. That costs a socket
//! for a moment, so there are only so many at a time; the others see the status alone.
//!
//! A foreign page must not learn whether its visitor has a cookie here: where it might, it sees the status alone, too.

use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tidings_protocol::framing;
use tokio::io::{AsyncWriteExt as _, copy, sink};
use tokio::time::timeout;

use super::Endpoint;
use super::handshake::{Handshake, wants_close};
use crate::error::{ApiCode, ApiError};

/// How long a client may take to answer the Close.
const CLOSING_TIME: Duration = Duration::from_millis(700);

impl Endpoint {
    /// Refuses a handshake, by a Close if its client wants that and may have it; `None` if the status is the answer.
    pub(super) fn refuse_by_close(
        &self,
        request: &Parts,
        upgrade: OnUpgrade,
        error: &ApiError,
    ) -> Option<Response> {
        let headers = self.closing_answer(request, error)?;
        let permit = self.refusals.clone().try_acquire_owned().ok()?;
        let (code, reason) = error.close();
        let close = framing::close(code, &reason);
        self.upgrades.spawn(async move {
            let _permit = permit;
            let closing = async {
                let mut stream = TokioIo::new(upgrade.await.ok()?);
                stream.write_all(&close).await.ok()?;
                // What the client still sends is read, so that no reset overtakes the Close.
                stream.shutdown().await.ok()?;
                copy(&mut stream, &mut sink()).await.ok()
            };
            let _ = timeout(CLOSING_TIME, closing).await;
        });
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *response.headers_mut() = headers;
        Some(response)
    }

    /// The headers of the answer, if the client may be refused by a Close.
    fn closing_answer(&self, request: &Parts, error: &ApiError) -> Option<HeaderMap> {
        if !wants_close(request.uri.query()) {
            return None;
        }
        let authenticator = &self.context.authenticator;
        let tells_of_cookies =
            matches!(error.code(), ApiCode::TokenMissing | ApiCode::OriginMissing | ApiCode::OriginForeign);
        if tells_of_cookies && !authenticator.is_own_page(request) {
            return None;
        }
        let (_, _, headers) =
            Handshake::read(request).ok()?.answer(authenticator.takes_subprotocols(), false);
        Some(headers)
    }
}
