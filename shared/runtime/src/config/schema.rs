//! The JSON Schema of the configuration and its keys.
//!
//! There are two levels, sections and keys. No key contains a dot, so `section.key` names each of them. A key may be a
//! list of tables, or may have a table or a value for each name. Their members are `section.key[0].member`,
//! `section.key.name.member` and `section.key.name`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::error::sized;
use super::format::FORMATS;
use super::sources::{Sources, most_similar};
use super::{Config, ConfigError};

pub(super) struct Schema {
    validator: Validator,
    /// The schema of each key, by `section.key`.
    keys: BTreeMap<String, Value>,
    sections: Vec<String>,
}

impl Schema {
    #[expect(
        clippy::expect_used,
        reason = "it has no input: it holds or fails for everyone, and every test builds it"
    )]
    pub(super) fn of_config() -> Self {
        let schema = of_config();
        let options = jsonschema::options().should_validate_formats(true);
        let options =
            FORMATS.iter().fold(options, |options, format| options.with_format(format.name, format.holds));
        let validator = options.build(&schema).expect("a schema derived from a type is valid");

        let sections = properties(&schema);
        let keys = sections
            .iter()
            .flat_map(|(section, table)| {
                properties(table).into_iter().map(move |(key, schema)| (format!("{section}.{key}"), schema))
            })
            .collect();
        Self { validator, keys, sections: sections.into_iter().map(|(section, _)| section).collect() }
    }

    /// Returns every `section.key` that a variable can set: all keys without tables.
    pub(super) fn variable_keys(&self) -> impl Iterator<Item = &str> {
        let is_plain = |schema: &Value| table_of(schema).is_none() && named_of(schema).is_none();
        self.keys.iter().filter(move |(_, schema)| is_plain(schema)).map(|(key, _)| key.as_str())
    }

    /// Converts a variable's text for `key` into a number, a boolean, a list or text. Text that does not parse stays
    /// text, and the check reports it.
    pub(super) fn value_of(&self, key: &str, text: &str) -> Value {
        let schema = self.keys.get(key).unwrap_or(&Value::Null);
        if has_type(schema, "array") {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            return items.map(|item| Value::String(item.to_owned())).collect();
        }
        let plain = if has_type(schema, "integer") {
            text.parse::<u64>().map(Value::from).or_else(|_| text.parse::<i64>().map(Value::from)).ok()
        } else if has_type(schema, "number") {
            text.parse::<serde_json::Number>().ok().map(Value::Number)
        } else if has_type(schema, "boolean") {
            text.parse::<bool>().map(Value::from).ok()
        } else {
            None
        };
        plain.unwrap_or_else(|| Value::String(text.to_owned()))
    }

    /// Returns every unknown key and wrong value once.
    pub(super) fn check(&self, sources: &Sources) -> Vec<ConfigError> {
        let document = sources.to_value();
        let broken = self.validator.iter_errors(&document);
        let broken = broken.flat_map(|error| self.mistakes_of(&error, sources));
        let mut mistakes: Vec<ConfigError> = Vec::new();
        for mistake in broken.chain(self.fractions(&document, sources)) {
            // A value may violate several rules of its key. It is reported once.
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            }
        }
        mistakes
    }

    fn mistakes_of(&self, error: &ValidationError<'_>, sources: &Sources) -> Vec<ConfigError> {
        let path: Vec<&str> = error.instance_path().as_str().split('/').skip(1).collect();
        if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
            return unexpected.iter().map(|name| self.unknown(&path, name, sources)).collect();
        }
        let mut names = path.into_iter();
        let mut key = names.by_ref().take(2).collect::<Vec<_>>().join(".");
        let mut schema = self.keys.get(&key).cloned();
        if let Some(list) = self.keys.get(&key)
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
        if let Some(values) = self.keys.get(&key).and_then(named_of)
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
    fn fractions(&self, document: &Value, sources: &Sources) -> Vec<ConfigError> {
        let given = self.keys.iter().filter_map(|(key, schema)| {
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

    fn unknown(&self, path: &[&str], name: &str, sources: &Sources) -> ConfigError {
        let listed = path.get(..2).map(|path| path.join("."));
        let listed = listed.and_then(|key| Some((self.keys.get(&key)?, *path.get(2)?, key)));
        let within = match &listed {
            Some((list, place, key)) => in_table(key, list, place),
            None => path.join("."),
        };
        let key = if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") };
        let table = listed.and_then(|(list, ..)| table_of(list));
        let members = table.map(properties).unwrap_or_default();
        let members = members.keys().map(|member| format!("{within}.{member}"));
        let candidates = self.sections.iter().chain(self.keys.keys()).cloned().chain(members);
        ConfigError::UnknownKey {
            suggestion: most_similar(&key, candidates),
            origin: sources.origin(&key),
            key,
        }
    }
}

/// Returns the schema with all references resolved.
pub(super) fn of_config() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Config>().to_value()
}

pub(super) fn properties(schema: &Value) -> Map<String, Value> {
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Returns the schema of the tables in a list, or under names that the user chooses, if the key has tables.
pub(super) fn table_of(schema: &Value) -> Option<&Value> {
    let table = schema.get("items").or_else(|| schema.get("additionalProperties"));
    table.filter(|table| table.get("properties").is_some())
}

/// Returns the schema of the values under names that the user chooses, if they are not tables.
pub(super) fn named_of(schema: &Value) -> Option<&Value> {
    let values = schema.get("additionalProperties").filter(|values| values.is_object());
    values.filter(|values| values.get("properties").is_none())
}

/// Returns the name of one of the tables in `key`: its number in a list, or its own name.
fn in_table(key: &str, schema: &Value, place: &str) -> String {
    if has_type(schema, "array") { format!("{key}[{place}]") } else { format!("{key}.{place}") }
}

pub(super) fn has_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|one| one == name),
        Some(one) => one == name,
        None => false,
    }
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

