//! The shape of an event's data as far as the catalog defines it, for the producer's generated types; in `client`, the
//! shapes of what clients receive and say. Pure.
//!
//! A catalog defines only how it uses data. A path in a message has the type that the message's schema requires at that
//! place. A path in an address, a key or an attribute is text. Data that no path reaches has no effect, so it is not a
//! member here, unless the catalog passes data on whole and the schema allows additional members.

mod client;

use serde_json::{Map, Value};
use tidings_model::{EventName, Tenant};

use crate::catalog::Catalog;
use crate::compare::schema::resolved;
use crate::destination::Destination;
use crate::file::{CatalogFile, Files};
use crate::message::MessageType;
use crate::parse::{CatalogError, Problem};
use crate::schemas::{CATALOG, Schemas};
use crate::template::{Path, Step, Template, TextTemplate};

pub use self::client::{ClientShapes, MessageShape, PublicationShape, RouteShape, client_shapes};

/// An event and the shape of its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventShape {
    /// The event's name.
    pub event: EventName,
    /// The documentation in the schemas of its messages.
    pub documentation: String,
    /// The name of its first message.
    pub message: String,
    /// Its data.
    pub data: Shape,
    /// Its addressee, if the data names one and the message does not say it.
    pub addressee: Option<Addressee>,
}

/// A member of an event's data that does nothing but name who receives the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressee {
    /// The kind of the address, such as `user`.
    pub kind: String,
    /// The name of the member, such as `userId`.
    pub member: String,
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Any JSON: the type is unknown or too complex.
    Any,
    /// A string.
    Text,
    /// One of these strings.
    Choice(Vec<String>),
    /// A whole number.
    Integer,
    /// A whole number of at least zero.
    Unsigned,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A list of values of one shape.
    List(Box<Shape>),
    /// An object with these members, in the order in which the catalog and its schemas name them.
    Object {
        /// The members that are known.
        members: Vec<Member>,
        /// Whether further members have an effect.
        is_open: bool,
    },
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name in JSON.
    pub name: String,
    /// The documentation in the schema.
    pub documentation: String,
    /// The type of its value.
    pub shape: Shape,
    /// Whether an event without it is rejected.
    pub is_required: bool,
}

/// Returns the data of each event in the catalog, in the catalog's order.
pub fn event_shapes(tenant: &Tenant, files: &Files) -> Result<Vec<EventShape>, CatalogError> {
    let catalog = Catalog::parse(tenant, files)?;
    let schema_files = schema_files(tenant, files)?;
    let mut shapes: Vec<EventShape> = Vec::new();
    let schemas = Schemas::new(files);
    for (message, file) in catalog.messages().iter().zip(&schema_files) {
        let schema = schemas.whole(file).unwrap_or(Value::Bool(true));
        let (data, documentation) = (data_of(message, &schema), about(&schema));
        for event in message.events() {
            match shapes.iter_mut().find(|known| known.event == *event) {
                Some(known) => {
                    known.documentation = [&known.documentation, &*documentation].join("\n\n");
                    known.data = known.data.clone().merged(data.clone());
                    known.addressee = None;
                }
                None => shapes.push(EventShape {
                    event: event.clone(),
                    documentation: documentation.clone(),
                    message: message.name().to_owned(),
                    data: data.clone(),
                    addressee: addressee(message),
                }),
            }
        }
    }
    Ok(shapes)
}

/// Returns the name of the file with the schema of each message. A valid catalog has one message type for each message of its
/// file.
pub(crate) fn schema_files(tenant: &Tenant, files: &Files) -> Result<Vec<String>, CatalogError> {
    let text = files.get(CATALOG).map(String::as_str).unwrap_or_default();
    let unreadable = |error: toml::de::Error| CatalogError {
        tenant: tenant.clone(),
        problems: vec![Problem { place: CATALOG.to_owned(), text: error.to_string() }],
    };
    let file: CatalogFile = toml::from_str(text).map_err(unreadable)?;
    Ok(file.message.into_iter().map(|message| message.schema).collect())
}

