//! Authentication: from a handshake to the verified claims of a token.
//!
//! [`find`] extracts the token from a request. [`Verifier`] turns it into [`Claims`]. [`mint`] signs tokens where there
//! is no identity provider; an [`ApiKey`] is for programs that have none. The catalog decides which grants the claims open.
//!
//! Verification needs no I/O and no clock: it uses the known keys. [`RemoteKeys`] fetches the keys that an issuer
//! publishes. Tokens and secrets have no `Display`, and their `Debug` hides them. A [`Refusal`] contains no part of a
//! token except claims that the issuer's signature covers.

mod algorithm;
mod api_key;
mod claims;
mod error;
mod fetch;
mod issuer;
mod jwks;
mod jwks_refresh;
mod jws;
mod key;
mod keyring;
mod mint;
mod origin;
mod policy;
mod secret;
mod source;
mod token;
mod trust;
mod unsubscription;
mod verify;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use api_key::{ApiKey, RandomError};
pub use claims::Claims;
pub use error::Refusal;
pub use fetch::{FetchError, HttpKeySource};
pub use issuer::{Audience, Issuer, Tenancy};
pub use jwks::{KeySetError, usable_keys};
pub use jwks_refresh::{KeySource, RefreshSettings, RemoteKeys};
pub use key::{KeyError, VerifyingKey};
pub use keyring::Keys;
pub use mint::{MintError, mint};
pub use origin::{Origin, OriginError, Transport};
pub use policy::{Policy, TokenTypes};
pub use secret::{ShortSecret, SigningSecret};
pub use source::{Asking, Rules, TokenPlace, check_origin, find};
pub use token::Token;
pub use trust::{Trust, TrustError};
pub use unsubscription::{UnsubscribeKeys, Unsubscription};
pub use verify::Verifier;
