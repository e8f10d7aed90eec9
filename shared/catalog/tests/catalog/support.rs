//! Small catalogs, and data of all kinds.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tidings_catalog::{Catalog, CatalogError, Files};
use tidings_model::{Epoch, Event, EventName, Position, Tenant, number};
use time::OffsetDateTime;

pub(crate) fn parse(catalog: &str) -> Result<Catalog, CatalogError> {
    let broken = ("broken.json", "{");
    let wrong = ("wrong.json", r#"{ "type": "no such type" }"#);
    let files = [("catalog.toml", catalog), ("any.json", "{}"), broken, wrong];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    Catalog::parse(&Tenant::parse("t").unwrap(), &files)
}

pub(crate) fn catalog(text: &str) -> Catalog {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn event(name: &str, data: Value) -> Event {
    Event {
        tenant: Tenant::parse("t").unwrap(),
        name: EventName::parse(name).unwrap(),
        id: "e1".to_owned(),
        source: None,
        subject: None,
        time: None,
        stored_at: OffsetDateTime::UNIX_EPOCH,
        trace_parent: None,
        position: Position { epoch: Epoch(1), sequence: 1 },
        data,
        has_own_id: true,
        publication: None,
        copied_from: None,
        delivery: None,
        scheduled: None,
    }
}

pub(crate) fn claims(value: &Value) -> serde_json::Map<String, Value> {
    json!({ "claims": value })["claims"].as_object().unwrap().clone()
}

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let name =
            prop_oneof![Just("u".to_owned()), Just("v".to_owned()), Just("list".to_owned()), any_text()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((name, inner), 0..6)
                .prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

pub(crate) fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,12}",
        "[.*> \t\r\n:={}\\\\\"\u{0}/-]{0,8}",
        Just("all".to_owned()),
        Just("user:root".to_owned()),
        Just("{data.v}".to_owned()),
        (500..530_usize).prop_map(|length| "é".repeat(length / 2)),
    ]
}

/// A string, number or boolean as it names something.
pub(crate) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number::canonical(number),
        other => other.to_string(),
    }
}
