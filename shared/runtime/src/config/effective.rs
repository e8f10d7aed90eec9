//! The value that applies for each key, and where it comes from. No secret is shown.

use std::fmt;

use serde_json::Value;

use super::Origin;
use super::format::normalized;
use super::reference::{default_of, is_secret};
use super::schema::{named_of, of_config, properties, table_of};
use super::sources::Sources;

/// A key and the value that applies.
///
/// Its `Display` is a line of a configuration file, with the origin as a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    key: String,
    value: Option<String>,
    origin: Origin,
    is_changed: bool,
}

impl Setting {
    /// The key with its section, such as `gateway.listen` or `access.issuers[0].tenant`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The source of the value.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns whether the value differs from the default, however it is spelled.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(formatter, "{} = {value}", self.key)?,
            None => write!(formatter, "#{} =", self.key)?,
        }
        match &self.origin {
            Origin::File(path) => write!(formatter, "  # file {}", path.display()),
            Origin::Variable(name) => write!(formatter, "  # variable {name}"),
            Origin::Default => formatter.write_str("  # default"),
        }
    }
}

/// Returns all keys in the order of the reference.
pub(super) fn settings(sources: &Sources) -> Vec<Setting> {
    let values = sources.to_value();
    let mut settings = Vec::new();
    for (section, table) in properties(&of_config()) {
        for (key, schema) in properties(&table) {
            let given = values.get(&section).and_then(|section| section.get(&key));
            let key = format!("{section}.{key}");
            let origin = sources.origin(&key);
            let is_table = table_of(&schema).is_some() || named_of(&schema).is_some();
            match given {
                Some(value) if is_table => members(&key, &schema, value, &origin, &mut settings),
                None if is_table => {}
                _ => settings.push(plain(key, &schema, given, origin)),
            }
        }
    }
    settings
}

fn plain(key: String, schema: &Value, given: Option<&Value>, origin: Origin) -> Setting {
    let default = default_of(schema);
    let of_format = |value| normalized(schema, value);
    let is_changed = given.is_some() && given.map(of_format) != default.as_ref().map(of_format);
    let value = given.or(default.as_ref()).map(|value| shown(schema, value));
    Setting { key, value, origin, is_changed }
}

/// The members of tables, each by its own key.
fn members(key: &str, schema: &Value, value: &Value, origin: &Origin, settings: &mut Vec<Setting>) {
    let tables: Vec<(String, &Value)> = match value {
        Value::Array(tables) => {
            tables.iter().enumerate().map(|(index, table)| (format!("{key}[{index}]"), table)).collect()
        }
        Value::Object(tables) => {
            tables.iter().map(|(name, table)| (format!("{key}.{name}"), table)).collect()
        }
        _ => Vec::new(),
    };
    let changed = |key, schema, value| Setting {
        key,
        value: Some(shown(schema, value)),
        origin: origin.clone(),
        is_changed: true,
    };
    let known = table_of(schema).map(properties).unwrap_or_default();
    for (table, value) in tables {
        match value.as_object() {
            Some(members) => settings.extend(members.iter().map(|(member, value)| {
                let schema = known.get(member).unwrap_or(&Value::Null);
                changed(format!("{table}.{member}"), schema, value)
            })),
            None => settings.push(changed(table, named_of(schema).unwrap_or(&Value::Null), value)),
        }
    }
}

/// The value as in a file. JSON and TOML spell strings, numbers and lists alike.
fn shown(schema: &Value, value: &Value) -> String {
    if is_secret(schema, value) { "\"set, and not shown\"".to_owned() } else { value.to_string() }
}
