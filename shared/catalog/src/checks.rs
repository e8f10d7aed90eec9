//! What a catalog demands of events, as JSON: for producers in languages that cannot call [`crate::project`]. Pure.
//!
//! It says what [`crate::project`] does up to the point where it accepts an event: the templates of each message, how it is
//! sanitized, its schema in one document, its destinations, and the texts of key and attributes, in the order in which they are looked at. So a
//! producer finds the same reason and the same place. What else a catalog says (grants, topics, classes) is not in it.

use serde_json::{Map, Value, json};
use tidings_model::Tenant;

use crate::catalog::Catalog;
use crate::destination::Destination;
use crate::file::Files;
use crate::message::MessageType;
use crate::parse::CatalogError;
use crate::schemas::Schemas;
use crate::shape::schema_files;
use crate::template::TextTemplate;

/// Returns the checks of a tenant's catalog: `tenant`, and `messages`, each with the `events` that become it.
pub fn checks(tenant: &Tenant, files: &Files) -> Result<Value, CatalogError> {
    let catalog = Catalog::parse(tenant, files)?;
    let schemas = Schemas::new(files);
    let schema_files = schema_files(tenant, files)?;
    let messages = catalog.messages().iter().zip(&schema_files);
    let messages: Vec<_> = messages
        .map(|(message, file)| check(message, schemas.whole(file).unwrap_or(Value::Bool(true))))
        .collect();
    Ok(json!({ "tenant": tenant.as_str(), "messages": messages }))
}

fn check(message: &MessageType, schema: Value) -> Value {
    let events: Vec<_> = message.events.iter().map(ToString::to_string).collect();
    let to: Vec<_> = message.to.iter().map(destination).collect();
    let mut check = Map::from_iter([
        ("name".to_owned(), message.name.as_str().into()),
        ("events".to_owned(), events.into()),
        ("schema".to_owned(), schema),
        ("body".to_owned(), message.body.to_json()),
        ("to".to_owned(), to.into()),
    ]);
    if let Some(sanitizer) = message.sanitizer.to_json() {
        check.insert("sanitize".to_owned(), sanitizer);
    }
    if let Some(key) = &message.key {
        check.insert("key".to_owned(), key.to_json());
    }
    if !message.attributes.is_empty() {
        let attributes = message.attributes.iter().map(|(name, text)| json!([name, text.to_json()]));
        check.insert("attributes".to_owned(), attributes.collect());
    }
    Value::Object(check)
}

/// A destination: `all` has no `id`.
fn destination(destination: &Destination) -> Value {
    let mut members = Map::from_iter([("kind".to_owned(), Value::from(destination.address.kind()))]);
    if let Some(id) = destination.address.id() {
        members.insert("id".to_owned(), TextTemplate::to_json(id));
    }
    if !destination.when.is_empty() {
        let when = destination.when.iter().map(|(path, value)| json!([path.to_json(), value]));
        members.insert("when".to_owned(), when.collect());
    }
    Value::Object(members)
}
