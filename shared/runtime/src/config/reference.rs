//! The reference of all keys with meaning, default and valid values: as a configuration file, and as a Markdown table.
//!
//! Both are generated from the schema that checks configurations, so they list exactly the existing keys. Loading the
//! file as it is changes nothing: a key without a default is a comment.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value};

use super::schema::{expected, has_type, named_of, of_config, properties, table_of};

/// The width of comments, in columns.
const WIDTH: usize = 100;

/// Returns the reference as a configuration file.
#[must_use]
pub fn reference() -> String {
    with_values(&Value::Null)
}

/// Returns all keys, except those of tables, as a Markdown table: `section.key`, default, meaning. A ◆ marks a limit
/// that can be set per tenant.
#[must_use]
pub fn reference_table() -> String {
    let sections = properties(&of_config());
    let of_tenants =
        properties(table_of(&sections["gateway"]["properties"]["tenants"]).unwrap_or(&Value::Null));
    let rows = sections.iter().flat_map(|(section, schema)| {
        let keys = properties(schema).into_iter();
        let keys = keys.filter(|(_, schema)| table_of(schema).is_none() && named_of(schema).is_none());
        let of_tenants = of_tenants.clone();
        keys.map(move |(key, schema)| {
            let mark = if section == "gateway" && of_tenants.contains_key(&key) { " ◆" } else { "" };
            let default = default_of(&schema).map_or_else(|| "none".to_owned(), |value| default_cell(&value));
            format!("| `{section}.{key}`{mark} | {default} | {} |\n", meaning(&schema).replace('|', "\\|"))
        })
    });
    let head = "| key | default | meaning |\n| --- | --- | --- |\n".to_owned();
    std::iter::once(head).chain(rows).collect()
}

/// Formats a default for the table.
fn default_cell(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(default_cell).collect::<Vec<_>>().join(", "),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// Returns the file with these values instead of defaults. Secrets are omitted.
pub(super) fn with_values(values: &Value) -> String {
    let sections = properties(&of_config());
    let sections = sections.iter().map(|(name, schema)| section(name, schema, &values[name]));
    sections.collect::<Vec<_>>().join("\n")
}

fn section(name: &str, schema: &Value, values: &Value) -> String {
    let keys = properties(schema);
    // In TOML, the keys after a table's head belong to that table, so tables come last.
    let is_table = |schema: &Value| table_of(schema).is_some() || named_of(schema).is_some();
    let (tables, plain): (Vec<_>, Vec<_>) = keys.iter().partition(|(_, schema)| is_table(schema));
    let head = format!("{}[{name}]\n", comment(&meaning(schema)));
    let plain = plain.into_iter().map(|(key, schema)| match values.get(key) {
        Some(value) if is_secret(schema, value) => {
            entry(key, schema, None).replacen(" =\n", " = \"set, and not shown\"\n", 1)
        }
        value => entry(key, schema, value.cloned().or_else(|| default_of(schema))),
    });
    let tables = tables.into_iter().map(|(key, schema)| {
        let given = values.get(key).map(|value| given_table(name, key, value)).unwrap_or_default();
        table(&format!("{name}.{key}"), schema) + &given
    });
    std::iter::once(head).chain(plain).chain(tables).collect()
}

/// Returns the tables in a file, without secrets.
fn given_table(section: &str, key: &str, value: &Value) -> String {
    let value = toml::Value::Table(toml::Table::from_iter([(key.to_owned(), to_toml(value))]));
    let document = toml::Table::from_iter([(section.to_owned(), value)]);
    // The section's head is written already.
    let head = format!("[{section}]\n");
    format!("\n{}", toml::to_string(&document).unwrap_or_default().trim_start_matches(&head))
}

fn to_toml(value: &Value) -> toml::Value {
    match value {
        Value::Object(members) => {
            let shown = members.iter().filter(|(name, value)| *name != "hs256_secret" && !value.is_null());
            toml::Value::Table(shown.map(|(name, value)| (name.clone(), to_toml(value))).collect())
        }
        Value::Array(values) => toml::Value::Array(values.iter().map(to_toml).collect()),
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => number
            .as_i64()
            .map(toml::Value::Integer)
            .or_else(|| number.as_f64().map(toml::Value::Float))
            .unwrap_or_else(|| number.to_string().into()),
        Value::String(text) => text.as_str().into(),
        Value::Null => "".into(),
    }
}

/// Returns whether a value must not be shown: a secret, or an address with a password.
pub(super) fn is_secret(schema: &Value, value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    schema.get("writeOnly") == Some(&Value::Bool(true)) || (text.contains("://") && text.contains('@'))
}

/// Describes a key that consists of tables, or of values under names that the user chooses. It is empty by default.
fn table(key: &str, schema: &Value) -> String {
    if let Some(values) = named_of(schema) {
        let expected = comment(&format!("Expected: {}.", expected(values)));
        return format!("\n{}#[{key}]\n{expected}#NAME =\n", comment(&meaning(schema)));
    }
    let head = if has_type(schema, "array") { format!("#[[{key}]]") } else { format!("#[{key}.NAME]") };
    let members = table_of(schema).map(properties).unwrap_or_default();
    let members: String = members.iter().map(|(member, schema)| entry(member, schema, None)).collect();
    format!("\n{}{head}\n{members}", comment(&meaning(schema)))
}

fn entry(key: &str, schema: &Value, default: Option<Value>) -> String {
    let (meaning, expected) =
        (comment(&meaning(schema)), comment(&format!("Expected: {}.", expected(schema))));
    let set = match default {
        Some(value) => format!("{key} = {value}"),
        None => format!("#{key} ="),
    };
    format!("{meaning}{expected}{set}\n")
}

fn meaning(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
}

/// Formats the default for a file. JSON and TOML spell strings, numbers and lists alike.
pub(super) fn default_of(schema: &Value) -> Option<Value> {
    let default = schema.get("default").filter(|default| !default.is_null())?;
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    Some(match (format, default) {
        ("duration" | "duration-or-zero", Value::Object(duration)) => spelled_duration(duration)?.into(),
        ("byte-size", size) => size.as_u64().map_or_else(|| size.clone(), |bytes| spelled_size(bytes).into()),
        (_, other) => other.clone(),
    })
}

/// Formats a duration in the largest unit that gives a whole number.
fn spelled_duration(duration: &Map<String, Value>) -> Option<String> {
    let of = |name: &str| duration.get(name).and_then(Value::as_u64);
    let duration = Duration::new(of("secs")?, u32::try_from(of("nanos")?).ok()?);
    let seconds = duration.as_secs();
    let units = [(24 * 60 * 60, "d"), (60 * 60, "h"), (60, "m"), (1, "s")];
    let whole = units.into_iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    Some(match whole.filter(|_| duration.subsec_nanos() == 0 && seconds > 0) {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => humantime::format_duration(duration).to_string(),
    })
}

fn spelled_size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

/// Formats the text as comment lines.
fn comment(text: &str) -> String {
    let mut lines = String::from("#");
    let mut width = 1;
    for word in text.split_whitespace() {
        let length = word.chars().count() + 1;
        if width + length > WIDTH {
            lines.push_str("\n#");
            width = 1;
        }
        let _ = write!(lines, " {word}");
        width += length;
    }
    lines + "\n"
}
