//! Small catalogs.

use serde_json::{Value, json};
use tidings_catalog::{Catalog, CatalogError, Files};
use tidings_model::{Epoch, Event, EventName, Position, Tenant};
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
    }
}

pub(crate) fn claims(value: &Value) -> serde_json::Map<String, Value> {
    json!({ "claims": value })["claims"].as_object().unwrap().clone()
}
