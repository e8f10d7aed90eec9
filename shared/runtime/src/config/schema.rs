//! The JSON Schema of the configuration and its keys.
//!
//! There are two levels, sections and keys. No key contains a dot, so `section.key` names each of them. A key may be a
//! list of tables, or may have a table or a value for each name. Their members are `section.key[0].member`,
//! `section.key.name.member` and `section.key.name`.

use std::collections::BTreeMap;

use jsonschema::{ValidationError, Validator};
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::format::FORMATS;
use super::sections::Config;

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

    /// Returns every violation of the schema by these values.
    pub(super) fn violations<'v>(&'v self, values: &'v Value) -> impl Iterator<Item = ValidationError<'v>> {
        self.validator.iter_errors(values)
    }

    /// Returns the schema of `section.key`.
    pub(super) fn of_key(&self, key: &str) -> Option<&Value> {
        self.keys.get(key)
    }

    /// Returns every `section.key` and its schema.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.keys.iter()
    }

    /// Returns the names of all sections.
    pub(super) fn sections(&self) -> impl Iterator<Item = &String> {
        self.sections.iter()
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

pub(super) fn has_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|one| one == name),
        Some(one) => one == name,
        None => false,
    }
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
pub(super) fn expected_items(schema: &Value) -> String {
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
