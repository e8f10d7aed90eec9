//! What an administrator sets. Pure.
//!
//! A member that is given takes the place of what there was of its kind, an empty list removes it, and what is not given stays:
//! who knows a user's new address need not know the browsers.

use serde::Deserialize;
use tidings_channels::{SnsTarget, Subscription, SubscriptionKeys, Target, TargetError, WebhookTarget};

use crate::book::{Book, ContactId, Kind, MAX_OF_KIND};

/// The longest name of a device, in bytes.
const MAX_DEVICE: usize = 64;

/// What an administrator sets.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Update {
    email: Option<Vec<String>>,
    phone_number: Option<Vec<String>>,
    sns_endpoint: Option<Vec<String>>,
    sns_topic: Option<Vec<String>>,
    webhook: Option<Vec<WebhookTarget>>,
    web_push: Option<Vec<DeviceSubscription>>,
}

/// The subscription of a device's browser, as `PushSubscription.toJSON()` has it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceSubscription {
    device: String,
    endpoint: String,
    keys: SubscriptionKeys,
}

/// The subscription of a browser, as its page sends it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowserSubscription {
    endpoint: String,
    keys: SubscriptionKeys,
}

impl BrowserSubscription {
    /// The subscription, if it can be one.
    pub fn check(self) -> Result<Subscription, TargetError> {
        let subscription = Subscription { endpoint: self.endpoint, keys: self.keys };
        Target::WebPush(subscription.clone()).check()?;
        Ok(subscription)
    }
}

/// Why something cannot be set. It does not show what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// One of them cannot be used.
    #[error("`{member}[{index}]` cannot be used: {reason}")]
    Unusable {
        /// Of these.
        member: &'static str,
        /// This one, from 0.
        index: usize,
        /// Why.
        reason: String,
    },
    /// There are too many.
    #[error("`{member}` has {number}, expected at most {MAX_OF_KIND}")]
    TooMany {
        /// Of these.
        member: &'static str,
        /// So many.
        number: usize,
    },
    /// Nothing is given.
    #[error(
        "nothing is set; expected at least one of `email`, `phone_number`, `sns_endpoint`, `sns_topic`, `webhook`, `web_push`"
    )]
    Nothing,
}

/// Targets of one kind, each with its device.
type Targets = Vec<(Option<String>, Target)>;

impl Update {
    /// Checks everything; only then may it be applied.
    pub fn check(&self) -> Result<(), UpdateError> {
        let all = self.targets();
        if all.is_empty() {
            return Err(UpdateError::Nothing);
        }
        for (member, _, targets) in all {
            if targets.len() > MAX_OF_KIND {
                return Err(UpdateError::TooMany { member, number: targets.len() });
            }
            for (index, (device, target)) in targets.into_iter().enumerate() {
                let unusable = |reason| UpdateError::Unusable { member, index, reason };
                if device.is_some_and(|device| device.is_empty() || device.len() > MAX_DEVICE) {
                    return Err(unusable(format!("expected a device of 1 to {MAX_DEVICE} bytes")));
                }
                target.check().map_err(|error| unusable(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// Changes what is known of a user.
    pub fn apply(&self, book: &mut Book, now: u64, new_id: &mut dyn FnMut() -> ContactId) {
        for (_, kind, targets) in self.targets() {
            book.replace(kind, targets, now, new_id);
        }
    }

    fn targets(&self) -> Vec<(&'static str, Kind, Targets)> {
        fn all<T: Clone>(given: &[T], target: impl Fn(T) -> Target) -> Targets {
            given.iter().cloned().map(|one| (None, target(one))).collect()
        }
        let of_device = |one: &DeviceSubscription| {
            let DeviceSubscription { device, endpoint, keys } = one.clone();
            (Some(device), Target::WebPush(Subscription { endpoint, keys }))
        };
        let phone = |number| Target::Sns(SnsTarget::PhoneNumber(number));
        let endpoint = |arn| Target::Sns(SnsTarget::Endpoint(arn));
        let topic = |arn| Target::Sns(SnsTarget::Topic(arn));
        [
            ("email", Kind::Email, self.email.as_deref().map(|given| all(given, Target::Email))),
            ("phone_number", Kind::PhoneNumber, self.phone_number.as_deref().map(|given| all(given, phone))),
            (
                "sns_endpoint",
                Kind::SnsEndpoint,
                self.sns_endpoint.as_deref().map(|given| all(given, endpoint)),
            ),
            ("sns_topic", Kind::SnsTopic, self.sns_topic.as_deref().map(|given| all(given, topic))),
            ("webhook", Kind::Webhook, self.webhook.as_deref().map(|given| all(given, Target::Webhook))),
            (
                "web_push",
                Kind::WebPush,
                self.web_push.as_deref().map(|given| given.iter().map(of_device).collect()),
            ),
        ]
        .into_iter()
        .filter_map(|(member, kind, targets)| Some((member, kind, targets?)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use tidings_model::json;

    use super::*;

    fn read(text: &str) -> Update {
        json::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_not_given_stays_and_an_empty_list_removes() {
        let (mut book, mut next) = (Book::default(), 0);
        let mut apply = |text: &str| {
            let update = read(text);
            update.check().unwrap();
            update.apply(&mut book, 7, &mut || {
                next += 1;
                ContactId(next.to_string())
            });
            book.contacts().iter().map(|contact| contact.id.0.clone()).collect::<Vec<_>>()
        };
        assert_eq!(apply(r#"{"email":["a@b.example"],"phone_number":["+4930123456"]}"#), ["1", "2"]);
        assert_eq!(apply(r#"{"email":["a@b.example","c@d.example"]}"#), ["2", "1", "3"]);
        assert_eq!(apply(r#"{"email":[]}"#), ["2"]);
    }

    #[test]
    fn what_cannot_be_used_is_named_and_not_shown() {
        let many = format!(r#"{{"email":[{}"a@b.example"]}}"#, r#""a@b.example","#.repeat(MAX_OF_KIND));
        for (text, expected) in [
            ("{}", "nothing is set"),
            (
                r#"{"email":["a@b.example","secret"]}"#,
                "`email[1]` cannot be used: expected an e-mail address",
            ),
            (r#"{"email":["secret@b\r\nBcc: c@d.example"]}"#, "`email[0]`"),
            (
                r#"{"phone_number":["030 secret"]}"#,
                "`phone_number[0]` cannot be used: expected a phone number",
            ),
            (r#"{"phone_number":["+0secret"]}"#, "+49"),
            (r#"{"sns_topic":["arn:aws:sqs:secret"]}"#, "expected an ARN of Amazon SNS"),
            (r#"{"sns_endpoint":["arn:aws:sns:eu-central-1:1:secret"]}"#, "endpoint"),
            (r#"{"webhook":[{"url":"https://secret.example","keys":[]}]}"#, "key"),
            (
                r#"{"webhook":[{"url":"ftp://secret","keys":["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]}]}"#,
                "https",
            ),
            (
                r#"{"web_push":[{"device":"d","endpoint":"https://p.example","keys":{"p256dh":"secret","auth":"x"}}]}"#,
                "browser",
            ),
            (
                r#"{"web_push":[{"device":"","endpoint":"https://p.example","keys":{"p256dh":"","auth":""}}]}"#,
                "device",
            ),
            (&many, "`email` has 17, expected at most 16"),
        ] {
            let error = read(text).check().unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
        let unknown = json::read::<Update>(br#"{"e-mail":[]}"#).err().unwrap().to_string();
        assert!(unknown.contains("phone_number"), "{unknown}");
    }
}
