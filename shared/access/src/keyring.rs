//! The keys of an issuer: configured, or fetched and kept up to date.

use std::time::Duration;

use crate::{RemoteKeys, VerifyingKey};

/// The source of an issuer's keys.
#[derive(Debug, Clone)]
pub enum Keys {
    /// Configured keys.
    Fixed(Vec<VerifyingKey>),
    /// Fetched as a JSON Web Key Set.
    Remote(RemoteKeys),
}

/// The result of the search for a token's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    /// One of the keys made the signature.
    Signed,
    /// No key that the token may be signed with made the signature.
    Wrong,
    /// No known key has the token's `kid`.
    Unknown,
    /// Only unusable keys of the issuer match the token.
    Unusable,
    /// No key is known yet. The next fetch is after this time.
    Unavailable(Duration),
}

impl Keys {
    /// Tries the known keys.
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
