//! The members that a schema describes, so that others can be removed.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::compare::schema::resolved;

/// The keywords with schemas for the same value.
const COMBINED: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const CONDITIONAL: [&str; 3] = ["if", "then", "else"];

/// The members that a schema describes, at each place of a message.
#[derive(Debug, Clone, Default)]
pub(crate) struct KnownMembers {
    /// The members of an object, if the schema lists them.
    members: Option<BTreeMap<String, KnownMembers>>,
    /// What is known of a list's elements.
    elements: Option<Box<KnownMembers>>,
}

impl KnownMembers {
    /// The maximum depth of a schema. Deeper values keep all of their members, as in a schema that refers to itself.
    const MAX_DEPTH: usize = 8;

    pub(crate) fn of_schema(schema: &Value) -> Self {
        Self::read(schema, schema, 0)
    }

    fn read(document: &Value, schema: &Value, depth: usize) -> Self {
        let Value::Object(schema) = resolved(document, schema) else { return Self::default() };
        if depth > Self::MAX_DEPTH {
            return Self::default();
        }
        let elements = schema.get("items").filter(|items| items.is_object());
        let elements = elements.map(|items| Box::new(Self::read(document, items, depth + 1)));
        // Where the schema says what other members look like, it describes them.
        let is_open = ["additionalProperties", "unevaluatedProperties", "patternProperties", "propertyNames"]
            .iter()
            .any(|keyword| schema.get(*keyword).is_some_and(|others| *others != Value::Bool(false)));
        let members = schema.get("properties").and_then(Value::as_object).filter(|_| !is_open);
        let members = members.map(|properties| {
            let inside =
                |(name, inside): (&String, &Value)| (name.clone(), Self::read(document, inside, depth + 1));
            let mut members: BTreeMap<_, _> = properties.iter().map(inside).collect();
            for name in named_elsewhere(document, schema, depth) {
                members.entry(name).or_default();
            }
            members
        });
        Self { members, elements }
    }

    /// As JSON, for programs in other languages that do the same.
    pub(crate) fn to_json(&self) -> Value {
        let mut json = Map::new();
        if let Some(members) = &self.members {
            let members = members.iter().map(|(name, inside)| (name.clone(), inside.to_json()));
            json.insert("members".to_owned(), Value::Object(members.collect()));
        }
        if let Some(elements) = &self.elements {
            json.insert("elements".to_owned(), elements.to_json());
        }
        Value::Object(json)
    }

    /// Removes the members that are not known.
    pub(crate) fn keep(&self, value: &mut Value) {
        match value {
            Value::Object(members) => {
                let Some(known) = &self.members else { return };
                members.retain(|name, _| known.contains_key(name));
                for (name, member) in members.iter_mut() {
                    if let Some(known) = known.get(name) {
                        known.keep(member);
                    }
                }
            }
            Value::Array(elements) => {
                let Some(known) = &self.elements else { return };
                for element in elements {
                    known.keep(element);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Returns the members that schemas inside of this one name for the same value.
fn named_elsewhere(document: &Value, schema: &Map<String, Value>, depth: usize) -> Vec<String> {
    if depth > KnownMembers::MAX_DEPTH {
        return Vec::new();
    }
    let combined = COMBINED.iter().filter_map(|keyword| schema.get(*keyword)?.as_array()).flatten();
    let conditional = CONDITIONAL.iter().filter_map(|keyword| schema.get(*keyword));
    let dependent = schema.get("dependentSchemas").and_then(Value::as_object);
    let dependent = dependent.into_iter().flat_map(Map::values);
    let inside = combined.chain(conditional).chain(dependent);
    inside
        .filter_map(|inside| resolved(document, inside).as_object())
        .flat_map(|inside| {
            let properties = inside.get("properties").and_then(Value::as_object);
            let named = properties.into_iter().flat_map(Map::keys).cloned();
            named.chain(named_elsewhere(document, inside, depth + 1)).collect::<Vec<_>>()
        })
        .collect()
}
