//! Why somebody may not come in, told to three readers: the HTTP status for the handshake, a
//! stable code for programs and the message for people.
//!
//! The message goes to the client. Nothing that an unverified token says is in it.

use std::time::Duration;

use http::StatusCode;
use tidings_model::Tenant;

use crate::{Algorithm, Origin};

/// A request that does not get in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `TOKEN_MISSING`: no place that may hold a token holds one.
    #[error("no token was given; expected {places}")]
    Missing {
        /// The places that may hold one.
        places: String,
    },
    /// `TOKEN_SCHEME`: an `Authorization` header of another scheme.
    #[error("the Authorization header is not of the form `Bearer <token>`")]
    Scheme,
    /// `TOKEN_AMBIGUOUS`: two places hold different tokens; which one is meant is not guessed.
    #[error("the request has two different tokens; send one")]
    Ambiguous,
    /// `TOKEN_TOO_LONG`.
    #[error("the token has {length} bytes; at most {max} are accepted (`access.max_token_bytes`)")]
    TooLong {
        /// The token's length in bytes.
        length: usize,
        /// The longest that is accepted.
        max: usize,
    },
    /// `TOKEN_MALFORMED`: no JSON Web Token, with what was expected.
    #[error("the token is malformed; expected {0}")]
    Malformed(&'static str),
    /// `TOKEN_TYPE`: made for another purpose, by what its header says.
    #[error("the token's `typ` is not accepted; expected {expected}")]
    Type {
        /// The configured types.
        expected: String,
    },
    /// `TOKEN_ALGORITHM`: signed, or not signed, in another way than is configured.
    #[error("the token's algorithm is not accepted; expected {}", one_of(expected))]
    Algorithm {
        /// The configured algorithms.
        expected: Vec<Algorithm>,
    },
    /// `TOKEN_SIGNATURE`: altered, or signed by somebody else.
    #[error("the token's signature is wrong; get a token from the issuer that this service trusts")]
    Signature,
    /// `TOKEN_KEY`: signed with a key that the issuer has not published, as far as is known here.
    #[error("the token's `kid` names no key that its issuer is known to have; get a new token")]
    UnknownKey,
    /// `TOKEN_KEY`: signed with a key that the issuer publishes and that is of no use here; another token would not help.
    #[error(
        "the key that the token is signed with is published, but of a kind that this service cannot use; its log says why"
    )]
    UnusableKey,
    /// `KEYS_UNAVAILABLE`: the issuer's keys could not be fetched yet.
    #[error("the keys of the token's issuer cannot be had now; try again later")]
    KeysUnavailable {
        /// When they are tried again.
        retry_after: Duration,
    },
    /// `TOKEN_ISSUER`: `iss` names no configured issuer. Who they are is not told to strangers.
    #[error("the token's `iss` claim does not name an issuer that this service trusts")]
    Issuer,
    /// `TOKEN_AUDIENCE`: well signed, but for another service.
    #[error("the token's `{claim}` claim does not contain the expected {expected:?}")]
    Audience {
        /// The claim, usually `aud`.
        claim: String,
        /// The configured audience.
        expected: String,
    },
    /// `TOKEN_TIME`: `exp` is missing, or `exp`, `nbf` or `iat` is no point in time.
    #[error("the token's `{claim}` claim is missing or no number of seconds since 1970")]
    Time {
        /// `exp`, `nbf` or `iat`.
        claim: &'static str,
    },
    /// `TOKEN_EXPIRED`.
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
    /// `TOKEN_LIFETIME`: it would be valid for longer than is configured.
    #[error("the token is valid for longer than {} seconds, the most that is accepted", max.as_secs())]
    Lifetime {
        /// The longest that is accepted.
        max: Duration,
    },
    /// `ORIGIN_MISSING`: a cookie, or where every client needs it anything else, without the one `Origin` header that says
    /// which page sent it.
    #[error(
        "a token in a cookie needs one Origin header of the form https://app.example, and with \
         `access.require_origin` every token does; programs other than browsers send the token in the Authorization header"
    )]
    MissingOrigin,
    /// `ORIGIN_FOREIGN`: sent by a page of a site that is not allowed to.
    #[error(
        "pages of {0} may not connect here; expected a page of this host, by https where the client speaks TLS, or of \
         `gateway.allowed_origins`"
    )]
    ForeignOrigin(Origin),
    /// `CLAIM_SUB`: well signed, but for nobody.
    #[error("the token's `sub` claim is not a string that names the user")]
    Subject,
    /// `CLAIM_TENANT`: well signed, but for no tenant.
    #[error(
        "the token's `{claim}` claim is not the name of a tenant: 1 to 32 characters of a-z, 0-9, \
         _ and -"
    )]
    Tenant {
        /// The claim, usually `tenant`.
        claim: String,
    },
    /// `TENANT_FOREIGN`: well signed, but by an issuer of other tenants.
    #[error("the token's issuer may not speak for the tenant `{0}`")]
    ForeignTenant(Tenant),
}

impl Refusal {
    /// 401 if another token would help, 503 if the same one may later, 403 if who is asking is known, or known not to matter, and
    /// may not come in.
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
            | Self::Subject
            | Self::Tenant { .. }
            | Self::ForeignTenant(_) => StatusCode::FORBIDDEN,
        }
    }

    /// Whether the same token may be accepted once the issuer's keys have been asked for.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::UnknownKey | Self::KeysUnavailable { .. })
    }

    /// The code for programs; it never changes its meaning.
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
            Self::Subject => "CLAIM_SUB",
            Self::Tenant { .. } => "CLAIM_TENANT",
            Self::ForeignTenant(_) => "TENANT_FOREIGN",
        }
    }
}

fn one_of(algorithms: &[Algorithm]) -> String {
    algorithms.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(" or ")
}
