//! The codes that operations have in common.

#[expect(clippy::enum_glob_use, reason = "the lists below are of these variants alone")]
use crate::error::ApiCode::{self, *};

/// Of any request.
pub(super) const ANY: &[ApiCode] =
    &[RequestMalformed, Host, HeaderRepeated, UriTooLong, HeadersTooLarge, Starting];

/// Of any request with a token.
pub(super) const TOKEN: &[ApiCode] = &[
    TokenMissing,
    TokenScheme,
    TokenAmbiguous,
    TokenTooLong,
    TokenMalformed,
    TokenType,
    TokenAlgorithm,
    TokenSignature,
    TokenKey,
    TokenIssuer,
    TokenAudience,
    TokenTime,
    TokenExpired,
    TokenNotYetValid,
    TokenLifetime,
    TokenRevoked,
    UserDisabled,
    TenantUnknown,
    TenantForeign,
    ClaimSub,
    ClaimTenant,
    KeysUnavailable,
    UserUnreadable,
];

/// Of a request whose token may come from a page.
pub(super) const PAGE: &[ApiCode] = &[OriginMissing, OriginForeign];

/// Of an administrator's request.
pub(super) const ADMIN: &[ApiCode] = &[ScopeMissing, Parameter, TooManyAttempts, Internal, Unavailable];

/// Of a request with a body.
pub(super) const BODY: &[ApiCode] = &[Body, BodyLate, BodyTooLarge];

/// Of a producer's request.
pub(super) const PRODUCER: &[ApiCode] = &[
    KeyUnknown,
    KeyExpired,
    KeyRevoked,
    KeyUnreadable,
    ScopeMissing,
    ClaimPublish,
    EventForbidden,
    Parameter,
    EventName,
    HeaderValue,
    EventRejected,
    EventTooLarge,
    TooManyEvents,
    Draining,
    Unavailable,
];

/// Of a request to connect.
pub(super) const CONNECT: &[ApiCode] = &[
    BodyUnexpected,
    ParameterRepeated,
    DeviceName,
    Position,
    ConsumerName,
    TooManyDevices,
    TooManyAttempts,
    TooManyConnectionsOfUser,
    TooManyConnectionsOfTenant,
    TooManyConnections,
    Draining,
    Unavailable,
    Moving,
    NoPosition,
    ConsumerUnreadable,
    PlacementUnreadable,
    Internal,
];
