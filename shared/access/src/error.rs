//! Refusals of requests: an HTTP status for the handshake, a stable code for programs and a message for people.
//!
//! The message is sent to the client. It contains nothing from an unverified token.

use std::time::Duration;

use http::StatusCode;
use tidings_model::Tenant;

use crate::{Algorithm, Origin};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `TOKEN_MISSING`: the request has no token.
    #[error("no token was given; expected {places}")]
    Missing {
        /// The places that may hold a token.
        places: String,
    },
    /// `TOKEN_SCHEME`: the `Authorization` header has another scheme.
    #[error("the Authorization header is not of the form `Bearer <token>`")]
    Scheme,
    /// `TOKEN_AMBIGUOUS`: two places hold different tokens.
    #[error("the request has two different tokens; send one")]
    Ambiguous,
    /// `TOKEN_TOO_LONG`: the token is longer than the limit.
    #[error("the token has {length} bytes; at most {max} are accepted (`access.max_token_bytes`)")]
    TooLong {
        /// The token's length in bytes.
        length: usize,
        /// The longest accepted length in bytes.
        max: usize,
    },
    /// `TOKEN_MALFORMED`: it is not a JSON Web Token. The text is what was expected.
    #[error("the token is malformed; expected {0}")]
    Malformed(&'static str),
    /// `TOKEN_TYPE`: the token's header declares another purpose.
    #[error("the token's `typ` is not accepted; expected {expected}")]
    Type {
        /// The configured types.
        expected: String,
    },
    /// `TOKEN_ALGORITHM`: the token is unsigned, or signed with an algorithm that is not configured.
    #[error("the token's algorithm is not accepted; expected {}", one_of(expected))]
    Algorithm {
        /// The configured algorithms.
        expected: Vec<Algorithm>,
    },
    /// `TOKEN_SIGNATURE`: the token was altered, or signed with another key.
    #[error("the token's signature is wrong; get a token from the issuer that this service trusts")]
    Signature,
    /// `TOKEN_KEY`: no known key of the issuer has the token's `kid`.
    #[error("the token's `kid` names no key that its issuer is known to have; get a new token")]
    UnknownKey,
    /// `TOKEN_KEY`: the issuer publishes the signing key, but this service cannot use its kind. Another token would not
    /// help.
    #[error(
        "the key that the token is signed with is published, but of a kind that this service cannot use; its log says why"
    )]
    UnusableKey,
    /// `KEYS_UNAVAILABLE`: the issuer's keys have not been fetched yet.
    #[error("the keys of the token's issuer are not available now; try again later")]
    KeysUnavailable {
        /// The time until the next fetch.
        retry_after: Duration,
    },
    /// `TOKEN_ISSUER`: `iss` names no configured issuer. The message does not list the issuers.
    #[error("the token's `iss` claim does not name an issuer that this service trusts")]
    Issuer,
    /// `TOKEN_AUDIENCE`: the signature is valid, but the token is for another service.
    #[error("the token's `{claim}` claim does not contain the expected {expected:?}")]
    Audience {
        /// The claim, usually `aud`.
        claim: String,
        /// The configured audience.
        expected: String,
    },
    /// `TOKEN_TIME`: `exp` is missing, or `exp`, `nbf` or `iat` is not a time.
    #[error("the token's `{claim}` claim is missing or no number of seconds since 1970")]
    Time {
        /// `exp`, `nbf` or `iat`.
        claim: &'static str,
    },
    /// `TOKEN_EXPIRED`: `exp` has passed.
    #[error("the token expired at {expired_at} (seconds since 1970); get a new one")]
    Expired {
        /// Seconds since 1970.
        expired_at: u64,
    },
    /// `TOKEN_NOT_YET_VALID`: `nbf` or `iat` lies in the future.
    #[error(
        "the token's `{claim}` claim is {not_before} (seconds since 1970), in the future; check the clocks"
    )]
    NotYetValid {
        /// `nbf` or `iat`.
        claim: &'static str,
        /// Seconds since 1970.
        not_before: u64,
    },
    /// `TOKEN_LIFETIME`: the token would be valid for longer than is configured.
    #[error("the token is valid for longer than {} seconds, the most that is accepted", max.as_secs())]
    Lifetime {
        /// The longest accepted lifetime.
        max: Duration,
    },
    /// `ORIGIN_MISSING`: the token is in a cookie, or every client needs an origin, and there is not exactly one
    /// `Origin` header.
    #[error(
        "a token in a cookie needs one Origin header of the form https://app.example, and with \
         `access.require_origin` every token does; programs other than browsers send the token in the Authorization header"
    )]
    MissingOrigin,
    /// `ORIGIN_FOREIGN`: the page's origin is not allowed.
    #[error(
        "pages of {0} may not connect here; expected a page of this host, by https where the client speaks TLS, or of \
         `gateway.allowed_origins`"
    )]
    ForeignOrigin(Origin),
    /// `CLAIM_SUB`: the signature is valid, but the claim names no user.
    #[error("the token's `{claim}` claim is not a string that names the user")]
    Subject {
        /// The claim.
        claim: String,
    },
    /// `CLAIM_TENANT`: the signature is valid, but the claim names no tenant.
    #[error(
        "the token's `{claim}` claim is not the name of a tenant: 1 to 32 characters of a-z, 0-9, \
         _ and -"
    )]
    Tenant {
        /// The claim, usually `tenant`.
        claim: String,
    },
    /// `TENANT_FOREIGN`: the signature is valid, but the issuer may not issue tokens for this tenant.
    #[error("the token's issuer may not issue tokens for the tenant `{0}`")]
    ForeignTenant(Tenant),
}

