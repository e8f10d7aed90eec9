//! One HTTP request and its answer, to a server that is not trusted.
//!
//! The name is resolved once, each of its addresses is checked, and exactly the checked one is connected to, so that a
//! name server cannot say one thing to the check and another to the connection. Time, the head of the answer, and what
//! is read of its body are bounded. No redirect is followed, since it could lead anywhere.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tower::Service;

use crate::Failed;
use crate::channel::causes_of;
use crate::reach::Reach;
use crate::resolve::Resolve;

/// Bytes of an answer's head.
const MAX_HEAD: usize = 16 * 1024;
/// Bytes that are read of an answer's body.
const MAX_BODY: usize = 16 * 1024;
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;
/// The time for one of them, so that a dead one leaves time for the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Connections are used again for a while: most requests of a channel go to few servers.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_PER_HOST: usize = 8;

const PRODUCT: HeaderValue = HeaderValue::from_static(concat!("Tidings/", env!("CARGO_PKG_VERSION")));

/// Sends requests.
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    timeout: Duration,
}

/// What a server answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    /// The beginning of the body.
    body: Vec<u8>,
}

impl HttpClient {
    /// Creates a client that connects within `reach`, or anywhere without one, and waits at most `timeout`.
    pub(crate) fn new(
        tls: ClientConfig,
        reach: Option<Reach>,
        resolver: Arc<dyn Resolve>,
        timeout: Duration,
    ) -> Self {
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector { resolver, reach });
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .http1_max_buf_size(MAX_HEAD)
            .build(connector);
        Self { client, timeout }
    }

    /// Sends a request. A server that has answered with a status has answered: what breaks afterwards only shortens the
    /// body.
    pub(crate) async fn send(&self, mut request: Request<Full<Bytes>>) -> Result<Answer, Failed> {
        let deadline = Instant::now() + self.timeout;
        request.headers_mut().insert(USER_AGENT, PRODUCT);
        let response = match timeout_at(deadline, self.client.request(request)).await {
            Ok(response) => response.map_err(|error| failed(&error))?,
            Err(_) => return Err(Failed::later(format!("there was no answer within {:?}", self.timeout))),
        };
        let (head, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        while body.len() < MAX_BODY
            && let Ok(Some(Ok(frame))) = timeout_at(deadline, incoming.frame()).await
        {
            let data = frame.data_ref().map(|data| data.get(..MAX_BODY - body.len()).unwrap_or(data));
            body.extend_from_slice(data.unwrap_or_default());
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

impl Answer {
    /// The failure of an attempt that may be repeated, with the time that the server asks to wait for.
    pub(crate) fn later(&self) -> Failed {
        self.later_because(self.reason())
    }

    /// The same with a reason that says more.
    pub(crate) fn later_because(&self, reason: String) -> Failed {
        Failed::Later { reason, retry_after: self.header(RETRY_AFTER.as_str()).and_then(retry_after) }
    }

    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the beginning of the body.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The answer as the reason of a failure. The body is not part of it: it may be of any kind, and for anybody's eyes.
    pub(crate) fn reason(&self) -> String {
        format!("the answer is {}, expected 2xx", self.status)
    }
}

/// Reads a number of seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(std::time::SystemTime::now()).ok()
}

/// The failure of an exchange.
fn failed(error: &hyper_util::client::legacy::Error) -> Failed {
    let first: &(dyn Error + 'static) = error;
    let mut causes = std::iter::successors(Some(first), |error| (*error).source());
    match causes.find_map(|cause| cause.downcast_ref::<Forbidden>()) {
        Some(forbidden) => Failed::never(forbidden.to_string()),
        None => Failed::later(format!("the exchange failed: {}", causes_of(error))),
    }
}

/// Reads the URL of a target.
pub(crate) fn checked_url(text: &str, allow_http: bool) -> Result<Uri, Failed> {
    let url = text.parse::<Uri>().ok().filter(|url| {
        let is_secure = url.scheme_str() == Some("https") || allow_http && url.scheme_str() == Some("http");
        let names_user = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
        is_secure && !names_user && url.host().is_some_and(|host| !host.is_empty())
    });
    // The URL is not shown: parts of it may be secret.
    url.ok_or_else(|| {
        let schemes = if allow_http { "https:// or http://" } else { "https://" };
        Failed::never(format!(
            "the target has no URL that can be used; expected {schemes} and a host, without a user"
        ))
    })
}

/// Opens connections to permitted addresses.
#[derive(Clone)]
struct Connector {
    resolver: Arc<dyn Resolve>,
    reach: Option<Reach>,
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, Box<dyn Error + Send + Sync>> {
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let mut addresses = match host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self.resolver.resolve(host).await?,
        };
        if let Some(reach) = &self.reach
            && !addresses.is_empty()
        {
            addresses.retain(|address| reach.permits(*address));
            if addresses.is_empty() {
                return Err(Forbidden { host: host.to_owned() }.into());
            }
        }
        let mut last = format!("{host} has no address");
        for address in addresses.into_iter().take(MAX_ADDRESSES) {
            match timeout(CONNECT_TIMEOUT, TcpStream::connect((address, port))).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    return Ok(TokioIo::new(stream));
                }
                Ok(Err(error)) => last = format!("{host} refuses the connection ({error})"),
                Err(_) => last = format!("{host} does not take the connection within {CONNECT_TIMEOUT:?}"),
            }
        }
        Err(last.into())
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// All addresses of a host are forbidden. It does not name them: whoever chose the host would learn about the network.
#[derive(Debug)]
struct Forbidden {
    host: String,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} leads to no address that may be reached; expected a public one, or one of `allowed_networks`",
            self.host
        )
    }
}

impl Error for Forbidden {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_to_wait_is_a_number_or_a_date() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        let date = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3_600));
        assert!(retry_after(&date).is_some_and(|wait| (3_500..=3_600).contains(&wait.as_secs())), "{date}");
        for text in ["", "soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(retry_after(text), None, "{text:?}");
        }
    }
}
