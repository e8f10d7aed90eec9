//! Whether something can be a target, for who sets one: long before anything is sent there. Pure.

use lettre::Address;

use crate::exchange::checked_url;
use crate::web_push::are_well_formed;
use crate::{SnsTarget, Target};

/// The longest URL, in bytes.
const MAX_URL: usize = 2_048;
/// The longest ARN of Amazon, in bytes.
const MAX_ARN: usize = 512;

/// Something that cannot be a target. It does not show what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct TargetError {
    expected: &'static str,
}

impl Target {
    /// Checks the form. Whether there is such a receiver, and whether the configuration lets anything be sent there, shows when
    /// something is sent.
    pub fn check(&self) -> Result<(), TargetError> {
        let (is_good, expected) = match self {
            Self::Email(address) => {
                (address.parse::<Address>().is_ok(), "an e-mail address such as ada@example.com")
            }
            Self::Sns(SnsTarget::PhoneNumber(number)) => {
                (is_phone_number(number), "a phone number in the form of E.164, such as +4930123456")
            }
            Self::Sns(SnsTarget::Topic(arn)) => (
                is_of_sns(arn) && !arn.contains('/'),
                "an ARN of Amazon SNS such as arn:aws:sns:eu-central-1:123456789012:alerts",
            ),
            Self::Sns(SnsTarget::Endpoint(arn)) => (
                is_of_sns(arn) && arn.contains(":endpoint/"),
                "an ARN of Amazon SNS such as arn:aws:sns:eu-central-1:123456789012:endpoint/GCM/app/<id>",
            ),
            Self::Webhook(webhook) => (
                webhook.url.len() <= MAX_URL
                    && checked_url(&webhook.url, true).is_ok()
                    && matches!(webhook.keys.len(), 1 | 2),
                "an https URL without a user, and one or two keys",
            ),
            Self::WebPush(subscription) => (
                subscription.endpoint.len() <= MAX_URL
                    && checked_url(&subscription.endpoint, false).is_ok()
                    && are_well_formed(&subscription.keys),
                "what `PushSubscription.toJSON()` returns in a browser",
            ),
        };
        if is_good { Ok(()) } else { Err(TargetError { expected }) }
    }
}

/// `+` and up to 15 digits, of which the first begins a country's code.
fn is_phone_number(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else { return false };
    (5..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_of_sns(arn: &str) -> bool {
    let mut parts = arn.split(':');
    arn.len() <= MAX_ARN
        && arn.bytes().all(|byte| byte.is_ascii_graphic())
        && parts.next() == Some("arn")
        && parts.next().is_some_and(|partition| partition.starts_with("aws"))
        && parts.next() == Some("sns")
        && parts.count() >= 3
}
