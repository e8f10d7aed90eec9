//! The keys of an issuer: given once, or fetched and kept up to date.

use std::time::Duration;

use crate::{RemoteKeys, VerifyingKey};

/// Where an issuer's keys are from.
#[derive(Debug, Clone)]
pub enum Keys {
    /// Given with the configuration.
    Fixed(Vec<VerifyingKey>),
    /// Fetched as a JSON Web Key Set.
    Remote(RemoteKeys),
}

/// What the search for a token's key has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    /// A key has made the signature.
    Signed,
    /// The keys that it may be of have not.
    Wrong,
    /// No known key has the token's `kid`.
    Unknown,
    /// The issuer publishes the key that the token names, or no key at all, but none that can be used here.
    Unusable,
    /// No key is known at all yet; there may be some after this time.
    Unavailable(Duration),
}

impl Keys {
    /// Tries the keys that are known now.
    pub(crate) fn search(&self, id: Option<&str>, has_signed: impl Fn(&VerifyingKey) -> bool) -> Search {
        match self {
            Self::Fixed(keys) => search(keys, id, has_signed),
            Self::Remote(remote) => {
                let known = remote.known();
                match search(&known.accepted, id, has_signed) {
                    Search::Unknown if known.leaves_out(id) => Search::Unusable,
                    Search::Unknown if known.is_empty() => Search::Unavailable(known.next_attempt),
                    found => found,
                }
            }
        }
    }
}

fn search(keys: &[VerifyingKey], id: Option<&str>, has_signed: impl Fn(&VerifyingKey) -> bool) -> Search {
    let mut candidates = keys.iter().filter(|key| key.may_be(id)).peekable();
    if candidates.peek().is_none() {
        return Search::Unknown;
    }
    if candidates.any(has_signed) { Search::Signed } else { Search::Wrong }
}
