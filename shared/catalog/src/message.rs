//! Message types: they render an event's envelopes.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use jsonschema::Validator;
use serde_json::{Value, json};
use tidings_model::{Address, Attribute, Attributes, Class, Event, EventName, rfc3339};
use tidings_preferences::Category;

use crate::destination::Destination;
use crate::fallback::Fallback;
use crate::rejection::{Reason, Rejection};
use crate::sanitize::Sanitizer;
use crate::template::{Scope, Template, TextTemplate};

/// The largest message, in bytes (the uploads contract: "keep messages under 128KB").
const MAX_MESSAGE_BYTES: usize = 128 * 1024;

/// The initial capacity of a message's buffer, in bytes: most messages fit into it.
const COMMON_MESSAGE_BYTES: usize = 1024;

/// The longest key, in bytes: as long as the longest id of an address.
const MAX_KEY_BYTES: usize = Address::MAX_ID_LENGTH;

/// The maximum number of an attribute's values, the same as in a filter.
const MAX_ATTRIBUTE_VALUES: usize = 64;

/// The longest value of an attribute, in bytes.
const MAX_ATTRIBUTE_BYTES: usize = 256;

/// The maximum number of attributes. All of them go into one header, and JetStream limits headers.
pub(crate) const MAX_ATTRIBUTES: usize = 16;

/// The longest name of an attribute, in bytes.
pub(crate) const MAX_ATTRIBUTE_NAME_BYTES: usize = 64;

/// A kind of message that clients receive.
#[derive(Debug)]
pub struct MessageType {
    pub(crate) name: String,
    pub(crate) slot: String,
    pub(crate) events: Vec<EventName>,
    pub(crate) schema: Validator,
    pub(crate) to: Vec<Destination>,
    pub(crate) class: Class,
    pub(crate) key: Option<TextTemplate>,
    pub(crate) time_to_live: Option<Duration>,
    /// The minimum time between two messages for one address and key.
    pub(crate) interval: Option<Duration>,
    pub(crate) attributes: BTreeMap<String, TextTemplate>,
    pub(crate) body: Template,
    pub(crate) sanitizer: Sanitizer,
    /// What users switch on and off.
    pub(crate) category: Category,
    /// Whether fallbacks are sent whatever users have set.
    pub(crate) is_critical: bool,
    /// By their `after`, the earliest first.
    pub(crate) fallbacks: Vec<Fallback>,
}

/// An event rendered by one message type: one body for several addresses.
pub(crate) struct Rendered {
    pub(crate) addresses: Vec<Address>,
    pub(crate) key: Option<String>,
    pub(crate) attributes: Attributes,
    pub(crate) message: Value,
    pub(crate) body: Bytes,
}

impl MessageType {
    /// Its name, unique in the catalog.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The events that become this message.
    #[must_use]
    pub fn events(&self) -> &[EventName] {
        &self.events
    }

    /// Its fallbacks, the earliest first.
    #[must_use]
    pub fn fallbacks(&self) -> &[Fallback] {
        &self.fallbacks
    }

    /// Its delivery class.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// Renders an event; `number` is that of the message among those that the event becomes.
    pub(crate) fn render(&self, event: &Event, number: u32) -> Result<Rendered, Rejection> {
        let scope = EventScope { event, number, envelope: OnceCell::new() };
        let mut message = self
            .body
            .render(&scope)
            .map_err(|unresolved| Rejection::unresolved(&unresolved))?
            .unwrap_or_default();
        self.sanitizer.apply(&mut message);
        if let Err(error) = self.schema.validate(&message) {
            return Err(Rejection::schema(&self.name, &error));
        }
        let mut body = Vec::with_capacity(COMMON_MESSAGE_BYTES);
        serde_json::to_writer(&mut body, &message)
            .map_err(|error| Rejection::new(Reason::MalformedEvent, &error.to_string()))?;
        if body.len() > MAX_MESSAGE_BYTES {
            let text = format!(
                "message `{}` would have {} bytes, more than {MAX_MESSAGE_BYTES}",
                self.name,
                body.len()
            );
            return Err(Rejection::new(Reason::TooLarge, &text));
        }
        Ok(Rendered {
            addresses: self.addresses(&scope)?,
            key: self.key(&scope)?,
            attributes: self.attributes(&scope)?,
            message,
            body: body.into(),
        })
    }

