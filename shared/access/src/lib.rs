//! Who is it? From a handshake to the verified claims of a token.
//!
//! [`find`] takes the token out of a request, [`Verifier`] turns it into [`Claims`], and [`mint`]
//! signs tokens where there is no identity provider. What the claims open is the catalog's matter.
//!
//! Checking a token needs no I/O and no clock: it uses the keys that are known. Keys that an issuer publishes are
//! fetched beside that, by [`RemoteKeys`]. Tokens and secrets have no `Display`, and their
//! `Debug` shows nothing of them; no [`Refusal`] contains any part of a token but claims that the
//! issuer's signature vouches for.

mod algorithm;
mod claims;
mod fetch;
mod issuer;
mod jws;
mod key;
mod key_set;
mod keys;
mod mint;
mod origin;
mod policy;
mod refusal;
mod remote;
mod secret;
mod source;
mod token;
mod trust;
mod verify;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use claims::Claims;
pub use fetch::{FetchError, HttpKeySource};
pub use issuer::{Audience, Issuer, Tenancy};
pub use key::{KeyError, VerifyingKey};
pub use key_set::{KeySetError, usable_keys};
pub use keys::Keys;
pub use mint::{MintError, mint};
pub use origin::{Origin, OriginError, Transport};
pub use policy::{Policy, TokenTypes};
pub use refusal::Refusal;
pub use remote::{KeySource, RefreshSettings, RemoteKeys};
pub use secret::{ShortSecret, SigningSecret};
pub use source::{Asking, Rules, TokenPlace, check_origin, find};
pub use token::Token;
pub use trust::{Trust, TrustError};
pub use verify::Verifier;
