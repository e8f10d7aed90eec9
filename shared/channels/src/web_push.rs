//! Web push: notifications of browsers, by the push services of their vendors (RFC 8030).
//!
//! The push service learns neither what is sent nor for which user; it is told how long to keep it, how urgent it is, and
//! what it replaces.

mod encryption;
mod vapid;

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{Request, Uri};
use http_body_util::Full;
use tidings_runtime::config::WebPushConfig;

use crate::channel::misdirected;
use crate::exchange::{HttpClient, checked_url};
use crate::reach::Reach;
use crate::resolve::SystemResolver;
use crate::setup::{needed, trust};
use crate::{Accepted, Channel, Delivery, Failed, SetupError, Subscription, Target};
pub(crate) use encryption::are_well_formed;
use vapid::Vapid;

/// Seconds that a push service keeps a message at most.
const MAX_TTL: u64 = 28 * 24 * 60 * 60;
/// Characters of a topic (RFC 8030, section 5.4).
const TOPIC: usize = 32;

/// Pushes to browsers.
pub struct WebPush {
    http: HttpClient,
    vapid: Vapid,
}

impl WebPush {
    /// Creates the channel.
    pub fn new(config: &WebPushConfig) -> Result<Self, SetupError> {
        let key = needed("web_push.vapid_key", config.vapid_key.as_ref())?;
        let contact = needed("web_push.contact", config.contact.as_ref())?;
        let vapid = Vapid::new(key.expose(), contact).ok_or(SetupError::Invalid {
            key: "web_push.vapid_key",
            expected: "a private key on the curve P-256: 32 bytes in Base64 for URLs",
        })?;
        let tls = trust(config.tls_ca.as_deref()).client_config()?;
        let reach = Reach::new(&config.allowed_networks);
        let http = HttpClient::new(tls, Some(reach), Arc::new(SystemResolver::new()), config.timeout);
        Ok(Self { http, vapid })
    }

    /// Returns the public key with which browsers subscribe: `applicationServerKey`, in Base64 for URLs.
    #[must_use]
    pub fn public_key(&self) -> &str {
        self.vapid.public_key()
    }

    fn request(
        &self,
        delivery: &Delivery,
        target: &Subscription,
    ) -> Result<Request<Full<bytes::Bytes>>, Failed> {
        let url = checked_url(&target.endpoint, false)?;
        let content = delivery.content.to_json();
        let content = content.ok_or_else(|| {
            Failed::never("there is nothing to send: expected a payload, a subject or a text")
        })?;
        let body = encryption::encrypt(&target.keys, content.as_bytes())?;
        let token = self.vapid.authorization(&origin(&url), SystemTime::now());
        let token = token.ok_or_else(|| Failed::later("the token of the push service cannot be signed"))?;
        let mut request = Request::post(url)
            .header(AUTHORIZATION, token)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_ENCODING, "aes128gcm")
            .header("ttl", delivery.time_to_live.as_secs().min(MAX_TTL))
            .header("urgency", delivery.urgency.as_str());
        if let Some(collapse) = &delivery.collapse {
            request = request.header("topic", topic(collapse));
        }
        request
            .body(Full::from(body))
            .map_err(|error| Failed::never(format!("the request cannot be made ({error})")))
    }
}

#[async_trait]
impl Channel for WebPush {
    async fn send(&self, delivery: &Delivery) -> Result<Accepted, Failed> {
        let Target::WebPush(target) = &delivery.target else { return Err(misdirected(&delivery.target)) };
        let answer = self.http.send(self.request(delivery, target)?).await?;
        match answer.status.as_u16() {
            200..300 => Ok(Accepted { reference: answer.header("location").map(str::to_owned) }),
            // The browser has ended the subscription, or it is expired.
            404 | 410 => Err(Failed::Gone { reason: answer.reason() }),
            408 | 429 => Err(answer.later()),
            400..500 => Err(Failed::Never { reason: answer.reason() }),
            _ => Err(answer.later()),
        }
    }
}

/// The audience of a token: the push service's origin.
fn origin(url: &Uri) -> String {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    format!("https://{}", authority.strip_suffix(":443").unwrap_or(authority))
}

/// A text of any length as a topic. The push service does not learn the text.
fn topic(collapse: &str) -> String {
    let mut topic = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, collapse.as_bytes()));
    topic.truncate(TOPIC);
    topic
}