/// Returns the title and the description of a schema.
fn about(schema: &Value) -> String {
    let said = ["title", "description"].map(|keyword| schema.get(keyword).and_then(Value::as_str));
    said.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn data_of(message: &MessageType, schema: &Value) -> Shape {
    let mut data = Shape::Object { members: Vec::new(), is_open: false };
    let mut see = |path: &Path, found: Found| {
        if path.root() == "data" {
            data = std::mem::replace(&mut data, Shape::Any).merged(found.at(path));
        }
    };
    in_body(&message.body, &Place { document: schema, schema: Some(schema), is_required: false }, &mut see);
    for destination in &message.to {
        for path in destination.address.paths() {
            see(path, Found::text(destination.when.is_empty() && !path.is_optional() && !path.has_each()));
        }
        for (path, value) in &destination.when {
            see(path, Found { shape: Shape::of_value(value), ..Found::text(false) });
        }
    }
    for path in message.key.iter().chain(message.attributes.values()).flat_map(TextTemplate::paths) {
        see(path, Found::text(!path.is_optional()));
    }
    data
}

/// Returns the addressee of a message with one destination that depends on nothing else.
fn addressee(message: &MessageType) -> Option<Addressee> {
    let [Destination { address, when }] = message.to.as_slice() else { return None };
    let path = address.id()?.as_place().filter(|path| path.root() == "data" && !path.is_optional())?;
    let [Step::Member(member)] = path.steps() else { return None };
    let says = |said: &&Path| said.root() == "data" && path.steps().starts_with(said.steps());
    let is_said = message.body.paths().iter().any(says);
    (when.is_empty() && !is_said)
        .then(|| Addressee { kind: address.kind().to_owned(), member: member.clone() })
}

/// A place in the message, and its schema.
struct Place<'s> {
    document: &'s Value,
    schema: Option<&'s Value>,
    /// Whether the schema requires it.
    is_required: bool,
}

/// What one use of a path shows about its value.
struct Found {
    shape: Shape,
    documentation: String,
    is_required: bool,
}

fn in_body(template: &Template, place: &Place<'_>, see: &mut impl FnMut(&Path, Found)) {
    match template {
        Template::Literal(_) => {}
        Template::Place(path) => {
            let schema = place.schema.map(|schema| resolved(place.document, schema));
            let shape = schema.map_or(Shape::Any, |schema| Shape::of_schema(place.document, schema, 0));
            let documentation = schema.map(described).unwrap_or_default();
            see(path, Found { shape, documentation, is_required: place.is_required || !path.is_optional() });
        }
        Template::Text(text) => {
            text.paths().for_each(|path| see(path, Found::text(place.is_required || !path.is_optional())));
        }
        Template::Object(members) => {
            let schema = place.schema.map(|schema| resolved(place.document, schema));
            for (name, member) in members {
                let inside = schema.and_then(|schema| schema.get("properties")?.get(name));
                let is_required = schema.is_some_and(|schema| requires(schema, name));
                in_body(member, &Place { schema: inside, is_required, ..*place }, see);
            }
        }
        Template::Array(elements) => {
            let schema = place.schema.map(|schema| resolved(place.document, schema));
            let inside = schema.and_then(|schema| schema.get("items"));
            for element in elements {
                in_body(element, &Place { schema: inside, is_required: false, ..*place }, see);
            }
        }
    }
}

impl Found {
    fn text(is_required: bool) -> Self {
        Self { shape: Shape::Text, documentation: String::new(), is_required }
    }

