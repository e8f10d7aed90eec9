//! Links by which a user unsubscribes at one click, without a login (RFC 8058).
//!
//! A link names a tenant, a user, a category and a channel, and is signed. Who has it can switch off that one thing and nothing
//! else, and can make no other link. It does not expire, since e-mails are kept for years; it ends when the key that signed it is
//! removed.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tidings_model::{ChannelKind, Tenant};
use tidings_preferences::Category;

use crate::secret::{ShortSecret, SigningSecret};

/// What is signed begins with it, so that no other text that is ever signed with such a key is a link.
const PURPOSE: &str = "tidings-unsubscribe-1";

/// What a user is unsubscribed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscription {
    /// The tenant.
    pub tenant: Tenant,
    /// The user, as the token names them.
    pub user: String,
    /// The category of messages.
    pub category: Category,
    /// The channel by which they do not come any more.
    pub channel: ChannelKind,
}

/// The keys that sign links. The first one signs; each verifies, so that a key can be replaced while its links are in use.
/// `Debug` hides them.
#[derive(Clone)]
pub struct UnsubscribeKeys {
    keys: Vec<hmac::Key>,
}

impl UnsubscribeKeys {
    /// Takes secrets of at least [`SigningSecret::MIN_LENGTH`] bytes, as they are. Without one, nothing is a link.
    pub fn new<'s>(secrets: impl IntoIterator<Item = &'s [u8]>) -> Result<Self, ShortSecret> {
        let key = |secret: &[u8]| {
            SigningSecret::new(secret)?;
            Ok(hmac::Key::new(HMAC_SHA256, secret))
        };
        Ok(Self { keys: secrets.into_iter().map(key).collect::<Result<_, _>>()? })
    }

    /// Returns the last segment of a link's path. `None` if there is no key.
    #[must_use]
    pub fn sign(&self, what: &Unsubscription) -> Option<String> {
        let Unsubscription { tenant, user, category, channel } = what;
        // The user comes last: it may have any character.
        let text = format!("{tenant}/{category}/{channel}/{user}");
        let signature = hmac::sign(self.keys.first()?, &signed(text.as_bytes()));
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        Some(format!("{}.{}", encode(text.as_bytes()), encode(signature.as_ref())))
    }

    /// Returns what a segment unsubscribes from; `None` if none of the keys has signed it.
    #[must_use]
    pub fn verify(&self, segment: &str) -> Option<Unsubscription> {
        let (text, signature) = segment.split_once('.')?;
        let (text, signature) = (decode(text)?, decode(signature)?);
        let message = signed(&text);
        if !self.keys.iter().any(|key| hmac::verify(key, &message, &signature).is_ok()) {
            return None;
        }
        let text = String::from_utf8(text).ok()?;
        let mut parts = text.splitn(4, '/');
        Some(Unsubscription {
            tenant: Tenant::parse(parts.next()?).ok()?,
            category: Category::parse(parts.next()?).ok()?,
            channel: parts.next()?.parse().ok()?,
            user: parts.next()?.to_owned(),
        })
    }
}

impl std::fmt::Debug for UnsubscribeKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "UnsubscribeKeys({} keys)", self.keys.len())
    }
}

fn signed(text: &[u8]) -> Vec<u8> {
    [PURPOSE.as_bytes(), b"/", text].concat()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys(secrets: &[&str]) -> UnsubscribeKeys {
        let secrets: Vec<_> = secrets.iter().map(|secret| secret.repeat(32)).collect();
        UnsubscribeKeys::new(secrets.iter().map(String::as_bytes)).unwrap()
    }

    fn what(user: &str) -> Unsubscription {
        Unsubscription {
            tenant: Tenant::parse("shop").unwrap(),
            user: user.to_owned(),
            category: Category::parse("offers").unwrap(),
            channel: ChannelKind::Email,
        }
    }

    #[test]
    fn a_link_is_good_as_long_as_its_key_is_there() {
        let link = keys(&["a"]).sign(&what("ada")).unwrap();
        for (secrets, is_good) in [(&["a"][..], true), (&["b", "a"], true), (&["b"], false), (&[], false)] {
            assert_eq!(keys(secrets).verify(&link), is_good.then(|| what("ada")), "{secrets:?}");
        }
        assert_eq!(keys(&[]).sign(&what("ada")), None);
        assert_eq!(UnsubscribeKeys::new([&b"short"[..]]).unwrap_err().length, 5);
        assert_eq!(format!("{:?}", keys(&["a"])), "UnsubscribeKeys(1 keys)");
    }

    proptest! {
        #[test]
        fn a_link_leads_back_and_is_nothing_else(user in "\\PC{1,40}", at in any::<prop::sample::Index>(), flip in 1u8..=127) {
            let keys = keys(&["a"]);
            let link = keys.sign(&what(&user)).unwrap();
            prop_assert_eq!(keys.verify(&link), Some(what(&user)));
            prop_assert!(link.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)));
            let mut other = link.clone().into_bytes();
            let at = at.index(other.len());
            other[at] ^= flip;
            let other = String::from_utf8_lossy(&other).into_owned();
            prop_assert_eq!(keys.verify(&other), None, "{}", other);
        }
    }
}
