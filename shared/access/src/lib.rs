//! Who is it? From a handshake to the verified claims of a token.
//!
//! [`find`] takes the token out of a request, [`Verifier`] turns it into [`Claims`], and [`mint`]
//! signs tokens where there is no identity provider. What the claims open is the catalog's matter.
//!
//! Everything here is pure: no I/O and no clock. Tokens and secrets have no `Display`, and their
//! `Debug` shows nothing of them; no [`Refusal`] contains any part of a token but claims that the
//! issuer's signature vouches for.

mod claims;
mod mint;
mod origin;
mod refusal;
mod secret;
mod source;
mod token;
mod verify;

pub use claims::Claims;
pub use mint::{MintError, mint};
pub use origin::{Origin, OriginError};
pub use refusal::Refusal;
pub use secret::{ShortSecret, SigningSecret};
pub use source::{Rules, find};
pub use token::Token;
pub use verify::{Key, Trust, Verifier};
