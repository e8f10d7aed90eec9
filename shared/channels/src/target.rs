//! Where a delivery goes. `Debug` shows no secrets: neither keys, nor URLs that only their owner knows.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use tidings_model::ChannelKind;

/// Where a delivery goes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A program that takes HTTP requests.
    Webhook(WebhookTarget),
    /// An e-mail address.
    Email(String),
    /// Amazon SNS.
    Sns(SnsTarget),
    /// A browser, by its push service.
    WebPush(Subscription),
}

impl Target {
    /// Returns the channel that sends to it.
    #[must_use]
    pub fn channel(&self) -> ChannelKind {
        match self {
            Self::Webhook(_) => ChannelKind::Webhook,
            Self::Email(_) => ChannelKind::Email,
            Self::Sns(_) => ChannelKind::Sns,
            Self::WebPush(_) => ChannelKind::WebPush,
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(target) => target.fmt(formatter),
            Self::Email(_) => formatter.write_str("Email(…)"),
            Self::Sns(target) => target.fmt(formatter),
            Self::WebPush(subscription) => subscription.fmt(formatter),
        }
    }
}

/// A program that takes HTTP requests.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookTarget {
    /// Where requests go: `https://…`, or `http://…` if the configuration allows it.
    pub url: String,
    /// Keys that sign. During a rotation there are two, and the receiver accepts either signature.
    pub keys: Vec<SigningKey>,
}

impl fmt::Debug for WebhookTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WebhookTarget({}, {} keys)", self.origin(), self.keys.len())
    }
}

impl WebhookTarget {
    /// Scheme and host of the URL, which are no secret.
    #[must_use]
    pub fn origin(&self) -> &str {
        host_of(&self.url)
    }
}

/// A key that signs webhooks, 24 to 64 bytes; as text `whsec_` and Base64, as Standard Webhooks writes it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SigningKey(Box<[u8]>);

impl SigningKey {
    const PREFIX: &str = "whsec_";

    /// Reads a key.
    pub fn parse(text: &str) -> Result<Self, SigningKeyError> {
        let encoded = text.strip_prefix(Self::PREFIX).ok_or(SigningKeyError)?;
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| SigningKeyError)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes.into())) } else { Err(SigningKeyError) }
    }

    /// Returns the bytes, for a signature.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({} bytes)", self.0.len())
    }
}

impl TryFrom<String> for SigningKey {
    type Error = SigningKeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<SigningKey> for String {
    fn from(key: SigningKey) -> Self {
        format!("{}{}", SigningKey::PREFIX, BASE64_STANDARD.encode(key.0))
    }
}

/// A text that is no key for webhooks. It does not show the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key of webhooks is malformed; expected `whsec_` and 24 to 64 bytes in Base64")]
pub struct SigningKeyError;

/// What Amazon SNS publishes to.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnsTarget {
    /// The ARN of a topic.
    Topic(String),
    /// A phone number in the form of E.164, `+4930123456`.
    PhoneNumber(String),
    /// The ARN of an application on a device.
    Endpoint(String),
}

impl SnsTarget {
    /// As much of it as lets its owner recognise it.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Topic(arn) => arn.clone(),
            Self::PhoneNumber(number) => {
                let (first, last) =
                    (number.get(..3), number.len().checked_sub(2).and_then(|at| number.get(at..)));
                format!("{}…{}", first.unwrap_or_default(), last.unwrap_or_default())
            }
            Self::Endpoint(arn) => {
                format!("{}/…", arn.rsplit_once('/').map_or("", |(application, _)| application))
            }
        }
    }
}

impl fmt::Debug for SnsTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(arn) => formatter.debug_tuple("Topic").field(arn).finish(),
            Self::PhoneNumber(_) => formatter.write_str("PhoneNumber(…)"),
            Self::Endpoint(_) => formatter.write_str("Endpoint(…)"),
        }
    }
}

/// A browser's subscription, as `PushSubscription.toJSON()` returns it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The URL at the push service. Whoever knows it can send to the device.
    pub endpoint: String,
    /// The keys of the browser.
    pub keys: SubscriptionKeys,
}

/// The keys of a browser, in Base64 for URLs.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionKeys {
    /// Its public key on the curve P-256.
    pub p256dh: String,
    /// What it shares with the sender.
    pub auth: String,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Subscription({}, …)", self.origin())
    }
}

impl Subscription {
    /// Scheme and host of the push service, which are no secret.
    #[must_use]
    pub fn origin(&self) -> &str {
        host_of(&self.endpoint)
    }
}

/// Returns scheme and host of a URL: the path or the query may be a secret.
fn host_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url.get(authority..).and_then(|rest| rest.find(['/', '?', '#']));
    url.get(..end.map_or(url.len(), |end| authority + end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_target_is_read_as_it_is_written_and_debug_shows_no_secret() {
        let subscription = Subscription {
            endpoint: "https://push.example/secret-path".to_owned(),
            keys: SubscriptionKeys { p256dh: "secret-key".to_owned(), auth: "secret-auth".to_owned() },
        };
        let webhook = WebhookTarget {
            url: "https://shop.example?secret-query".to_owned(),
            keys: vec![SigningKey::parse(KEY).unwrap()],
        };
        for target in [
            Target::Webhook(webhook),
            Target::Email("secret@example.com".to_owned()),
            Target::Sns(SnsTarget::PhoneNumber("+49 secret".to_owned())),
            Target::Sns(SnsTarget::Endpoint("arn:secret".to_owned())),
            Target::WebPush(subscription),
        ] {
            let text = serde_json::to_string(&target).unwrap();
            assert_eq!(tidings_model::json::read::<Target>(text.as_bytes()).unwrap(), target, "{text}");
            let shown = format!("{target:?}");
            assert!(!shown.contains("secret") && !shown.contains("MfKQ"), "{shown}");
        }
    }

    #[test]
    fn a_key_is_as_long_as_standard_webhooks_asks_for() {
        assert!(SigningKey::parse(KEY).is_ok());
        for text in [
            "",
            "whsec_",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_ä",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLQ==",
        ] {
            assert_eq!(SigningKey::parse(text), Err(SigningKeyError), "{text:?}");
        }
    }
}
