//! What a refused request is answered with: one type for every status and code.
//!
//! Every answer is a problem of RFC 9457, with our `code` besides. The list of codes below is the only one: the documents'
//! table and the answers of `openapi.json` are generated from it, and tests compare them.

use std::time::Duration;

use axum::http::header::{CONNECTION, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tidings_access::Refusal;
use tidings_net::Problem;
use tidings_protocol::close::CloseCode;
use tidings_streams::consumers::ConsumerNameError;
use tidings_streams::users::{UserName, UserNameError};

/// When a client tries again, unless the error says otherwise.
const RETRY: Duration = Duration::from_secs(5);

macro_rules! error_codes {
    ($($status:literal { $($kind:ident $code:literal $when:literal)+ })+) => {
        /// A reason for which a request is refused. Programs read the code; its meaning never changes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum ApiCode {
            $($(#[doc = $when] $kind,)+)+
        }

        impl ApiCode {
            const ALL: &'static [Self] = &[$($(Self::$kind,)+)+];

            fn status_number(self) -> u16 {
                match self { $($(Self::$kind => $status,)+)+ }
            }

            /// The code that programs read.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $($(Self::$kind => $code,)+)+ }
            }

            fn when(self) -> &'static str {
                match self { $($(Self::$kind => $when,)+)+ }
            }
        }
    };
}

