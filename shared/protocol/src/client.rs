//! Client messages: JSON objects whose verb is `action`, or `type` if there is no `action`.
//!
//! A known member of the wrong type is an error that names the expected type. Unknown members are ignored, unless they
//! look like a misspelled filter or topic list. At an optional member, `null` counts as absent. Verbs of the tenant's
//! catalog are not interpreted here: [`ClientMessage::Other`] keeps the whole object for the gateway.

mod beginning;
mod fault;

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};
use tidings_model::{json, number};

pub use self::beginning::id_in_beginning;
pub use self::fault::{Fault, Refused};
use crate::Filter;
use crate::error::{MessageId, quoted};

/// The JSON object of a client's message.
pub type Object = Map<String, Value>;

/// Limits for the contents of one message. The frame reader limits its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Topics in one message.
    pub topics: usize,
    /// Attributes in one message's filters.
    pub filters: usize,
    /// Values for one attribute.
    pub filter_values: usize,
    /// Bytes of a topic, an id, or a filter's name or value.
    pub string_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { topics: 100, filters: 16, filter_values: 64, string_bytes: 512 }
    }
}

/// A client's message with its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The message's own id, which the answer repeats.
    pub id: Option<MessageId>,
    /// The message.
    pub message: ClientMessage,
}

/// A parsed client message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    /// `subscribe`: receive these topics, restricted by the filter.
    Subscribe {
        /// Names of topics, in the client's order.
        topics: Vec<String>,
        /// Empty if the client gave no `filters`.
        filter: Filter,
    },
    /// `unsubscribe`: stop receiving these topics.
    Unsubscribe {
        /// Names of topics, in the client's order.
        topics: Vec<String>,
    },
    /// `ping`: asks for a `pong`.
    Ping,
    /// `ack`: the client has received everything up to and including this sequence.
    Ack {
        /// The member `seq`.
        sequence: u64,
    },
    /// `authenticate`: a new token for the live connection.
    Authenticate {
        /// The member `token`.
        token: Token,
    },
    /// Any other verb: a route of the catalog, or a client publication.
    Other {
        /// The verb.
        verb: String,
        /// The whole message, including the verb.
        object: Object,
    },
}

/// A token as the client sent it. `Debug` hides it, so that it does not get into logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Parses one text message.
pub fn parse(text: &str, limits: &Limits) -> Result<Request, Refused> {
    let without_id = |fault| Refused { id: None, fault };
    let object = match json::parse(text.as_bytes()) {
        Ok(Value::Object(object)) => object,
        Ok(other) => return Err(without_id(Fault::NotAnObject(describe(&other)))),
        Err(error) => return Err(without_id(Fault::NotJson(error.to_string()))),
    };
    let id = message_id(&object, limits).map_err(without_id)?;
    match message(object, limits) {
        Ok(message) => Ok(Request { id, message }),
        Err(fault) => Err(Refused { id, fault }),
    }
}

fn message(mut object: Object, limits: &Limits) -> Result<ClientMessage, Fault> {
    let verb = verb(&object)?;
    if matches!(verb.as_str(), "subscribe" | "unsubscribe") {
        well_named(&object)?;
    }
    Ok(match verb.as_str() {
        "subscribe" => ClientMessage::Subscribe {
            topics: topics(&mut object, limits)?,
            filter: filter(&object, limits)?,
        },
        "unsubscribe" => ClientMessage::Unsubscribe { topics: topics(&mut object, limits)? },
        "ping" => ClientMessage::Ping,
        "ack" => ClientMessage::Ack { sequence: sequence(&object)? },
        "authenticate" => ClientMessage::Authenticate { token: token(&mut object)? },
        _ => ClientMessage::Other { verb, object },
    })
}

fn verb(object: &Object) -> Result<String, Fault> {
    let (member, value) = ["action", "type"]
        .into_iter()
        .find_map(|member| Some((member, present(object, member)?)))
        .ok_or(Fault::NoVerb)?;
    match value {
        Value::String(verb) => Ok(verb.clone()),
        other => Err(wrong(format!("`{member}`"), Some(other), "a string")),
    }
}

/// Returns a member that is present and not `null`.
fn present<'o>(object: &'o Object, member: &str) -> Option<&'o Value> {
    object.get(member).filter(|value| !value.is_null())
}

/// Refuses misspelled members: without its filter, a subscription would receive everything.
fn well_named(object: &Object) -> Result<(), Fault> {
    for found in object.keys() {
        let stem = found.to_ascii_lowercase();
        let stem = stem.strip_suffix('s').unwrap_or(&stem);
        let looks_like = |expected: &&str| expected.strip_suffix('s') == Some(stem) && found != expected;
        if let Some(expected) = ["topics", "filters"].into_iter().find(looks_like) {
            let found = found.clone();
            return Err(Fault::Misnamed { found, expected });
        }
    }
    Ok(())
}

/// The members that may hold a message's own id, most specific first, because a route may use `id` for the object that
/// it asks about.
const ID_MEMBERS: [&str; 3] = ["message_id", "messageId", "id"];

