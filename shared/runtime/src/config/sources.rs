//! The configured values and their origins: the file's values, overridden by variables.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::schema::Schema;
use super::similar::most_similar;
use super::{ConfigError, DEFAULT_FILE, Origin};

/// The prefix of all variables.
const PREFIX: &str = "TIDINGS_";

/// The configured values, not yet checked.
#[derive(Default)]
pub(super) struct Sources {
    values: Map<String, Value>,
    file: PathBuf,
    /// The variable that set each key.
    variables: BTreeMap<String, String>,
}

/// Returns the variable for `key`: `TIDINGS_GATEWAY__LISTEN` for `gateway.listen`.
pub(super) fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "__").to_ascii_uppercase())
}

/// Returns the key of tables that contains `key` (`access.issuers` for `access.issuers[0].tenant`, `gateway.tenants`
/// for `gateway.tenants.ops.message_burst`), otherwise `key` itself.
pub(super) fn listed_in(key: &str) -> &str {
    let list = key.split_once('[').map_or(key, |(list, _)| list);
    list.match_indices('.').nth(1).map_or(list, |(end, _)| &list[..end])
}

impl Sources {
    /// Reads the values of `file`, or of the default file if it exists.
    pub(super) fn read_file(&mut self, file: Option<&Path>, mistakes: &mut Vec<ConfigError>) {
        file.unwrap_or(Path::new(DEFAULT_FILE)).clone_into(&mut self.file);
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == ErrorKind::NotFound => return,
            Err(error) => {
                let path = self.file.clone();
                return mistakes.push(ConfigError::UnreadableFile { path, reason: error.to_string() });
            }
        };
        match toml::from_str(&text) {
            Ok(values) => self.values = values,
            Err(error) => {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                mistakes.push(ConfigError::Syntax {
                    path: self.file.clone(),
                    line: before.matches('\n').count() + 1,
                    // The error's `Display` would show the line, which may contain a secret.
                    reason: error.message().to_owned(),
                });
            }
        }
    }

    /// Reads Tidings' variables from `environment`. They override earlier values.
    pub(super) fn read_environment<K: Into<OsString>, V: Into<OsString>>(
        &mut self,
        environment: impl IntoIterator<Item = (K, V)>,
        schema: &Schema,
        mistakes: &mut Vec<ConfigError>,
    ) {
        let mut variables: Vec<(OsString, OsString)> = environment
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter(|(name, _)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()))
            .collect();
        // The environment is unordered, but reports are ordered.
        variables.sort();
        for (name, value) in variables {
            match (name.to_str(), value.to_str()) {
                (Some(name), _) if is_kubernetes_service(name) => {}
                (Some(name), Some(value)) => self.set(name, value, schema, mistakes),
                _ => mistakes.push(ConfigError::NotUnicode { name: name.to_string_lossy().into_owned() }),
            }
        }
    }

    fn set(&mut self, name: &str, text: &str, schema: &Schema, mistakes: &mut Vec<ConfigError>) {
        let Some(key) = schema.variable_keys().find(|key| variable_of(key) == name) else {
            let suggestion =
                most_similar(&name.to_ascii_uppercase(), schema.variable_keys().map(variable_of));
            return mistakes.push(ConfigError::UnknownVariable { name: name.to_owned(), suggestion });
        };
        let Some((section, entry)) = key.split_once('.').filter(|_| !text.is_empty()) else {
            return;
        };
        let table = self.values.entry(section).or_insert_with(|| Value::Object(Map::new()));
        // The schema reports a section that is not a table.
        if let Some(table) = table.as_object_mut() {
            table.insert(entry.to_owned(), schema.value_of(key, text));
            self.variables.insert(key.to_owned(), name.to_owned());
        }
    }

    /// Returns the origin of a key's value. Keys below it have the same origin.
    pub(super) fn origin(&self, key: &str) -> Origin {
        let key = listed_in(key);
        let (section, entry) = key.split_once('.').unwrap_or((key, ""));
        let given = self.values.get(section);
        match self.variables.get(key) {
            Some(name) => Origin::Variable(name.clone()),
            None if entry.is_empty() || given.is_some_and(|table| table.get(entry).is_some()) => {
                Origin::File(self.file.clone())
            }
            None => Origin::Default,
        }
    }

    /// Removes a key or a section. For a key in one of several tables, removes all of the tables.
    pub(super) fn remove(&mut self, key: &str) {
        match listed_in(key).split_once('.') {
            None => drop(self.values.remove(key)),
            Some((section, entry)) => {
                if let Some(table) = self.values.get_mut(section).and_then(Value::as_object_mut) {
                    table.remove(entry);
                }
            }
        }
    }

    /// Returns all values as one document.
    pub(super) fn to_value(&self) -> Value {
        Value::Object(self.values.clone())
    }
}

/// Returns whether Kubernetes sets `name` for a service (`…_SERVICE_HOST`, `…_SERVICE_PORT_…`, `…_PORT`,
/// `…_PORT_8080_TCP_…`).
fn is_kubernetes_service(name: &str) -> bool {
    let kinds = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"];
    !name.contains("__") && (name.ends_with("_PORT") || kinds.iter().any(|kind| name.contains(kind)))
}