error_codes! {
    400 {
        RequestMalformed "REQUEST_MALFORMED" "the request is not HTTP/1.1"
        Host "HOST" "the header `Host` is missing or names no host"
        HeaderRepeated "HEADER_REPEATED" "a header that may be there once is there several times"
        BodyUnexpected "BODY_UNEXPECTED" "the request has a body and takes none"
        WebSocketKey "WEBSOCKET_KEY" "the header `Sec-WebSocket-Key` is missing or is not 16 bytes in base64"
        DeviceName "DEVICE_NAME" "`device` is not a name of 1 to 64 printable characters"
        Position "POSITION" "a position cannot be read"
        ParameterRepeated "PARAMETER_REPEATED" "a parameter of the query that may be there once is there several times"
        Parameter "PARAMETER" "a parameter of the query is unknown or cannot be read"
        Path "PATH" "the path cannot be read"
        Body "BODY" "the body is not the expected JSON"
        HeaderValue "HEADER_VALUE" "publishing: a header is not text"
        EventName "EVENT_NAME" "publishing: neither the path nor the CloudEvent's `type` names an event"
        IdempotencyKey "IDEMPOTENCY_KEY" "publishing: `Idempotency-Key` is no id, or differs from the CloudEvent's id"
        User "USER" "administration: `user` is missing or is not a user's name"
        Reason "REASON" "administration: the reason is unknown or too long"
        Connection "CONNECTION" "the path or the query names no connection"
        ConsumerPath "CONSUMER_NAME" "administration: the path names no consumer"
    }
    401 {
        TokenMissing "TOKEN_MISSING" "the request has no token"
        TokenScheme "TOKEN_SCHEME" "the header `Authorization` is not `Bearer <token>`"
        TokenAmbiguous "TOKEN_AMBIGUOUS" "the request has two different tokens"
        TokenTooLong "TOKEN_TOO_LONG" "the token is longer than `access.max_token_bytes`"
        TokenMalformed "TOKEN_MALFORMED" "the token is not a JSON Web Token"
        TokenType "TOKEN_TYPE" "the token's `typ` is not accepted"
        TokenAlgorithm "TOKEN_ALGORITHM" "the token is signed with another algorithm than is configured"
        TokenSignature "TOKEN_SIGNATURE" "the token's signature is wrong"
        TokenKey "TOKEN_KEY" "the token is signed with an unknown or unusable key"
        TokenIssuer "TOKEN_ISSUER" "the token's issuer is not configured"
        TokenAudience "TOKEN_AUDIENCE" "the token is for another audience"
        TokenTime "TOKEN_TIME" "`exp` is missing, or `exp`, `nbf` or `iat` is not a time"
        TokenExpired "TOKEN_EXPIRED" "the token has expired"
        TokenNotYetValid "TOKEN_NOT_YET_VALID" "the token is not valid yet"
        TokenLifetime "TOKEN_LIFETIME" "the token is valid for longer than is accepted"
        TokenRevoked "TOKEN_REVOKED" "an administrator has revoked the token"
        KeyUnknown "KEY_UNKNOWN" "publishing: there is no such API key"
        KeyExpired "KEY_EXPIRED" "publishing: the API key has expired"
        KeyRevoked "KEY_REVOKED" "publishing: an administrator has revoked the API key"
    }
    403 {
        UserDisabled "USER_DISABLED" "an administrator has disabled the user"
        TenantUnknown "TENANT_UNKNOWN" "the token's tenant has no catalog here"
        TenantForeign "TENANT_FOREIGN" "the token's issuer may not speak for its tenant"
        OriginMissing "ORIGIN_MISSING" "the header `Origin` is missing where it is required"
        OriginForeign "ORIGIN_FOREIGN" "pages of this origin may not connect"
        ClaimSub "CLAIM_SUB" "the token's user claim, `sub`, names no user"
        ClaimTenant "CLAIM_TENANT" "the token's tenant claim names no tenant"
        ConsumerName "CONSUMER_NAME" "user or device is longer than a durable consumer's name may be"
        TooManyDevices "TOO_MANY_DEVICES" "the user has as many connected devices as are allowed"
        ScopeMissing "SCOPE_MISSING" "the token lacks the scope: `tidings:admin` for administration, `tidings:publish` for publishing"
        ClaimPublish "CLAIM_PUBLISH" "publishing: the token's `tidings_events` or `tidings_source` cannot be read"
        EventForbidden "EVENT_FORBIDDEN" "publishing: the token or the API key does not permit this event or this source"
    }
    404 {
        NotFound "NOT_FOUND" "nothing has this path or name"
    }
    405 {
        MethodNotAllowed "METHOD_NOT_ALLOWED" "the path does not serve this method; the header `Allow` lists those that it serves"
    }
    408 {
        BodyLate "BODY_LATE" "the body did not arrive in time"
    }
    409 {
        EventIncomplete "EVENT_INCOMPLETE" "administration: the rejected event was not kept whole"
        Changed "CHANGED" "administration: the rejected event was retried or rejected again meanwhile"
        DeliveryDecided "DELIVERY_DECIDED" "administration: the delivery was sent or is under way, so that it cannot be retried"
    }
    410 {
        PositionGone "POSITION_GONE" "what lies behind the position cannot be delivered any more; `next` says where to go on"
    }
    413 {
        BodyTooLarge "BODY_TOO_LARGE" "the body is too long or ended early"
        BatchTooLarge "BATCH_TOO_LARGE" "publishing: the batch has more than 1,000 events"
        EventTooLarge "EVENT_TOO_LARGE" "publishing: the event is larger than `projector.max_event_bytes`, or than NATS stores"
    }
    414 {
        UriTooLong "URI_TOO_LONG" "the request's target is too long"
    }
    415 {
        ContentType "CONTENT_TYPE" "the body has a type that is not read here"
    }
    422 {
        EventRejected "EVENT_REJECTED" "publishing: the projector would reject the event; `reason` and `pointer` say why"
    }
    426 {
        UpgradeRequired "UPGRADE_REQUIRED" "the request is not a WebSocket handshake"
        WebSocketVersion "WEBSOCKET_VERSION" "the WebSocket version is not 13"
        HttpVersion "HTTP_VERSION" "the request is HTTP/1.0"
    }
    429 {
        TooManyEvents "TOO_MANY_EVENTS" "publishing: the address, the producer or the tenant publishes too much"
        TooManyAttempts "TOO_MANY_ATTEMPTS" "the address or the user connects too often"
        TooManyConnectionsOfUser "TOO_MANY_CONNECTIONS_OF_USER" "the user has as many connections as are allowed"
        TooManyConnectionsOfTenant "TOO_MANY_CONNECTIONS_OF_TENANT" "the tenant has as many connections as are allowed"
    }
    431 {
        HeadersTooLarge "HEADERS_TOO_LARGE" "the headers are too many or too long"
    }
    500 {
        Internal "INTERNAL" "the gateway failed; its log says why"
    }
    501 {
        ContactsOff "CONTACTS_OFF" "no key is configured with which contacts would be kept"
    }
    503 {
        Starting "STARTING" "the gateway is starting"
        Draining "DRAINING" "the gateway is shutting down"
        Unavailable "UNAVAILABLE" "NATS is away, a stream or bucket is missing, or a worker has failed"
        TooManyConnections "TOO_MANY_CONNECTIONS" "the gateway has as many connections as are allowed"
        Moving "MOVING" "the tenant's messages are being moved to another shard"
        NoPosition "NO_POSITION" "the device's position cannot be read"
        KeysUnavailable "KEYS_UNAVAILABLE" "the keys of the token's issuer cannot be fetched"
        KeyUnreadable "KEY_UNREADABLE" "publishing: the record of the API key is damaged"
        UserUnreadable "USER_UNREADABLE" "the user's record is damaged"
        ConsumerUnreadable "CONSUMER_UNREADABLE" "the device's record is damaged"
        ContactsUnreadable "CONTACTS_UNREADABLE" "the user's contacts are encrypted with an unknown key, or damaged"
        PlacementUnreadable "PLACEMENT_UNREADABLE" "the tenant's record of where its messages are is damaged"
    }
}

