//! Who may come in: from an HTTP request to a [`Passport`] and a WebSocket (RFC 6455, section 4.2).

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use axum::http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use tidings_access::{Asking, Claims, Refusal, Token, Transport};
use tidings_model::{Position, PositionError};
use tidings_protocol::extensions::PermessageDeflate;
use tidings_protocol::server::{SUBPROTOCOL, choose_subprotocol};
use tidings_streams::consumers::{ConsumerName, ConsumerNameError};
use tidings_streams::users::{UserName, UserNameError};
use time::OffsetDateTime;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::accept::Peer;
use crate::audit::{Administrator, Refused};
use crate::framed::Form;
use crate::limits::{Exceeded, Seat};
use crate::session::Passport;
use crate::shared::Shared;
use crate::users::Barred;

/// The longest name of a device, in bytes.
const MAX_DEVICE: usize = 64;

/// The scope of those who look after a tenant's users.
const ADMIN_SCOPE: &str = "tidings:admin";

/// A request that becomes a connection.
pub(crate) struct Admission {
    pub(crate) passport: Passport,
    /// Counts the connection from here on.
    pub(crate) seat: Seat,
    pub(crate) form: Form,
    /// Whether messages may be compressed.
    pub(crate) deflate: bool,
    /// The position that the client kept itself.
    pub(crate) since: Option<Position>,
    /// The headers of the answer, 101 Switching Protocols.
    pub(crate) headers: HeaderMap,
}

/// Why a request does not become a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denied {
    #[error("this is a WebSocket endpoint; send GET with `Connection: Upgrade` and `Upgrade: websocket`")]
    NoUpgrade,
    #[error("WebSocket version {0:?} is not supported, expected 13")]
    Version(String),
    #[error("the header Sec-WebSocket-Key is missing or is not 16 bytes in base64")]
    NoKey,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    #[error("tenant {0:?} is not served here")]
    Tenant(String),
    #[error("the token's `scope` claim does not contain {ADMIN_SCOPE}")]
    NoAdmin(UserName),
    #[error("{1}")]
    Barred(UserName, Barred),
    #[error(transparent)]
    User(#[from] UserNameError),
    #[error("the device {0:?} is not a name of 1 to 64 printable characters")]
    Device(String),
    #[error(transparent)]
    Consumer(#[from] ConsumerNameError),
    #[error(transparent)]
    Since(#[from] PositionError),
}

impl Denied {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoUpgrade | Self::Version(_) => StatusCode::UPGRADE_REQUIRED,
            Self::NoKey | Self::Device(_) | Self::Since(_) => StatusCode::BAD_REQUEST,
            Self::Refused(refusal) => refusal.status(),
            Self::Exceeded(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Tenant(_) | Self::Consumer(_) | Self::User(_) | Self::NoAdmin(_) => StatusCode::FORBIDDEN,
            Self::Barred(_, barred) => barred.status(),
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoUpgrade => "UPGRADE_REQUIRED",
            Self::Version(_) => "WEBSOCKET_VERSION",
            Self::NoKey => "WEBSOCKET_KEY",
            Self::Refused(refusal) => refusal.code(),
            Self::Exceeded(exceeded) => exceeded.code(),
            Self::Tenant(_) => "TENANT_UNKNOWN",
            Self::NoAdmin(_) => "SCOPE_MISSING",
            Self::Barred(_, barred) => barred.code(),
            Self::User(_) => "CLAIM_SUB",
            Self::Device(_) => "DEVICE_NAME",
            Self::Consumer(_) => "CONSUMER_NAME",
            Self::Since(_) => "POSITION",
        }
    }

    /// When another attempt is worth it, if that is known.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(Refusal::KeysUnavailable { retry_after }) => Some(*retry_after),
            Self::Exceeded(exceeded) => Some(exceeded.retry_after()),
            _ => None,
        }
    }

    /// The same for the audit log.
    pub(crate) fn at(&self, what: &'static str, from: IpAddr) -> Refused<'_> {
        let (status, code) = (self.status(), self.code());
        Refused { what, status, code, why: self, who: self.who(), from }
    }

    /// Who it is, where a good token says so.
    fn who(&self) -> Option<&UserName> {
        match self {
            Self::NoAdmin(who) | Self::Barred(who, _) => Some(who),
            _ => None,
        }
    }
}

/// Decides about a request. It waits only for the key of a token that is signed with a new one.
pub(crate) async fn admit(shared: &Shared, request: &Parts) -> Result<Admission, Denied> {
    let headers = &request.headers;
    let is_upgrade = request.method == Method::GET
        && has_token(headers, CONNECTION.as_str(), "upgrade")
        && has_token(headers, UPGRADE.as_str(), "websocket");
    if !is_upgrade {
        return Err(Denied::NoUpgrade);
    }
    let version = headers.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes).unwrap_or_default();
    if version != b"13" {
        return Err(Denied::Version(String::from_utf8_lossy(version).chars().take(16).collect()));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| is_nonce(key.as_bytes())).ok_or(Denied::NoKey)?;
    let query = request.uri.query();
    let token = token(shared, request)?;
    if shared.rules.requires_origin {
        tidings_access::check_origin(asking(request), &shared.rules)?;
    }
    let device = device(query)?;
    let claims = verify(shared, &token).await?;
    let passport = passport(shared, &claims, device.as_deref())?;
    let since = since(query)?;
    let limits = shared.limits.of(passport.tenant(), &shared.settings);
    let seat = limits.admit(passport.consumer.user())?;

    let mut answer = HeaderMap::new();
    answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    let form = form(headers);
    if form == Form::Sequenced {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    let agreed = shared.settings.compression.then(|| extension(headers)).flatten();
    let deflate = agreed.is_some();
    answer.extend(agreed.map(|agreed| (SEC_WEBSOCKET_EXTENSIONS, agreed)));
    Ok(Admission { passport, seat, form, deflate, since, headers: answer })
}

