//! Whether a request becomes a connection: the WebSocket handshake (RFC 6455, section 4.2) and the token.

use std::borrow::Cow;

use axum::http::header::{SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use tidings_access::Claims;
use tidings_model::Position;
use tidings_protocol::extensions::PermessageDeflate;

use super::query::HandshakeQuery;
use super::subprotocol;
use super::upgrade::Upgrade;
use crate::auth::Principal;
use crate::context::Context;
use crate::error::ApiError;
use crate::limits::ConnectionPermit;
use crate::replica::Form;

/// A request that becomes a connection.
pub(super) struct Admission {
    pub(super) principal: Principal,
    /// Counts the connection from here on.
    pub(super) permit: ConnectionPermit,
    pub(super) form: Form,
    /// Whether permessage-deflate was negotiated.
    pub(super) is_compressed: bool,
    /// The position that the client kept itself.
    pub(super) since: Option<Position>,
    /// The headers of the answer, 101 Switching Protocols.
    pub(super) headers: HeaderMap,
}

/// Decides about a request. Does I/O only for the key of a token that is signed with a new one.
pub(super) async fn admit(context: &Context, request: &Parts) -> Result<Admission, ApiError> {
    let upgrade = Upgrade::read(request)?;
    let token = context.authenticator.client_token(request)?;
    let HandshakeQuery { device, since } = HandshakeQuery::read(request.uri.query())?;
    let claims = context.authenticator.verify(&token).await?;
    let device = device.map_or_else(|| device_of(&claims, &context.settings.device_claims), Cow::Owned);
    let principal = context.authenticator.principal(&claims, &device)?;
    let limits = context.limits.of(principal.tenant(), &context.settings);
    let permit = limits.admit(principal.consumer.user())?;

    let headers = &request.headers;
    let mut answer = upgrade.answer();
    let (form, subprotocol) = subprotocol::choose(headers, context.authenticator.takes_subprotocols());
    answer.extend(subprotocol.map(|chosen| (SEC_WEBSOCKET_PROTOCOL, chosen)));
    let agreed = context.settings.compression.then(|| extension(headers)).flatten();
    let is_compressed = agreed.is_some();
    answer.extend(agreed.map(|agreed| (SEC_WEBSOCKET_EXTENSIONS, agreed)));
    Ok(Admission { principal, permit, form, is_compressed, since, headers: answer })
}

/// The device of a client that names none: the first of these claims that the token has, else `default`, which all of the
/// user's clients share that cannot be told apart.
fn device_of<'c>(claims: &'c Claims, names: &[String]) -> Cow<'c, str> {
    let mut texts = names.iter().flat_map(|name| claims.claim_texts(name));
    texts.find(|text| !text.is_empty()).unwrap_or(Cow::Borrowed("default"))
}

/// The answer to the offered extensions; `None` if none of them is accepted.
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
