//! Checks the configured values against the schema: every unknown key and wrong value.

use std::fmt::Write as _;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;

use super::error::{ConfigError, sized};
use super::schema::{Schema, expected, expected_items, has_type, named_of, properties, table_of};
use super::similar::most_similar;
use super::sources::Sources;

/// Returns every unknown key and wrong value once.
pub(super) fn check(keys: &Schema, sources: &Sources) -> Vec<ConfigError> {
    let document = sources.to_value();
    let broken = keys.violations(&document);
    let broken = broken.flat_map(|error| mistakes_of(keys, &error, sources));
    let mut mistakes: Vec<ConfigError> = Vec::new();
    for mistake in broken.chain(fractions(keys, &document, sources)) {
        // A value may violate several rules of its key. It is reported once.
        if !mistakes.contains(&mistake) {
            mistakes.push(mistake);
        }
    }
    mistakes
}

fn mistakes_of(keys: &Schema, error: &ValidationError<'_>, sources: &Sources) -> Vec<ConfigError> {
    let path: Vec<&str> = error.instance_path().as_str().split('/').skip(1).collect();
    if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
        return unexpected.iter().map(|name| unknown(keys, &path, name, sources)).collect();
    }
    let mut names = path.into_iter();
    let mut key = names.by_ref().take(2).collect::<Vec<_>>().join(".");
    let mut schema = keys.of_key(&key).cloned();
    if let Some(list) = keys.of_key(&key)
        && let Some(table) = table_of(list)
        && let Some(place) = names.next()
    {
        let member = match error.kind() {
            ValidationErrorKind::Required { property } => property.as_str(),
            _ => names.next(),
        };
        key = in_table(&key, list, place);
        schema = member.and_then(|member| {
            let _ = write!(key, ".{member}");
            properties(table).get(member).cloned()
        });
    }
    if let Some(values) = keys.of_key(&key).and_then(named_of)
        && let Some(name) = names.next()
    {
        schema = Some(values.clone());
        let _ = write!(key, ".{name}");
    }
    let is_item = names.next().is_some();
    if let (ValidationErrorKind::Required { .. }, Some(schema)) = (error.kind(), &schema) {
        return vec![ConfigError::Missing { key, expected: expected(schema) }];
    }
    let (value, expected) = match &schema {
        Some(schema) if is_item => (shown(schema, error.instance()), expected_items(schema)),
        Some(schema) => (shown(schema, error.instance()), expected(schema)),
        None => (sized(error.instance().to_string().len()), "a table of keys and values".to_owned()),
    };
    vec![ConfigError::Invalid { origin: sources.origin(&key), key, value, expected }]
}

/// In JSON Schema 3.0 is an integer; in the program it is not.
fn fractions(keys: &Schema, document: &Value, sources: &Sources) -> Vec<ConfigError> {
    let given = keys.keys().filter_map(|(key, schema)| {
        let (section, entry) = key.split_once('.')?;
        Some((key, schema, document.get(section)?.get(entry)?))
    });
    let values = given.flat_map(|(key, schema, value)| match (named_of(schema), value.as_object()) {
        (Some(schema), Some(named)) => {
            named.iter().map(|(name, value)| (format!("{key}.{name}"), schema, value)).collect()
        }
        _ => vec![(key.clone(), schema, value)],
    });
    let wrong = values.filter(|(_, schema, value)| has_type(schema, "integer") && value.is_f64());
    let mistakes = wrong.map(|(key, schema, value)| ConfigError::Invalid {
        value: shown(schema, value),
        origin: sources.origin(&key),
        expected: expected(schema),
        key,
    });
    mistakes.collect()
}

fn unknown(keys: &Schema, path: &[&str], name: &str, sources: &Sources) -> ConfigError {
    let listed = path.get(..2).map(|path| path.join("."));
    let listed = listed.and_then(|key| Some((keys.of_key(&key)?, *path.get(2)?, key)));
    let within = match &listed {
        Some((list, place, key)) => in_table(key, list, place),
        None => path.join("."),
    };
    let key = if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") };
    let table = listed.and_then(|(list, ..)| table_of(list));
    let members = table.map(properties).unwrap_or_default();
    let members = members.keys().map(|member| format!("{within}.{member}"));
    let candidates = keys.sections().chain(keys.keys().map(|(key, _)| key)).cloned().chain(members);
    ConfigError::UnknownKey { suggestion: most_similar(&key, candidates), origin: sources.origin(&key), key }
}

/// Returns the name of one of the tables in `key`: its number in a list, or its own name.
fn in_table(key: &str, schema: &Value, place: &str) -> String {
    if has_type(schema, "array") { format!("{key}[{place}]") } else { format!("{key}.{place}") }
}

/// Formats a value for an error.
fn shown(schema: &Value, value: &Value) -> String {
    let text = value.to_string();
    let is_secret = schema.get("writeOnly") == Some(&Value::Bool(true));
    // A table may contain a secret.
    if value.is_object() || table_of(schema).is_some() {
        return sized(text.len());
    }
    // A URL with a user contains a password.
    if is_secret || (text.contains("://") && text.contains('@')) {
        return sized(value.as_str().map_or(text.len(), str::len));
    }
    text
}
