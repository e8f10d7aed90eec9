//! Why somebody may not come in, told to three readers: the HTTP status for the handshake, a
//! stable code for programs and the message for people.
//!
//! The message goes to the client. Nothing that an unverified token says is in it.

use http::StatusCode;

use crate::{Origin, Token};

/// A request that does not get in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// `TOKEN_MISSING`: no place that may hold a token holds one.
    #[error(
        "no token was given; expected the header `Authorization: Bearer <token>`, the query \
         parameter `token` or `Authorization`, or the cookie `{cookie}`"
    )]
    Missing {
        /// The cookie's name.
        cookie: String,
    },
    /// `TOKEN_SCHEME`: an `Authorization` header of another scheme.
    #[error("the Authorization header is not of the form `Bearer <token>`")]
    Scheme,
    /// `TOKEN_AMBIGUOUS`: two places hold different tokens; which one is meant is not guessed.
    #[error("the request has two different tokens; send one")]
    Ambiguous,
    /// `TOKEN_TOO_LONG`.
    #[error("the token has {length} bytes; at most {max} are accepted", max = Token::MAX_LENGTH)]
    TooLong {
        /// The token's length in bytes.
        length: usize,
    },
    /// `TOKEN_MALFORMED`: no JSON Web Token, with what was expected.
    #[error("the token is malformed; expected {0}")]
    Malformed(&'static str),
    /// `TOKEN_ALGORITHM`: signed, or not signed, in another way than is configured.
    #[error("the token's algorithm is not accepted; expected {expected}")]
    Algorithm {
        /// The configured algorithm, such as `HS256`.
        expected: String,
    },
    /// `TOKEN_SIGNATURE`: altered, or signed by somebody else.
    #[error("the token's signature is wrong; get a token from the issuer that this service trusts")]
    Signature,
    /// `TOKEN_ISSUER`: well signed, but `iss` names another issuer or none.
    #[error("the token's `iss` claim is not the expected {expected:?}")]
    Issuer {
        /// The configured issuer.
        expected: String,
    },
    /// `TOKEN_AUDIENCE`: well signed, but for another service.
    #[error("the token's `aud` claim does not contain the expected {expected:?}")]
    Audience {
        /// The configured audience.
        expected: String,
    },
    /// `TOKEN_TIME`: `exp` is missing, or `exp` or `nbf` is no point in time.
    #[error("the token's `{claim}` claim is missing or no number of seconds since 1970")]
    Time {
        /// `exp` or `nbf`.
        claim: &'static str,
    },
    /// `TOKEN_EXPIRED`.
    #[error("the token expired at {expired_at} (seconds since 1970); get a new one")]
    Expired {
        /// Seconds since 1970.
        expired_at: u64,
    },
    /// `TOKEN_NOT_YET_VALID`.
    #[error("the token is valid only from {not_before} on (seconds since 1970); check the clocks")]
    NotYetValid {
        /// Seconds since 1970.
        not_before: u64,
    },
    /// `ORIGIN_MISSING`: a cookie without the one `Origin` header that says which page sent it.
    #[error(
        "a token in a cookie needs one Origin header of the form https://app.example; programs \
         other than browsers send the token in the Authorization header"
    )]
    MissingOrigin,
    /// `ORIGIN_FOREIGN`: a cookie sent by a page of a site that is not allowed to.
    #[error("pages of {0} may not use the cookie here; expected this host or an allowed origin")]
    ForeignOrigin(Origin),
    /// `CLAIM_SUB`: well signed, but for nobody.
    #[error("the token's `sub` claim is not a string that names the user")]
    Subject,
    /// `CLAIM_TENANT`: well signed, but for no tenant.
    #[error(
        "the token's `tenant` claim is not the name of a tenant: 1 to 32 characters of a-z, 0-9, \
         _ and -"
    )]
    Tenant,
}

impl Refusal {
    /// 401 if another token would help, 403 if who is asking is known, or known not to matter, and
    /// may not come in.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Missing { .. }
            | Self::Scheme
            | Self::Ambiguous
            | Self::TooLong { .. }
            | Self::Malformed(_)
            | Self::Algorithm { .. }
            | Self::Signature
            | Self::Issuer { .. }
            | Self::Audience { .. }
            | Self::Time { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. } => StatusCode::UNAUTHORIZED,
            Self::MissingOrigin | Self::ForeignOrigin(_) | Self::Subject | Self::Tenant => {
                StatusCode::FORBIDDEN
            }
        }
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
            Self::Algorithm { .. } => "TOKEN_ALGORITHM",
            Self::Signature => "TOKEN_SIGNATURE",
            Self::Issuer { .. } => "TOKEN_ISSUER",
            Self::Audience { .. } => "TOKEN_AUDIENCE",
            Self::Time { .. } => "TOKEN_TIME",
            Self::Expired { .. } => "TOKEN_EXPIRED",
            Self::NotYetValid { .. } => "TOKEN_NOT_YET_VALID",
            Self::MissingOrigin => "ORIGIN_MISSING",
            Self::ForeignOrigin(_) => "ORIGIN_FOREIGN",
            Self::Subject => "CLAIM_SUB",
            Self::Tenant => "CLAIM_TENANT",
        }
    }
}