impl ApiCode {
    /// What the code means, without the part of the interface that it belongs to.
    pub(crate) fn title(self) -> &'static str {
        self.when().split_once(": ").map_or(self.when(), |(_, title)| title)
    }

    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status_number()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// Every status and code that a request may be refused with, and when.
pub fn error_codes() -> impl Iterator<Item = (u16, &'static str, &'static str)> {
    ApiCode::ALL.iter().map(|code| (code.status_number(), code.as_str(), code.when()))
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    code: ApiCode,
    message: String,
    retry_after: Option<Duration>,
    user: Option<UserName>,
    /// Members of the answer besides code and message.
    more: Vec<(&'static str, Value)>,
}

impl ApiError {
    pub(crate) fn new(code: ApiCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None, user: None, more: Vec::new() }
    }

    /// Another attempt may succeed after this time.
    pub(crate) fn retry_after(self, time: Duration) -> Self {
        Self { retry_after: Some(time), ..self }
    }

    /// The user, where a verified token names one.
    pub(crate) fn of_user(self, user: Option<UserName>) -> Self {
        Self { user, ..self }
    }

    /// The same with another message.
    pub(crate) fn saying(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// With this member in the answer.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    pub(crate) fn code(&self) -> ApiCode {
        self.code
    }

    /// The Close with which a handshake is refused: its code, and for programs a reason.
    pub(crate) fn close(&self) -> (CloseCode, String) {
        let code = match (self.code, self.code.status_number()) {
            (ApiCode::TokenRevoked, _) => CloseCode::TokenRevoked,
            (ApiCode::UserDisabled, _) => CloseCode::UserDisabled,
            // A device may leave at any time.
            (ApiCode::TooManyDevices, _) | (_, 429) => CloseCode::TooManyConnections,
            (_, 401) => CloseCode::TokenExpired,
            (_, 403) => CloseCode::Forbidden,
            (_, 500) => CloseCode::InternalError,
            (_, 503) => CloseCode::TryAgainLater,
            _ => CloseCode::BadRequest,
        };
        let reason = self.code.as_str();
        let reason = match self.retry_seconds() {
            Some(seconds) => format!("{reason}; retry_after={seconds}"),
            None => reason.to_owned(),
        };
        (code, reason)
    }

    /// After how many seconds another attempt may succeed; rounded up, since a client that returns too early is refused
    /// again.
    fn retry_seconds(&self) -> Option<u128> {
        let is_unavailable = self.code.status() == StatusCode::SERVICE_UNAVAILABLE;
        let retry_after = self.retry_after.or(is_unavailable.then_some(RETRY));
        retry_after.map(|time| time.as_millis().div_ceil(1000).max(1))
    }

    pub(crate) fn user(&self) -> Option<&UserName> {
        self.user.as_ref()
    }

    /// The answer.
    pub(crate) fn problem(&self) -> Problem<'_> {
        let Self { code, message, more, .. } = self;
        let (status, title) = (code.status(), code.title());
        Problem { status, code: code.as_str(), title, detail: message, more }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let mut response = self.problem().into_response();
        let headers = response.headers_mut();
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                // RFC 9110, sections 15.5.22 and 7.8.
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            }
            _ => {}
        }
        let seconds =
            self.retry_seconds().and_then(|seconds| HeaderValue::from_str(&seconds.to_string()).ok());
        headers.extend(seconds.map(|seconds| (RETRY_AFTER, seconds)));
        response
    }
}

