//! The codes that operations have in common.

use crate::error::ApiCode;

/// Of any request.
pub(super) const ANY: &[ApiCode] = &[
    ApiCode::RequestMalformed,
    ApiCode::Host,
    ApiCode::HeaderRepeated,
    ApiCode::UriTooLong,
    ApiCode::HeadersTooLarge,
    ApiCode::Starting,
];

/// Of any request with a token.
pub(super) const TOKEN: &[ApiCode] = &[
    ApiCode::TokenMissing,
    ApiCode::TokenScheme,
    ApiCode::TokenAmbiguous,
    ApiCode::TokenTooLong,
    ApiCode::TokenMalformed,
    ApiCode::TokenType,
    ApiCode::TokenAlgorithm,
    ApiCode::TokenSignature,
    ApiCode::TokenKey,
    ApiCode::TokenIssuer,
    ApiCode::TokenAudience,
    ApiCode::TokenTime,
    ApiCode::TokenExpired,
    ApiCode::TokenNotYetValid,
    ApiCode::TokenLifetime,
    ApiCode::TokenRevoked,
    ApiCode::UserDisabled,
    ApiCode::TenantUnknown,
    ApiCode::TenantForeign,
    ApiCode::ClaimSub,
    ApiCode::ClaimTenant,
    ApiCode::KeysUnavailable,
    ApiCode::UserUnreadable,
];

/// Of a request whose token may come from a page.
pub(super) const PAGE: &[ApiCode] = &[ApiCode::OriginMissing, ApiCode::OriginForeign];

/// Of an administrator's request.
pub(super) const ADMIN: &[ApiCode] = &[
    ApiCode::ScopeMissing,
    ApiCode::Parameter,
    ApiCode::TooManyAttempts,
    ApiCode::Internal,
    ApiCode::Unavailable,
];

/// Of a request with a body.
pub(super) const BODY: &[ApiCode] = &[ApiCode::Body, ApiCode::BodyLate, ApiCode::BodyTooLarge];

/// Of a producer's request.
pub(super) const PRODUCER: &[ApiCode] = &[
    ApiCode::KeyUnknown,
    ApiCode::KeyExpired,
    ApiCode::KeyRevoked,
    ApiCode::KeyUnreadable,
    ApiCode::ScopeMissing,
    ApiCode::ClaimPublish,
    ApiCode::EventForbidden,
    ApiCode::Parameter,
    ApiCode::EventName,
    ApiCode::HeaderValue,
    ApiCode::EventRejected,
    ApiCode::EventTooLarge,
    ApiCode::TooManyEvents,
    ApiCode::Draining,
    ApiCode::Unavailable,
];

/// Of a request to connect.
pub(super) const CONNECT: &[ApiCode] = &[
    ApiCode::BodyUnexpected,
    ApiCode::ParameterRepeated,
    ApiCode::DeviceName,
    ApiCode::Position,
    ApiCode::ConsumerName,
    ApiCode::TooManyDevices,
    ApiCode::TooManyAttempts,
    ApiCode::TooManyConnectionsOfUser,
    ApiCode::TooManyConnectionsOfTenant,
    ApiCode::TooManyConnections,
    ApiCode::Draining,
    ApiCode::Unavailable,
    ApiCode::Moving,
    ApiCode::NoPosition,
    ApiCode::ConsumerUnreadable,
    ApiCode::PlacementUnreadable,
    ApiCode::Internal,
];
