//! Webhooks: HTTP requests that are signed as Standard Webhooks says.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, StatusCode};
use http_body_util::Full;
use tidings_runtime::config::WebhookConfig;

use crate::channel::misdirected;
use crate::exchange::{HttpClient, checked_url};
use crate::reach::Reach;
use crate::resolve::{Resolve, SystemResolver};
use crate::setup::trust;
use crate::{Accepted, Channel, Delivery, DeliveryId, Failed, SetupError, SigningKey, Target, WebhookTarget};

/// Sends to webhooks.
pub struct Webhook {
    http: HttpClient,
    allow_http: bool,
}

impl Webhook {
    /// Creates the channel.
    pub fn new(config: &WebhookConfig) -> Result<Self, SetupError> {
        Self::with_resolver(config, Arc::new(SystemResolver::new()))
    }

    /// Creates the channel with another resolver than the system's.
    pub fn with_resolver(config: &WebhookConfig, resolver: Arc<dyn Resolve>) -> Result<Self, SetupError> {
        let tls = trust(config.tls_ca.as_deref()).client_config()?;
        let reach = Reach::new(&config.allowed_networks);
        let http = HttpClient::new(tls, Some(reach), resolver, config.timeout);
        Ok(Self { http, allow_http: config.allow_http })
    }

    fn request(
        &self,
        id: &DeliveryId,
        target: &WebhookTarget,
        body: String,
    ) -> Result<Request<Full<Bytes>>, Failed> {
        if target.keys.is_empty() {
            return Err(Failed::never("the webhook has no key to sign with; create one"));
        }
        let url = checked_url(&target.url, self.allow_http)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = since.as_secs();
        let signatures = signatures(&target.keys, id, timestamp, &body);
        let request = Request::post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id.as_str())
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures)
            .body(Full::from(body));
        request.map_err(|error| Failed::never(format!("the request cannot be made ({error})")))
    }
}

#[async_trait]
impl Channel for Webhook {
    async fn send(&self, delivery: &Delivery) -> Result<Accepted, Failed> {
        let Target::Webhook(target) = &delivery.target else { return Err(misdirected(&delivery.target)) };
        let Some(body) = delivery.content.to_json() else {
            return Err(Failed::never("there is nothing to send: expected a payload, a subject or a text"));
        };
        let answer = self.http.send(self.request(&delivery.id, target, body)?).await?;
        match answer.status {
            status if status.is_success() => Ok(Accepted { reference: None }),
            StatusCode::GONE => Err(Failed::Gone { reason: answer.reason() }),
            // Any other answer may come from a mistake that the receiver corrects while attempts go on.
            _ => Err(answer.later()),
        }
    }
}

/// Returns a signature of each key, for the header `webhook-signature`.
fn signatures(keys: &[SigningKey], id: &DeliveryId, timestamp: u64, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let signatures = keys.iter().map(|key| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        format!("v1,{}", BASE64_STANDARD.encode(hmac::sign(&key, signed.as_bytes())))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Standard Webhooks' own tests.
    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        let key = SigningKey::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = DeliveryId::parse("msg_p5jXN8AQM9LWM0D4loKWxJek").unwrap();
        let signature = signatures(&[key], &id, 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