/// The body of an answer to a request whose head cannot be read; `None` for any other status.
pub(crate) fn unread_head(status: StatusCode) -> Option<String> {
    let (code, message) = match status {
        StatusCode::BAD_REQUEST => (ApiCode::RequestMalformed, "the request is not HTTP/1.1"),
        StatusCode::URI_TOO_LONG => (ApiCode::UriTooLong, "the request's target has more than 65,534 bytes"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => (
            ApiCode::HeadersTooLarge,
            "the request has too many headers, or too many bytes in them and in the request line \
             (`gateway.max_headers`, `gateway.max_header_bytes`)",
        ),
        _ => return None,
    };
    Some(ApiError::new(code, message).problem().body())
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::Missing { .. } => ApiCode::TokenMissing,
            Refusal::Scheme => ApiCode::TokenScheme,
            Refusal::Ambiguous => ApiCode::TokenAmbiguous,
            Refusal::TooLong { .. } => ApiCode::TokenTooLong,
            Refusal::Malformed(_) => ApiCode::TokenMalformed,
            Refusal::Type { .. } => ApiCode::TokenType,
            Refusal::Algorithm { .. } => ApiCode::TokenAlgorithm,
            Refusal::Signature => ApiCode::TokenSignature,
            Refusal::UnknownKey | Refusal::UnusableKey => ApiCode::TokenKey,
            Refusal::KeysUnavailable { .. } => ApiCode::KeysUnavailable,
            Refusal::Issuer => ApiCode::TokenIssuer,
            Refusal::Audience { .. } => ApiCode::TokenAudience,
            Refusal::Time { .. } => ApiCode::TokenTime,
            Refusal::Expired { .. } => ApiCode::TokenExpired,
            Refusal::NotYetValid { .. } => ApiCode::TokenNotYetValid,
            Refusal::Lifetime { .. } => ApiCode::TokenLifetime,
            Refusal::MissingOrigin => ApiCode::OriginMissing,
            Refusal::ForeignOrigin(_) => ApiCode::OriginForeign,
            Refusal::Subject { .. } => ApiCode::ClaimSub,
            Refusal::Tenant { .. } => ApiCode::ClaimTenant,
            Refusal::ForeignTenant(_) => ApiCode::TenantForeign,
        };
        let error = Self::new(code, refusal.to_string());
        match refusal {
            Refusal::KeysUnavailable { retry_after } => error.retry_after(retry_after),
            _ => error,
        }
    }
}

impl From<UserNameError> for ApiError {
    fn from(error: UserNameError) -> Self {
        Self::new(ApiCode::ClaimSub, error.to_string())
    }
}

impl From<ConsumerNameError> for ApiError {
    fn from(error: ConsumerNameError) -> Self {
        Self::new(ApiCode::ConsumerName, error.to_string())
    }
}

#[cfg(test)]
mod tests;
