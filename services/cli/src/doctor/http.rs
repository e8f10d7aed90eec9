//! Requests to gateways and to the monitoring of nats-servers. Whoever asks bounds the time; here the size is bounded.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, HttpInfo};
use hyper_util::rt::TokioExecutor;
use tidings_access::{Trust, TrustError};

use crate::failure::Failure;

/// The longest answer, in bytes.
const MOST: usize = 4 * 1024 * 1024;

/// Sends requests.
#[derive(Clone)]
pub(super) struct Http(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

/// An answer whose body is not read yet.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The address of this machine on the connection.
    pub(super) own: Option<IpAddr>,
    body: hyper::body::Incoming,
}

impl Http {
    pub(super) fn new(trust: Trust<'_>) -> Result<Self, TrustError> {
        let tls = trust.client_config()?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Ok(Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector)))
    }

    pub(super) async fn get(
        &self,
        url: &str,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
    ) -> Result<Answer, Failure> {
        let mut request = Request::get(url).body(Empty::new())?;
        request.headers_mut().extend(headers);
        let answer = self.0.request(request).await?;
        let own = answer.extensions().get::<HttpInfo>().map(|info| info.local_addr().ip());
        let (head, body) = answer.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, own, body })
    }
}

impl Answer {
    /// The whole body.
    pub(super) async fn text(mut self) -> Result<Vec<u8>, Failure> {
        let mut text = Vec::new();
        while self.more(&mut text).await? {}
        Ok(text)
    }

    /// The body up to a blank line behind this text; what there was, if it ends before.
    pub(super) async fn until(&mut self, part: &str) -> Result<String, Failure> {
        let mut text = Vec::new();
        loop {
            let read = String::from_utf8_lossy(&text);
            if let Some((_, behind)) = read.split_once(part)
                && let Some((found, _)) = behind.split_once("\n\n")
            {
                return Ok(found.to_owned());
            }
            if !self.more(&mut text).await? {
                return Err(format!("it ended without {part:?}").into());
            }
        }
    }

    async fn more(&mut self, text: &mut Vec<u8>) -> Result<bool, Failure> {
        let Some(frame) = self.body.frame().await else { return Ok(false) };
        if let Ok(data) = frame?.into_data() {
            text.extend_from_slice(&data);
        }
        if text.len() > MOST {
            return Err(format!("the answer has more than {MOST} bytes").into());
        }
        Ok(true)
    }
}