/// The token of a request, unless too many have come from the same address.
fn token(shared: &Shared, request: &Parts) -> Result<Token, Denied> {
    shared.limits.attempt(Peer::of(&request.extensions))?;
    Ok(tidings_access::find(asking(request), &shared.rules)?)
}

fn asking(request: &Parts) -> Asking<'_> {
    let transport = request.extensions.get().copied().unwrap_or(Transport::Unknown);
    Asking { headers: &request.headers, query: request.uri.query(), transport }
}

/// Checks a token, with the issuer's newest keys if need be.
pub(crate) async fn verify(shared: &Shared, token: &Token) -> Result<Claims, Refusal> {
    shared.verifier.verify(token, || (shared.clock)().into()).await
}

/// From verified claims to what they open. The device is the given one, else the token's session, else
/// `default`.
pub(crate) fn passport(shared: &Shared, claims: &Claims, device: Option<&str>) -> Result<Passport, Denied> {
    let catalogs = shared.catalogs();
    let served = catalogs.get_key_value(&claims.tenant);
    // One piece of memory for the tenant's name, however many come.
    let (tenant, catalog) = served.ok_or_else(|| Denied::Tenant(claims.tenant.to_string()))?;
    check_user(shared, claims)?;
    let device = device.or(claims.session.as_deref()).unwrap_or("default");
    let expires_at = i64::try_from(claims.expires_at).ok();
    let expires_at = expires_at.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let keys = catalog.keys(&claims.all);
    Ok(Passport {
        voice: catalog.voice(&claims.all, &keys),
        keys,
        consumer: ConsumerName::new(tenant.clone(), &claims.subject, device)?,
        // Beyond what a calendar holds, a token does not expire.
        expires_at: expires_at.unwrap_or(time::macros::datetime!(9999-12-31 23:59:59 UTC)),
        issued_at: claims.issued_at.and_then(NonZeroU64::new),
    })
}

/// Whether the user may be here with this token.
fn check_user(shared: &Shared, claims: &Claims) -> Result<(), Denied> {
    let checked = shared.users.check(&claims.tenant, &claims.subject, claims.issued_at);
    checked.or_else(|barred| Err(Denied::Barred(user_name(claims)?, barred)))
}

fn user_name(claims: &Claims) -> Result<UserName, UserNameError> {
    UserName::new(claims.tenant.clone(), &claims.subject)
}

/// Who sends the request and looks after the users of a tenant.
pub(crate) async fn administrator(shared: &Shared, request: &Parts) -> Result<Administrator, Denied> {
    let token = token(shared, request)?;
    let claims = verify(shared, &token).await?;
    if !claims.scopes().any(|scope| scope == ADMIN_SCOPE) {
        return Err(Denied::NoAdmin(user_name(&claims)?));
    }
    if !shared.catalogs().contains_key(&claims.tenant) {
        return Err(Denied::Tenant(claims.tenant.to_string()));
    }
    check_user(shared, &claims)?;
    let from = Peer::of(&request.extensions);
    Ok(Administrator { tenant: claims.tenant, user: claims.subject, from })
}

fn since(query: Option<&str>) -> Result<Option<Position>, Denied> {
    let mut parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let given = parameters.find(|(name, _)| name == "since");
    Ok(given.map(|(_, position)| position.parse()).transpose()?)
}

fn device(query: Option<&str>) -> Result<Option<String>, Denied> {
    let mut parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let Some((_, device)) = parameters.find(|(name, _)| name == "device") else { return Ok(None) };
    if device.is_empty() || device.len() > MAX_DEVICE || device.chars().any(char::is_control) {
        return Err(Denied::Device(device.chars().take(MAX_DEVICE).collect()));
    }
    Ok(Some(device.into_owned()))
}

/// Whether these are 16 bytes in base64 (RFC 6455, section 4.2.1): 22 digits and the padding.
fn is_nonce(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
}

fn form(headers: &HeaderMap) -> Form {
    let mut offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offered.find_map(choose_subprotocol).map_or(Form::Plain, |_| Form::Sequenced)
}

/// What is answered to the offers of extensions; `None` if there is none to accept.
fn extension(headers: &HeaderMap) -> Option<HeaderValue> {
    let offers = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().filter_map(|value| value.to_str().ok());
    HeaderValue::from_str(&PermessageDeflate::negotiate(offers)?.answer()).ok()
}

/// Whether a header that is a list has this element, in any case (RFC 6455, section 4.2.1).
fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|element| element.trim().eq_ignore_ascii_case(token))
}
