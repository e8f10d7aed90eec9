//! Fetches a key set over HTTP or HTTPS.
//!
//! The server is configured, but its answers are not trusted: time and size are bounded. Redirects are not followed,
//! since they could lead to any other host.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use crate::jwks::KeySetError;
use crate::jwks_refresh::KeySource;
use crate::trust::{Trust, TrustError};

/// The largest answer, in bytes. Usual key sets have a few kilobytes.
const MAX_BODY: usize = 256 * 1024;

/// The URL of a key set.
pub struct HttpKeySource {
    url: Uri,
    timeout: Duration,
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl HttpKeySource {
    /// Creates a source that waits at most `timeout` for a complete answer. Certificates are verified with the system's
    /// roots.
    pub fn new(url: Uri, timeout: Duration) -> Result<Self, TrustError> {
        let trust = if url.scheme_str() == Some("https") { Trust::System } else { Trust::Nobody };
        let tls = trust.client_config()?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        // Idle connections are not kept: fetches are minutes apart.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        Ok(Self { url, timeout, client })
    }

    async fn get(&self) -> Result<Vec<u8>, FetchError> {
        let mut request = Request::new(Empty::new());
        request.uri_mut().clone_from(&self.url);
        request.headers_mut().insert(ACCEPT, http::HeaderValue::from_static("application/json"));
        let response =
            self.client.request(request).await.map_err(|error| FetchError::Exchange(error.into()))?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BODY).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { FetchError::TooLarge } else { FetchError::Exchange(error) }
        })?;
        Ok(body.to_bytes().into())
    }
}

#[async_trait]
impl KeySource for HttpKeySource {
    fn name(&self) -> String {
        self.url.to_string()
    }

    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        match tokio::time::timeout(self.timeout, self.get()).await {
            Ok(fetched) => fetched,
            Err(_) => Err(FetchError::Timeout(self.timeout)),
        }
    }
}

/// Why keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No complete answer arrived in time.
    #[error("there was no whole answer within {0:?}")]
    Timeout(Duration),
    /// The connection failed or broke.
    #[error("the exchange failed")]
    Exchange(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer has another status, for instance a redirect.
    #[error("the answer is {0}, expected 200 OK")]
    Status(StatusCode),
    /// The answer is too large.
    #[error("the answer has more than {MAX_BODY} bytes")]
    TooLarge,
    /// The answer is not a key set.
    #[error(transparent)]
    Set(#[from] KeySetError),
}