    /// Returns the shape of data that contains this at the path.
    fn at(self, path: &Path) -> Shape {
        let mut found = self;
        for step in path.steps().iter().rev() {
            found = match step {
                Step::Member(name) => {
                    let Self { shape, documentation, is_required } = found;
                    let members = vec![Member { name: name.clone(), documentation, shape, is_required }];
                    let shape = Shape::Object { members, is_open: false };
                    Self { shape, ..Self::text(is_required) }
                }
                Step::Element(_) | Step::Each | Step::Words => {
                    Self { shape: Shape::List(Box::new(found.shape)), ..Self::text(found.is_required) }
                }
            };
        }
        found.shape
    }
}

impl Shape {
    /// The maximum depth of a schema. Deeper values may be anything, as in a schema that refers to itself.
    const MAX_DEPTH: usize = 6;

    fn of_schema(document: &Value, schema: &Value, depth: usize) -> Self {
        let Value::Object(schema) = resolved(document, schema) else { return Self::Any };
        if depth > Self::MAX_DEPTH {
            return Self::Any;
        }
        if let Some(choice) = choice(schema) {
            return choice;
        }
        let at_least_zero = schema.get("minimum").and_then(Value::as_f64).is_some_and(|least| least >= 0.0);
        match schema.get("type").and_then(Value::as_str) {
            Some("string") => Self::Text,
            Some("boolean") => Self::Boolean,
            Some("number") => Self::Number,
            Some("integer") if at_least_zero => Self::Unsigned,
            Some("integer") => Self::Integer,
            Some("array") => {
                let items = schema.get("items");
                let items = items.map_or(Self::Any, |items| Self::of_schema(document, items, depth + 1));
                Self::List(Box::new(items))
            }
            Some("object") => Self::of_object(document, schema, depth),
            None if schema.contains_key("properties") => Self::of_object(document, schema, depth),
            _ => Self::Any,
        }
    }

    fn of_object(document: &Value, schema: &Map<String, Value>, depth: usize) -> Self {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required = Value::Object(schema.clone());
        let members = properties.into_iter().flatten().map(|(name, inside)| Member {
            name: name.clone(),
            documentation: described(resolved(document, inside)),
            shape: Self::of_schema(document, inside, depth + 1),
            is_required: requires(&required, name),
        });
        let is_open = schema.get("additionalProperties") != Some(&Value::Bool(false));
        Self::Object { members: members.collect(), is_open }
    }

    fn of_value(value: &Value) -> Self {
        match value {
            Value::String(_) => Self::Text,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_i64() => Self::Integer,
            Value::Number(_) => Self::Number,
            Value::Null | Value::Array(_) | Value::Object(_) => Self::Any,
        }
    }

    /// Combines two uses of a value. Text is the weaker one, since text can also hold other values.
    fn merged(self, other: Self) -> Self {
        match (self, other) {
            (Self::Object { members, is_open }, Self::Object { members: others, is_open: other_is_open }) => {
                let members = others.into_iter().fold(members, with_member);
                Self::Object { members, is_open: is_open || other_is_open }
            }
            (Self::List(one), Self::List(other)) => Self::List(Box::new(one.merged(*other))),
            (Self::Any | Self::Text, known) | (known, Self::Any | Self::Text) => known,
            (one, other) if one == other => one,
            _ => Self::Any,
        }
    }
}

fn with_member(mut members: Vec<Member>, other: Member) -> Vec<Member> {
    match members.iter_mut().find(|member| member.name == other.name) {
        Some(member) => {
            member.shape = std::mem::replace(&mut member.shape, Shape::Any).merged(other.shape);
            member.is_required |= other.is_required;
            if member.documentation.is_empty() {
                member.documentation = other.documentation;
            }
        }
        None => members.push(other),
    }
    members
}

fn choice(schema: &Map<String, Value>) -> Option<Shape> {
    let values = match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => std::slice::from_ref(value),
        (None, values) => values?.as_array()?,
    };
    let texts: Option<Vec<_>> = values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
    texts.map(Shape::Choice)
}

fn requires(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|names| names.iter().any(|required| required == name))
}

fn described(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
}
