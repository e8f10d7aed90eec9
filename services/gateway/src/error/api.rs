//! What a refused request is answered with: one type for every status and code.
//!
//! Every answer has the same form, `{"error":{"code":…,"message":…}}`. The list of codes below is the only one: the
//! documents' table is generated from it, and a test compares the two.

use std::time::Duration;

use axum::http::header::{
    CONNECTION, CONTENT_TYPE, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tidings_access::Refusal;
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
        ParameterRepeated "PARAMETER_REPEATED" "`device` or `since` is there several times"
        Parameter "PARAMETER" "administration: a parameter of the query is unknown or cannot be read"
        Path "PATH" "administration: the path cannot be read"
        Body "BODY" "administration: the body is not the expected JSON object"
        User "USER" "administration: `user` is missing or is not a user's name"
        Reason "REASON" "administration: the reason is unknown or too long"
        Connection "CONNECTION" "administration: the path names no connection"
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
    }
    403 {
        UserDisabled "USER_DISABLED" "an administrator has disabled the user"
        TenantUnknown "TENANT_UNKNOWN" "the token's tenant has no catalog here"
        TenantForeign "TENANT_FOREIGN" "the token's issuer may not speak for its tenant"
        OriginMissing "ORIGIN_MISSING" "the header `Origin` is missing where it is required"
        OriginForeign "ORIGIN_FOREIGN" "pages of this origin may not connect"
        ClaimSub "CLAIM_SUB" "the token's `sub` names no user"
        ClaimTenant "CLAIM_TENANT" "the token's tenant claim names no tenant"
        ConsumerName "CONSUMER_NAME" "user or device is longer than a durable consumer's name may be"
        TooManyDevices "TOO_MANY_DEVICES" "the user has as many connected devices as are allowed"
        ScopeMissing "SCOPE_MISSING" "administration: the token lacks the scope `tidings:admin`"
    }
    404 {
        NotFound "NOT_FOUND" "nothing has this path or name"
    }
    405 {
        MethodNotAllowed "METHOD_NOT_ALLOWED" "the path does not serve this method; the header `Allow` lists those that it serves"
    }
    408 {
        BodyLate "BODY_LATE" "administration: the body did not arrive in time"
    }
    409 {
        EventIncomplete "EVENT_INCOMPLETE" "administration: the rejected event was not kept whole"
        Changed "CHANGED" "administration: the rejected event was retried or rejected again meanwhile"
    }
    413 {
        BodyTooLarge "BODY_TOO_LARGE" "administration: the body is too long or ended early"
    }
    414 {
        UriTooLong "URI_TOO_LONG" "the request's target is too long"
    }
    415 {
        ContentType "CONTENT_TYPE" "administration: the body is not `application/json`"
    }
    426 {
        UpgradeRequired "UPGRADE_REQUIRED" "the request is not a WebSocket handshake"
        WebSocketVersion "WEBSOCKET_VERSION" "the WebSocket version is not 13"
        HttpVersion "HTTP_VERSION" "the request is HTTP/1.0"
    }
    429 {
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
    503 {
        Starting "STARTING" "the gateway is starting"
        Draining "DRAINING" "the gateway is shutting down"
        Unavailable "UNAVAILABLE" "NATS is away, a stream or bucket is missing, or a worker has failed"
        TooManyConnections "TOO_MANY_CONNECTIONS" "the gateway has as many connections as are allowed"
        Moving "MOVING" "the tenant's messages are being moved to another shard"
        NoPosition "NO_POSITION" "the device's position cannot be read"
        KeysUnavailable "KEYS_UNAVAILABLE" "the keys of the token's issuer cannot be fetched"
        UserUnreadable "USER_UNREADABLE" "the user's record is damaged"
        ConsumerUnreadable "CONSUMER_UNREADABLE" "the device's record is damaged"
        PlacementUnreadable "PLACEMENT_UNREADABLE" "the tenant's record of where its messages are is damaged"
    }
}

impl ApiCode {
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
}