/// Returns the value as an id, if it is one.
fn identify(value: &Value, limits: &Limits) -> Option<MessageId> {
    let id = match value {
        Value::String(text) => MessageId::Text(text.clone()),
        Value::Number(number) => MessageId::Number(number.clone()),
        _ => return None,
    };
    (id.to_string().len() <= limits.string_bytes).then_some(id)
}

fn message_id(object: &Object, limits: &Limits) -> Result<Option<MessageId>, Fault> {
    let found = ID_MEMBERS.into_iter().find_map(|member| Some((member, present(object, member)?)));
    let Some((member, value)) = found else {
        return Ok(None);
    };
    let member = format!("`{member}`");
    match value {
        Value::String(text) => {
            within(&member, text, limits)?;
            Ok(Some(MessageId::Text(text.clone())))
        }
        Value::Number(number) => {
            within(&member, &number.to_string(), limits)?;
            Ok(Some(MessageId::Number(number.clone())))
        }
        other => Err(wrong(member, Some(other), "a string or a number")),
    }
}

fn topics(object: &mut Object, limits: &Limits) -> Result<Vec<String>, Fault> {
    let topics = match object.get_mut("topics").map(Value::take) {
        Some(Value::Array(topics)) => topics,
        other => return Err(wrong("`topics`", other.as_ref(), "an array of strings")),
    };
    if topics.len() > limits.topics {
        return Err(Fault::TooManyTopics { count: topics.len(), limit: limits.topics });
    }
    let topic = |(index, topic)| match topic {
        Value::String(topic) => {
            within(&format!("`topics[{index}]`"), &topic, limits)?;
            Ok(topic)
        }
        other => Err(wrong(format!("`topics[{index}]`"), Some(&other), "a string")),
    };
    topics.into_iter().enumerate().map(topic).collect()
}

fn filter(object: &Object, limits: &Limits) -> Result<Filter, Fault> {
    let filters = match present(object, "filters") {
        None => return Ok(Filter::default()),
        Some(Value::Object(filters)) => filters,
        other => return Err(wrong("`filters`", other, "an object of attributes")),
    };
    if filters.len() > limits.filters {
        return Err(Fault::TooManyFilters {
            member: "`filters`".to_owned(),
            what: "attributes",
            count: filters.len(),
            limit: limits.filters,
        });
    }
    let attribute = |(name, value): (&String, &Value)| {
        within("an attribute in `filters`", name, limits)?;
        Ok((name.clone(), filter_values(name, value, limits)?))
    };
    filters.iter().filter(|(_, value)| !value.is_null()).map(attribute).collect()
}

/// Numbers are spelled as in attributes.
fn filter_value(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number::canonical(number)),
        other => scalar(other),
    }
}

fn filter_values(name: &str, value: &Value, limits: &Limits) -> Result<BTreeSet<String>, Fault> {
    let member = || format!("`filters` on {}", quoted(name));
    let Value::Array(values) = value else {
        let expected = "a string, a number, a boolean or an array of them";
        let text = filter_value(value).ok_or_else(|| wrong(member(), Some(value), expected))?;
        within(&member(), &text, limits)?;
        return Ok(BTreeSet::from([text]));
    };
    if values.len() > limits.filter_values {
        return Err(Fault::TooManyFilters {
            member: member(),
            what: "values",
            count: values.len(),
            limit: limits.filter_values,
        });
    }
    let element = |value: &Value| {
        let expected = "an array of strings, numbers and booleans only";
        let text = filter_value(value).ok_or_else(|| wrong(member(), Some(value), expected))?;
        within(&member(), &text, limits)?;
        Ok(text)
    };
    values.iter().map(element).collect()
}

fn sequence(object: &Object) -> Result<u64, Fault> {
    let value = object.get("seq");
    value
        .and_then(Value::as_u64)
        .ok_or_else(|| wrong("`seq`", value, "the sequence of a received message, a whole number"))
}

fn token(object: &mut Object) -> Result<Token, Fault> {
    match object.get_mut("token").map(Value::take) {
        Some(Value::String(token)) => Ok(Token(token)),
        other => Err(wrong("`token`", other.as_ref(), "a string")),
    }
}

/// Returns the text that a filter's value is compared as. Numbers keep the client's digits.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn within(member: &str, text: &str, limits: &Limits) -> Result<(), Fault> {
    if text.len() <= limits.string_bytes {
        return Ok(());
    }
    Err(Fault::TooLong {
        member: member.to_owned(),
        found: quoted(text),
        length: text.len(),
        limit: limits.string_bytes,
    })
}

fn wrong(member: impl Into<String>, found: Option<&Value>, expected: &'static str) -> Fault {
    let found = found.map_or_else(|| "missing".to_owned(), describe);
    Fault::Member { member: member.into(), found, expected }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(boolean) => format!("the boolean {boolean}"),
        Value::Number(number) => format!("the number {}", quoted(&number.to_string())),
        Value::String(text) => format!("the string {}", quoted(text)),
        Value::Array(elements) => format!("an array of {}", elements.len()),
        Value::Object(members) => format!("an object of {}", members.len()),
    }
}

#[cfg(test)]
mod tests;
