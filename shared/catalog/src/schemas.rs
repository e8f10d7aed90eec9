//! The JSON Schemas in a tenant's folder. Each is read by the draft that it declares.
//!
//! References are resolved among the files of the folder only. Nothing else is read or fetched.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jsonschema::{Draft, Retrieve, Uri, ValidationOptions, Validator};
use serde_json::{Map, Value};
use tidings_model::json;

use crate::file::Files;

/// The base URI of the folder. It is two levels deep, so that `../` leads out of it and is detected.
const FOLDER: &str = "tidings:/schemas/tenant/";

/// The file name of the catalog.
pub(crate) const CATALOG: &str = "catalog.toml";

/// Returns whether a file of this name in a tenant's folder belongs to its catalog. Hidden files do not: macOS puts
/// `._x.json` beside `x.json`, editors their backups, Kubernetes the targets of its links.
#[must_use]
pub fn is_catalog_file(name: &str) -> bool {
    let is_schema = Path::new(name).extension().is_some_and(|extension| extension == "json");
    !name.starts_with('.') && (name == CATALOG || is_schema)
}

/// The parsed schemas of a folder by file name, or the error of each.
#[derive(Debug)]
pub(crate) struct Schemas {
    documents: Arc<BTreeMap<String, Result<Value, String>>>,
}

impl Schemas {
    pub(crate) fn new(files: &Files) -> Self {
        let schemas = files.iter().filter(|(name, _)| *name != CATALOG);
        let read = |text: &str| json::parse(text.as_bytes()).map_err(|error| error.to_string());
        let documents = schemas.map(|(name, text)| (name.clone(), read(text))).collect();
        Self { documents: Arc::new(documents) }
    }

    /// Returns whether there is a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.documents.contains_key(name)
    }

    /// Returns the validator of the schema in a file.
    pub(crate) fn validator(&self, name: &str) -> Result<Validator, String> {
        let schema = self.documents.get(name).ok_or("there is no such file")?.as_ref()?;
        check_draft(schema)?;
        self.options(name, schema).build(schema).map_err(|error| error.to_string())
    }

    /// Returns the schema in a file as one document: references to other files are replaced by their targets.
    pub(crate) fn whole(&self, name: &str) -> Option<Value> {
        let schema = self.documents.get(name)?.as_ref().ok()?;
        if !refers_elsewhere(schema) {
            return Some(schema.clone());
        }
        let mut whole = self.options(name, schema).dereference(schema).ok()?;
        // The remaining references are cycles, perhaps within another file. They become `true`, which allows anything.
        open_circles(&mut whole);
        Some(whole)
    }

    fn options(&self, name: &str, schema: &Value) -> ValidationOptions<'static> {
        let directory = identifier(schema)
            .and_then(|id| id.rsplit_once('/'))
            .map(|(directory, _)| format!("{directory}/"));
        let folder = Folder { documents: Arc::clone(&self.documents), directory };
        jsonschema::options().with_base_uri(format!("{FOLDER}{}", encoded(name))).with_retriever(folder)
    }
}

/// Resolves a schema's references among the files beside it.
struct Folder {
    documents: Arc<BTreeMap<String, Result<Value, String>>>,
    /// The directory that the schema's `$id` declares. The other files are found there, too.
    directory: Option<String>,
}

impl Retrieve for Folder {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let uri = uri.as_str().trim_end_matches('#');
        let beside = self.directory.as_deref().and_then(|directory| uri.strip_prefix(directory));
        let by_id = || {
            let mut stated = self.documents.values().flatten();
            stated.find(|document| identifier(document) == Some(uri))
        };
        let by_name = |name: &str| self.documents.iter().find(|(known, _)| encoded(known) == *name);
        let document = match uri.strip_prefix(FOLDER).or(beside).and_then(by_name) {
            Some((name, document)) => document.as_ref().map_err(|error| format!("{name:?}: {error}"))?,
            None => by_id().ok_or_else(|| self.nothing_at(uri))?,
        };
        check_draft(document)?;
        Ok(document.clone())
    }
}

impl Folder {
    fn nothing_at(&self, uri: &str) -> String {
        let there = self.documents.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let what = uri.strip_prefix(FOLDER).unwrap_or(uri);
        format!(
            "{what:?} is not a file of the tenant's folder, and no other files are read; its files are {there}"
        )
    }
}

/// The schema's `$id` (or `id`), without the `#` at its end.
fn identifier(schema: &Value) -> Option<&str> {
    let id = schema.get("$id").or_else(|| schema.get("id"))?.as_str()?;
    Some(id.trim_end_matches('#'))
}

fn check_draft(schema: &Value) -> Result<(), String> {
    if Draft::default().detect(schema) != Draft::Unknown {
        return Ok(());
    }
    Err(format!(
        "`$schema` is {}, expected that of draft 2020-12 (https://json-schema.org/draft/2020-12/schema), 2019-09, 07, 06 or 04",
        schema.get("$schema").unwrap_or_default()
    ))
}

fn refers_elsewhere(schema: &Value) -> bool {
    let is_elsewhere = |members: &Map<String, Value>| {
        members.get("$ref").and_then(Value::as_str).is_some_and(|target| !target.starts_with('#'))
    };
    match schema {
        Value::Object(members) => is_elsewhere(members) || members.values().any(refers_elsewhere),
        Value::Array(elements) => elements.iter().any(refers_elsewhere),
        _ => false,
    }
}

fn open_circles(schema: &mut Value) {
    match schema {
        Value::Object(members) if members.get("$ref").is_some_and(Value::is_string) => {
            *schema = Value::Bool(true);
        }
        Value::Object(members) => members.values_mut().for_each(open_circles),
        Value::Array(elements) => elements.iter_mut().for_each(open_circles),
        _ => {}
    }
}

/// Encodes a file's name as a part of a URI (RFC 3986).
fn encoded(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~');
    let character =
        |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(character).collect::<Vec<_>>().concat()
}
