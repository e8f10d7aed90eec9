//! The description of the HTTP interface, `GET /openapi.json` (`OpenAPI` 3.1): every operation, parameter, body, answer and code.
//!
//! It is written here, beside the routes, and not derived from them: what the routes do not say, such as their codes, would be
//! missing. Tests ask a running gateway whether it is true (`tests/http_publish/described.rs`): for every route and method, for the
//! parameters and members that are accepted, and with thousands of generated requests for the answers.

mod codes;
mod operations;
mod schemas;

use std::sync::LazyLock;

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use self::operations::{Operation, operations};
use crate::error::ApiCode;

/// The document.
pub(super) static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

const ABOUT: &str = "Events of producers, connections of clients, and administration. Errors are problems of RFC 9457; programs \
                     read their `code`. Any other path is answered with 404 and `NOT_FOUND`, any other method of a path with 405 \
                     and `METHOD_NOT_ALLOWED`. Times are RFC 3339 in UTC with milliseconds. The operations of administration are \
                     served where `gateway.admin_listen` says, the others where `gateway.listen` says.";

fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations() {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            methods.insert(operation.method.to_owned(), described(&operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidings gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": [
            { "name": "clients", "description": "Connections of clients." },
            { "name": "producers", "description": "Publishing events." },
            { "name": "administration", "description": "Of the token's tenant, whose claim `scope` has `tidings:admin`." },
            { "name": "descriptions", "description": "What there is." },
            { "name": "health", "description": "For load balancers." },
        ],
        "paths": paths,
        "components": { "schemas": schemas::all(), "securitySchemes": schemas::security() },
    })
}

fn described(operation: &Operation) -> Value {
    let mut answers: Map<String, Value> = Map::new();
    for (status, answer) in &operation.answers {
        answers.insert(status.to_string(), answer.clone());
    }
    let mut statuses: Vec<u16> = operation.codes.iter().map(|code| code.status().as_u16()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    for status in statuses {
        let codes = operation.codes.iter().filter(|code| code.status().as_u16() == status);
        answers.insert(status.to_string(), refusal(status, &codes.copied().collect::<Vec<_>>()));
    }
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": operation.security,
        "responses": answers,
    });
    if let Value::Object(members) = &mut described {
        if !operation.parameters.is_empty() {
            members.insert("parameters".to_owned(), json!(operation.parameters));
        }
        members.extend(operation.body.clone().map(|body| ("requestBody".to_owned(), body)));
    }
    described
}

/// The answer to a request that is refused with one of these codes.
fn refusal(status: u16, codes: &[ApiCode]) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let lines = codes.iter().map(|code| format!("- `{}`: {}", code.as_str(), code.title()));
    let text = format!("{}\n\n{}", reason.unwrap_or_default(), lines.collect::<Vec<_>>().join("\n"));
    let mut answer = json!({
        "description": text,
        "content": { "application/problem+json": { "schema": {
            "allOf": [{ "$ref": "#/components/schemas/Problem" }],
            "properties": { "status": { "const": status }, "code": { "enum": names } },
        } } },
    });
    let seconds = json!({ "type": "string", "pattern": "^[0-9]+$" });
    let header = match status {
        401 => Some(("WWW-Authenticate", json!({ "type": "string", "const": "Bearer" }))),
        426 => Some(("Sec-WebSocket-Version", json!({ "type": "string", "const": "13" }))),
        429 | 503 => Some(("Retry-After", seconds)),
        _ => None,
    };
    if let (Some((name, schema)), Value::Object(members)) = (header, &mut answer) {
        members.insert("headers".to_owned(), json!({ name: { "schema": schema, "required": true } }));
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A code that no operation has would be an answer that nobody expects.
    #[test]
    fn every_code_is_described() {
        let described: BTreeSet<_> =
            operations().iter().flat_map(|operation| operation.codes.clone()).map(ApiCode::as_str).collect();
        let all: BTreeSet<_> = crate::error::error_codes().map(|(_, code, _)| code).collect();
        let missing: Vec<_> =
            all.difference(&described).filter(|code| !ABOUT.contains(&format!("`{code}`"))).collect();
        assert_eq!(missing, [&""; 0]);
    }
}