impl ApiError {
    pub(crate) fn new(code: ApiCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after: None, user: None }
    }

    /// Another attempt may succeed after this time.
    pub(crate) fn retry_after(self, time: Duration) -> Self {
        Self { retry_after: Some(time), ..self }
    }

    /// The user, where a verified token names one.
    pub(crate) fn of_user(self, user: Option<UserName>) -> Self {
        Self { user, ..self }
    }

    pub(crate) fn code(&self) -> ApiCode {
        self.code
    }

    pub(crate) fn user(&self) -> Option<&UserName> {
        self.user.as_ref()
    }

    /// The answer's body.
    fn body(&self) -> String {
        json!({ "error": { "code": self.code.as_str(), "message": self.message } }).to_string() + "\n"
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let mut response = (status, [(CONTENT_TYPE, "application/json")], self.body()).into_response();
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
        let retry_after = self.retry_after.or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY));
        if let Some(retry_after) = retry_after {
            // Rounded up: a client that returns too early is refused again.
            let seconds = retry_after.as_millis().div_ceil(1000).max(1).to_string();
            if let Ok(seconds) = HeaderValue::from_str(&seconds) {
                headers.insert(RETRY_AFTER, seconds);
            }
        }
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
    Some(ApiError::new(code, message).body())
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
            Refusal::Subject => ApiCode::ClaimSub,
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
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What a reader of the documents finds is what a client is answered with.
    #[test]
    fn the_documents_list_every_code() {
        let documents = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        let head = "| status | code | when |\n| --- | --- | --- |\n";
        let rows = error_codes().map(|(status, code, when)| format!("| {status} | `{code}` | {when} |\n"));
        let table = rows.collect::<Vec<_>>().concat();
        assert!(
            documents.contains(&format!("{head}{table}\n")),
            "expected in services/gateway/README.md:\n\n{head}{table}"
        );
    }

    #[test]
    fn each_code_is_listed_once_for_each_status() {
        let listed: BTreeSet<_> = error_codes().map(|(status, code, _)| (status, code)).collect();
        assert_eq!(listed.len(), ApiCode::ALL.len());
        for (status, ..) in error_codes() {
            assert!(StatusCode::from_u16(status).is_ok_and(|status| status.as_u16() >= 400), "{status}");
        }
    }

    #[test]
    fn an_access_refusal_keeps_its_status_and_code() {
        for refusal in [
            Refusal::Scheme,
            Refusal::UnusableKey,
            Refusal::KeysUnavailable { retry_after: Duration::from_secs(9) },
            Refusal::MissingOrigin,
            Refusal::Subject,
        ] {
            let error = ApiError::from(refusal.clone());
            assert_eq!((error.code().status(), error.code().as_str()), (refusal.status(), refusal.code()));
            assert_eq!(error.to_string(), refusal.to_string());
        }
    }

    #[test]
    fn heads_that_hyper_cannot_read_are_answered_with_a_code() {
        for (status, code) in [(400, "REQUEST_MALFORMED"), (414, "URI_TOO_LONG"), (431, "HEADERS_TOO_LARGE")]
        {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(unread_head(status).unwrap().contains(code));
            assert!(error_codes().any(|(listed, name, _)| (listed, name) == (status.as_u16(), code)));
        }
        assert_eq!(unread_head(StatusCode::NOT_FOUND), None);
    }

    #[test]
    fn an_answer_says_when_to_try_again() {
        let seconds = |error: ApiError| {
            let response = error.into_response();
            response.headers().get(RETRY_AFTER).map(|seconds| seconds.to_str().unwrap().to_owned())
        };
        let wait = Duration::from_millis(1_001);
        assert_eq!(
            seconds(ApiError::new(ApiCode::TooManyAttempts, "x").retry_after(wait)).as_deref(),
            Some("2")
        );
        assert_eq!(seconds(ApiError::new(ApiCode::Moving, "x")).as_deref(), Some("5"));
        assert_eq!(seconds(ApiError::new(ApiCode::Host, "x")), None);
    }
}
