//! Who may come in: from an HTTP request to a [`Passport`] and a WebSocket (RFC 6455, section 4.2).

use std::borrow::Cow;
use std::num::NonZeroU64;

use axum::http::header::{SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use tidings_access::{Asking, Claims, Refusal, Rules, Token, Transport};
use tidings_model::Position;
use tidings_protocol::extensions::PermessageDeflate;
use tidings_streams::consumers::ConsumerName;
use tidings_streams::users::{UserName, UserNameError};
use time::OffsetDateTime;

use crate::api::query::HandshakeQuery;
use crate::api::subprotocol;
use crate::api::upgrade::Upgrade;
pub(crate) use crate::api::upgrade::has_body;
use crate::audit::Administrator;
pub(crate) use crate::auth::denied::Denied;
use crate::context::Shared;
use crate::limits::Seat;
use crate::net::serve::Peer;
use crate::replica::frame::Form;
use crate::session::Passport;

/// The scope of those who look after a tenant's users.
pub(super) const ADMIN_SCOPE: &str = "tidings:admin";

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

/// Decides about a request. It waits only for the key of a token that is signed with a new one.
pub(crate) async fn admit(shared: &Shared, request: &Parts) -> Result<Admission, Denied> {
    let upgrade = Upgrade::read(request)?;
    let token = token(shared, request, &shared.rules)?;
    if shared.rules.requires_origin {
        tidings_access::check_origin(asking(request), &shared.rules)?;
    }
    let HandshakeQuery { device, since } = HandshakeQuery::read(request.uri.query())?;
    let claims = verify(shared, &token).await?;
    let passport = passport(shared, &claims, device.as_deref())?;
    let limits = shared.limits.of(passport.tenant(), &shared.settings);
    let seat = limits.admit(passport.consumer.user())?;

    let headers = &request.headers;
    let mut answer = upgrade.answer();
    let (form, subprotocol) = subprotocol::choose(headers, &shared.rules);
    answer.extend(subprotocol.map(|chosen| (SEC_WEBSOCKET_PROTOCOL, chosen)));
    let agreed = shared.settings.compression.then(|| extension(headers)).flatten();
    let deflate = agreed.is_some();
    answer.extend(agreed.map(|agreed| (SEC_WEBSOCKET_EXTENSIONS, agreed)));
    Ok(Admission { passport, seat, form, deflate, since, headers: answer })
}

/// The token of a request, unless too many have come from the same address.
fn token(shared: &Shared, request: &Parts, rules: &Rules) -> Result<Token, Denied> {
    shared.limits.attempt(Peer::of(&request.extensions))?;
    Ok(tidings_access::find(asking(request), rules)?)
}

fn asking(request: &Parts) -> Asking<'_> {
    let transport = request.extensions.get().copied().unwrap_or(Transport::Unknown);
    Asking { headers: &request.headers, query: request.uri.query(), transport }
}

/// Checks a token, with the issuer's newest keys if need be.
pub(crate) async fn verify(shared: &Shared, token: &Token) -> Result<Claims, Refusal> {
    shared.verifier.verify(token, || (shared.clock)().into()).await
}

/// From verified claims to what they open.
pub(crate) fn passport(shared: &Shared, claims: &Claims, device: Option<&str>) -> Result<Passport, Denied> {
    let catalogs = shared.catalogs();
    let served = catalogs.get_key_value(&claims.tenant);
    // One piece of memory for the tenant's name, however many come.
    let (tenant, catalog) = served.ok_or_else(|| Denied::Tenant(claims.tenant.to_string()))?;
    check_user(shared, claims)?;
    let device = device.map_or_else(|| device_of(claims, &shared.settings.device_claims), Cow::Borrowed);
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

/// The device of a client that names none: what the first of these claims says, else `default`, which all of the
/// user's clients share that cannot be told apart.
fn device_of<'c>(claims: &'c Claims, names: &[String]) -> Cow<'c, str> {
    let mut texts = names.iter().flat_map(|name| claims.claim_texts(name));
    texts.find(|text| !text.is_empty()).unwrap_or(Cow::Borrowed("default"))
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
    let token = token(shared, request, &shared.admin_rules)?;
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

/// What is answered to the offers of extensions; `None` if there is none to accept.
fn extension(headers: &HeaderMap) -> Option<HeaderValue> {
    let offers = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().filter_map(|value| value.to_str().ok());
    HeaderValue::from_str(&PermessageDeflate::negotiate(offers)?.answer()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tidings_model::Tenant;
    use tidings_runtime::config::GatewayConfig;

    use super::*;

    #[test]
    fn the_device_is_what_stays_the_same_when_a_token_is_refreshed() {
        let names = GatewayConfig::default().device_claims;
        let check = |all: serde_json::Value, expected: &str| {
            let claims = Claims {
                subject: "ada".to_owned(),
                tenant: Tenant::parse("ops").unwrap(),
                expires_at: 0,
                issued_at: None,
                session: None,
                all: all.as_object().unwrap().clone(),
            };
            assert_eq!(device_of(&claims, &names), expected, "{all}");
        };
        check(json!({}), "default");
        check(json!({ "jti": "changes with each token" }), "default");
        check(json!({ "sid": "s", "origin_jti": "o", "jti": "j" }), "s");
        check(json!({ "session_state": "k" }), "k");
        check(json!({ "origin_jti": "o" }), "o");
        check(json!({ "sid": "", "session_id": "i" }), "i");
        check(json!({ "sid": null, "session_id": 7 }), "7");
    }
}