impl Refusal {
    /// Returns the HTTP status: 401 if another token would help, 503 if the same token may be accepted later, 403 if
    /// the client is identified, or its identity does not matter, and it is not permitted.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Missing { .. }
            | Self::Scheme
            | Self::Ambiguous
            | Self::TooLong { .. }
            | Self::Malformed(_)
            | Self::Type { .. }
            | Self::Algorithm { .. }
            | Self::Signature
            | Self::UnknownKey
            | Self::UnusableKey
            | Self::Issuer
            | Self::Audience { .. }
            | Self::Time { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::Lifetime { .. } => StatusCode::UNAUTHORIZED,
            Self::KeysUnavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::MissingOrigin
            | Self::ForeignOrigin(_)
            | Self::Subject { .. }
            | Self::Tenant { .. }
            | Self::ForeignTenant(_) => StatusCode::FORBIDDEN,
        }
    }

    /// Returns whether the same token may be accepted after the issuer's keys are fetched again.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::UnknownKey | Self::KeysUnavailable { .. })
    }

    /// The code for programs. Its meaning never changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "TOKEN_MISSING",
            Self::Scheme => "TOKEN_SCHEME",
            Self::Ambiguous => "TOKEN_AMBIGUOUS",
            Self::TooLong { .. } => "TOKEN_TOO_LONG",
            Self::Malformed(_) => "TOKEN_MALFORMED",
            Self::Type { .. } => "TOKEN_TYPE",
            Self::Algorithm { .. } => "TOKEN_ALGORITHM",
            Self::Signature => "TOKEN_SIGNATURE",
            Self::UnknownKey | Self::UnusableKey => "TOKEN_KEY",
            Self::KeysUnavailable { .. } => "KEYS_UNAVAILABLE",
            Self::Issuer => "TOKEN_ISSUER",
            Self::Audience { .. } => "TOKEN_AUDIENCE",
            Self::Time { .. } => "TOKEN_TIME",
            Self::Expired { .. } => "TOKEN_EXPIRED",
            Self::NotYetValid { .. } => "TOKEN_NOT_YET_VALID",
            Self::Lifetime { .. } => "TOKEN_LIFETIME",
            Self::MissingOrigin => "ORIGIN_MISSING",
            Self::ForeignOrigin(_) => "ORIGIN_FOREIGN",
            Self::Subject { .. } => "CLAIM_SUB",
            Self::Tenant { .. } => "CLAIM_TENANT",
            Self::ForeignTenant(_) => "TENANT_FOREIGN",
        }
    }
}

fn one_of(algorithms: &[Algorithm]) -> String {
    algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(" or ")
}