    /// Returns the addresses without duplicates, in the order of the catalog and the data.
    fn addresses(&self, scope: &EventScope<'_>) -> Result<Vec<Address>, Rejection> {
        let mut seen = HashSet::new();
        let mut addresses = Vec::new();
        for destination in &self.to {
            let reached = destination.addresses(scope)?;
            addresses.extend(reached.into_iter().filter(|address| seen.insert(address.clone())));
        }
        if addresses.is_empty() {
            let text = format!("no destination of message `{}` applies to this event", self.name);
            return Err(Rejection::new(Reason::NoAddress, &text));
        }
        Ok(addresses)
    }

    fn key(&self, scope: &EventScope<'_>) -> Result<Option<String>, Rejection> {
        let Some(template) = &self.key else { return Ok(None) };
        let key = template.key(scope).map_err(|unresolved| Rejection::unresolved(&unresolved))?;
        if let Some(key) = &key {
            self.check_length("key", key, MAX_KEY_BYTES)?;
        }
        Ok(key)
    }

    fn attributes(&self, scope: &EventScope<'_>) -> Result<Attributes, Rejection> {
        let mut attributes = Attributes::new();
        let mut bytes = 0;
        for (name, template) in &self.attributes {
            let values =
                template.attributes(scope).map_err(|unresolved| Rejection::unresolved(&unresolved))?;
            if values.len() > MAX_ATTRIBUTE_VALUES {
                let text = format!(
                    "attribute `{name}` of message `{}` has {} values, more than {MAX_ATTRIBUTE_VALUES}",
                    self.name,
                    values.len()
                );
                return Err(Rejection::new(Reason::TooLarge, &text));
            }
            for value in &values {
                self.check_length(name, value, MAX_ATTRIBUTE_BYTES)?;
                bytes += value.len();
            }
            attributes.extend(Attribute::new(values).map(|attribute| (name.clone(), attribute)));
        }
        if bytes > MAX_ATTRIBUTES * MAX_ATTRIBUTE_BYTES {
            let (name, max) = (&self.name, MAX_ATTRIBUTES * MAX_ATTRIBUTE_BYTES);
            let text = format!("the attributes of message `{name}` have {bytes} bytes, more than {max}");
            return Err(Rejection::new(Reason::TooLarge, &text));
        }
        Ok(attributes)
    }

    /// NATS limits subjects, which contain grants, and headers, which contain attributes.
    fn check_length(&self, name: &str, text: &str, max: usize) -> Result<(), Rejection> {
        if text.len() <= max {
            return Ok(());
        }
        let length = text.len();
        let text = format!("`{name}` of message `{}` has {length} bytes, more than {max}", self.name);
        Err(Rejection::new(Reason::TooLarge, &text))
    }
}

/// The names that a catalog's templates may begin with.
pub(crate) const EVENT_ROOTS: [&str; 7] = ["id", "source", "entity", "action", "subject", "time", "data"];

/// The root of what the envelope has, and not the event.
pub(crate) const ENVELOPE: &str = "envelope";

struct EventScope<'e> {
    event: &'e Event,
    /// The number of its message.
    number: u32,
    /// Made if a message asks for it.
    envelope: OnceCell<Value>,
}

impl Scope for EventScope<'_> {
    fn root(&self, name: &str) -> Option<Cow<'_, Value>> {
        let event = self.event;
        let text = |text: &str| Some(Cow::Owned(Value::String(text.to_owned())));
        match name {
            "data" => Some(Cow::Borrowed(&event.data)),
            "id" => text(&event.id),
            "entity" => text(&event.name.entity),
            "action" => text(&event.name.action),
            "source" => event.source.as_deref().and_then(text),
            "subject" => event.subject.as_deref().and_then(text),
            "time" => event.time.as_deref().and_then(text),
            // The same for all addresses, and for each making of the envelope.
            ENVELOPE => Some(Cow::Borrowed(
                self.envelope.get_or_init(|| json!({ "id": format!("{}.{}", event.position, self.number) })),
            )),
            _ => None,
        }
    }

    /// If the producer gave no time and the message needs one, this is when the stream stored the event.
    fn stand_in(&self, name: &str) -> Option<Value> {
        (name == "time").then(|| Value::String(rfc3339(self.event.stored_at)))
    }
}