/// Returns the expectation of a key, which ends the sentence "expected …".
pub(super) fn expected(schema: &Value) -> String {
    let text_of = |name: &str| schema.get(name).map(Value::to_string).unwrap_or_default();
    let format = schema.get("format").and_then(Value::as_str);
    if let Some(format) = FORMATS.iter().find(|known| Some(known.name) == format) {
        return format.expected.to_owned();
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        return choices.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        let choices: Vec<String> =
            choices.iter().filter_map(|choice| Some(choice.get("const")?.to_string())).collect();
        return choices.join(" or ");
    }
    if has_type(schema, "boolean") {
        return "true or false".to_owned();
    }
    if has_type(schema, "integer") {
        return format!("a whole number from {} to {}", text_of("minimum"), text_of("maximum"));
    }
    if has_type(schema, "number") {
        return format!("a number from {} to {}", text_of("minimum"), text_of("maximum"));
    }
    if table_of(schema).is_some() {
        let is_list = has_type(schema, "array");
        return (if is_list { "a list of tables" } else { "tables, each with a name" }).to_owned();
    }
    if has_type(schema, "array") {
        return format!("a list, {}", expected_items(schema));
    }
    if let Some(values) = named_of(schema) {
        return format!("a table, under each name {}", expected(values));
    }
    "text that is not empty".to_owned()
}

/// Returns the expectation of a list's items.
fn expected_items(schema: &Value) -> String {
    format!("in each item {}", expected(schema.get("items").unwrap_or(&Value::Null)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Error messages use these keywords, and variables use the names.
    #[test]
    fn every_key_is_described_bounded_and_reachable_by_a_variable() {
        let schema = Schema::of_config();
        assert!(schema.keys.len() > 30, "{:?}", schema.keys.keys());
        let members = schema.keys.iter().filter_map(|(key, list)| Some((key, table_of(list)?)));
        let members = members.flat_map(|(key, table)| {
            properties(table).into_iter().map(move |(member, schema)| (format!("{key}[0].{member}"), schema))
        });
        let named = schema.keys.iter().filter_map(|(key, schema)| Some((key, schema, named_of(schema)?)));
        // The description of the key applies to its values.
        let named = named.map(|(key, schema, values)| {
            let mut values = values.clone();
            values["description"] = schema["description"].clone();
            (format!("{key}.name"), values)
        });
        let keys = schema.keys.clone().into_iter().chain(members).chain(named);
        for (key, description) in &keys.collect::<BTreeMap<_, _>>() {
            assert!(description.get("description").is_some(), "{key} says what it means");
            assert!(!key.contains("__"), "{key} has no variable");
            let is_number = has_type(description, "integer") || has_type(description, "number");
            if is_number {
                assert!(description.get("minimum").is_some(), "{key} has a least value");
                assert!(description.get("maximum").is_some(), "{key} has a greatest value");
            }
            let is_bare_text = has_type(description, "string") && description.get("format").is_none();
            if is_bare_text {
                assert!(description.get("minLength").is_some(), "{key} may not be empty");
            }
            if let Some(format) = description.get("format").and_then(Value::as_str) {
                let is_known = FORMATS.iter().any(|known| known.name == format);
                assert!(is_known || is_number, "{key} has the format {format}, which nothing checks");
            }
        }
    }
}
