//! The TOML form of a catalog, before it is checked.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Number, Value};

/// The texts of the files in a tenant's folder by their path in it, such as `catalog.toml`.
pub type Files = BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatalogFile {
    /// For readers of the file; not used by the code.
    #[serde(default, rename = "description")]
    _description: String,
    pub(crate) grants: Vec<String>,
    #[serde(default = "new")]
    pub(crate) deliver: String,
    /// What texts in messages may contain, and what becomes of members that the schemas do not describe; each message may
    /// say something else.
    pub(crate) text: Option<String>,
    pub(crate) unknown: Option<String>,
    #[serde(default)]
    pub(crate) topics: BTreeMap<String, TopicFile>,
    /// What users switch on and off, where that is not one message by itself.
    #[serde(default)]
    pub(crate) categories: BTreeMap<String, CategoryFile>,
    pub(crate) message: Vec<MessageFile>,
    pub(crate) digest: Option<DigestFile>,
    #[serde(default)]
    pub(crate) routes: BTreeMap<String, RouteFile>,
    #[serde(default)]
    pub(crate) publish: Vec<PublishFile>,
    pub(crate) gap: Option<GapFile>,
}

fn new() -> String {
    "new".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GapFile {
    pub(crate) body: toml::Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicFile {
    pub(crate) roles: Option<Vec<String>>,
    /// Whether a device has it before it has subscribed to anything.
    #[serde(default)]
    pub(crate) initial: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CategoryFile {
    /// The channels that are off until a user switches them on.
    #[serde(default)]
    pub(crate) off: Vec<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DigestFile {
    pub(crate) every: String,
    pub(crate) body: toml::Value,
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
    /// The key of the messages that it takes the place of.
    pub(crate) replaces: Option<String>,
    /// The same, if it tells that they do not hold any more.
    pub(crate) retracts: Option<String>,
    pub(crate) ttl: Option<String>,
    pub(crate) max_rate: Option<String>,
    pub(crate) text: Option<TextFile>,
    pub(crate) unknown: Option<String>,
    #[serde(default)]
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) body: toml::Value,
    pub(crate) category: Option<String>,
    /// Whether its fallbacks are sent whatever their users have set.
    #[serde(default)]
    pub(crate) critical: bool,
    #[serde(default)]
    pub(crate) fallback: Vec<FallbackFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FallbackFile {
    pub(crate) channel: String,
    pub(crate) after: String,
    pub(crate) unless: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) html: Option<String>,
    pub(crate) payload: Option<toml::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected an address, or a table with `address` and `when`, or a list of these"
)]
pub(crate) enum OneOrMany<T> {
    // This variant comes first because serde also reads a table's members from a list in their order.
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    pub(crate) fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

/// The rule for all texts of a message, or for those at some places.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a rule, or a table of rules by the path of a member")]
pub(crate) enum TextFile {
    All(String),
    Members(BTreeMap<String, String>),
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
    pub(crate) when: toml::Table,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteFile {
    pub(crate) message: String,
    pub(crate) key: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishFile {
    pub(crate) action: String,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) event: String,
    pub(crate) roles: Option<Vec<String>>,
    #[serde(default, rename = "where")]
    pub(crate) conditions: BTreeMap<String, String>,
    #[serde(default = "whole_data")]
    pub(crate) data: toml::Value,
}

fn whole_data() -> toml::Value {
    toml::Value::String("{data}".to_owned())
}

/// Converts a TOML value to JSON. JSON has no dates and no infinite numbers.
pub(crate) fn to_json(value: toml::Value) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => {
            Value::Number(Number::from_f64(number).ok_or_else(|| format!("{number} is not a JSON number"))?)
        }
        toml::Value::Boolean(is_true) => Value::Bool(is_true),
        toml::Value::Datetime(date) => {
            return Err(format!("write the date {date} as text, in quotes"));
        }
        toml::Value::Array(elements) => {
            Value::Array(elements.into_iter().map(to_json).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(members) => {
            let members = members.into_iter().map(|(name, value)| Ok((name, to_json(value)?)));
            Value::Object(members.collect::<Result<_, String>>()?)
        }
    })
}
