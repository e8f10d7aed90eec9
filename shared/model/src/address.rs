//! Addresses: where an envelope is sent. An address that a token opens is a *grant*.
//!
//! Authorization is addressing: nothing is evaluated per message and connection. So an address must have exactly one
//! spelling.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::subject;

/// `all`, or `<kind>:<id>` such as `user:ada`, `role:first_responder`, `topic:incidents`.
///
/// The kind is 1 to 32 characters of `a-z`, `0-9` and `_`, beginning with a letter. The id is any text of 1 to
/// [`Address::MAX_ID_LENGTH`] bytes. Cloning is cheap: the text is shared.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(Arc<str>);

impl Address {
    /// The longest id, in bytes.
    pub const MAX_ID_LENGTH: usize = 512;
    const MAX_KIND_LENGTH: usize = 32;
    const ALL: &'static str = "all";

    /// The address of all users of the tenant.
    #[must_use]
    pub fn all() -> Self {
        Self(Self::ALL.into())
    }

    /// The address of a topic.
    pub fn topic(name: &str) -> Result<Self, AddressError> {
        Self::new("topic", name)
    }

    /// Creates `<kind>:<id>`.
    pub fn new(kind: &str, id: &str) -> Result<Self, AddressError> {
        if !is_kind(kind) {
            return Err(AddressError::Kind(shorten(kind)));
        }
        if id.is_empty() {
            return Err(AddressError::EmptyId(kind.to_owned()));
        }
        if id.len() > Self::MAX_ID_LENGTH {
            return Err(AddressError::LongId { kind: kind.to_owned(), length: id.len() });
        }
        Ok(Self(format!("{kind}:{id}").into()))
    }

    /// Parses `all` or `<kind>:<id>`. The id is everything after the first colon.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.split_once(':') {
            Some((kind, id)) => Self::new(kind, id),
            None if text == Self::ALL => Ok(Self::all()),
            None => Err(AddressError::NoKind(shorten(text))),
        }
    }

    /// The kind: `user`, `role`, `topic`, …, or `all`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split_once(':').map_or(&*self.0, |(kind, _)| kind)
    }

    /// The id. `all` has none.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0.split_once(':').map(|(_, id)| id)
    }

    /// The id, if the address is of this kind.
    #[must_use]
    pub fn id_of(&self, kind: &str) -> Option<&str> {
        self.id().filter(|_| self.kind() == kind)
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the address as two subject tokens, `<kind>.<id>`.
    #[must_use]
    pub fn to_subject_tokens(&self) -> String {
        format!("{}.{}", self.kind(), subject::Token(self.id()))
    }

    /// Parses the two tokens of [`Address::to_subject_tokens`].
    #[must_use]
    pub fn from_subject_tokens(kind: &str, id: &str) -> Option<Self> {
        if kind == Self::ALL {
            return (id == subject::ABSENT).then(Self::all);
        }
        Self::new(kind, &subject::decode(id)?).ok()
    }
}

fn is_kind(kind: &str) -> bool {
    kind.len() <= Address::MAX_KIND_LENGTH
        && kind.starts_with(|first: char| first.is_ascii_lowercase())
        && kind.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && kind != Address::ALL
}

fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0.as_ref().to_owned()
    }
}

/// Why text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no colon, and the text is not `all`.
    #[error("address {0:?} is neither `all` nor of the form kind:id")]
    NoKind(String),
    /// The part before the colon is not a kind.
    #[error("address kind {0:?} is not 1 to 32 characters of a-z, 0-9 and _ after a letter")]
    Kind(String),
    /// The id is empty.
    #[error("the id of a `{0}:` address is empty")]
    EmptyId(String),
    /// The id is too long: it would not fit into a NATS subject after encoding.
    #[error("the id of a `{kind}:` address has {length} bytes, more than {max}", max = Address::MAX_ID_LENGTH)]
    LongId {
        /// The address's kind.
        kind: String,
        /// The id's length in bytes.
        length: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        for text in ["all", "user:ada", "role:first_responder", "topic:incidents", "user:a:b", "org:*"] {
            assert_eq!(Address::parse(text).unwrap().as_str(), text);
        }
        for text in ["", "everyone", "user:", ":ada", "User:ada", "all:x", "a.b:c", "1a:b"] {
            assert!(Address::parse(text).is_err(), "{text:?} was taken");
        }
        assert!(Address::new("user", &"x".repeat(513)).is_err());
    }

    /// Ids that an attacker may choose: any text, often with characters that are special in NATS.
    fn any_id() -> impl Strategy<Value = String> {
        prop_oneof![any::<String>(), "[.*>= \t\r\n:$/_A-F0-9-]{1,12}", "(=[0-9A-Fa-f]{0,2}){1,4}"]
    }

    proptest! {
        #[test]
        fn no_two_addresses_share_subject_tokens(one in any_id(), other in any_id()) {
            if let (Ok(one), Ok(other)) = (Address::new("user", &one), Address::new("user", &other)) {
                prop_assert_eq!(one.to_subject_tokens() == other.to_subject_tokens(), one == other);
            }
        }

        /// Each address has one spelling, in a subject and as text.
        #[test]
        fn an_address_is_spelled_in_one_way(kind in "(all|user|a_1|A|é|)", id in any_id()) {
            if let Some(address) = Address::from_subject_tokens(&kind, &id) {
                prop_assert_eq!(address.to_subject_tokens(), format!("{kind}.{id}"));
            }
            let text = format!("{kind}:{id}");
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(address.as_str(), text);
            }
        }

        #[test]
        fn subject_tokens_lead_back(kind in "[a-z][a-z0-9_]{0,8}", id in any_id()) {
            prop_assume!(kind != "all" && (1..=Address::MAX_ID_LENGTH).contains(&id.len()));
            let address = Address::new(&kind, &id).unwrap();
            let tokens = address.to_subject_tokens();
            let (kind, id) = tokens.split_once('.').unwrap();
            prop_assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-=".contains(&byte)));
            prop_assert_eq!(Address::from_subject_tokens(kind, id), Some(address));
        }
    }
}
