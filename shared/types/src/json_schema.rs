//! Pieces of the JSON Schemas in descriptions of interfaces, which both the HTTP interface and the messages have.

use serde_json::{Map, Value, json};

/// An object with these members, of which those with a `?` may be absent; others may be there, too.
#[must_use]
pub fn object(members: &[(&str, Value)]) -> Value {
    let name = |member: &str| member.trim_end_matches('?').to_owned();
    let properties: Map<String, Value> =
        members.iter().map(|(member, schema)| (name(member), schema.clone())).collect();
    let required: Vec<&str> =
        members.iter().map(|(member, _)| *member).filter(|member| !member.ends_with('?')).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

/// A text.
#[must_use]
pub fn text(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

/// A time as every interface has it: in UTC, with milliseconds (RFC 3339).
#[must_use]
pub fn time(about: &str) -> Value {
    json!({
        "type": "string", "format": "date-time", "description": about,
        "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
    })
}
