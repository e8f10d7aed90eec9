//! The TOML form of a catalog, before its meaning is checked.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogFile {
    /// For people; the code has no use for it.
    #[serde(default, rename = "description")]
    _description: String,
    pub(crate) keys: Vec<String>,
    #[serde(default = "new")]
    pub(crate) deliver: String,
    #[serde(default)]
    pub(crate) topics: BTreeMap<String, TopicFile>,
    pub(crate) message: Vec<MessageFile>,
    #[serde(default)]
    pub(crate) routes: BTreeMap<String, RouteFile>,
}

fn new() -> String {
    "new".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicFile {
    pub(crate) roles: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageFile {
    pub(crate) name: String,
    pub(crate) slot: Option<String>,
    pub(crate) events: Vec<String>,
    pub(crate) schema: String,
    pub(crate) to: OneOrMany<DestinationFile>,
    pub(crate) class: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) ttl: Option<String>,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) body: Value,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(crate) fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum DestinationFile {
    Address(String),
    Conditional(ConditionalFile),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConditionalFile {
    pub(crate) address: String,
    pub(crate) when: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteFile {
    pub(crate) message: String,
    pub(crate) key: String,
}
