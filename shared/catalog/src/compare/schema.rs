//! Compares what two JSON Schemas of any draft allow, as far as their structure shows it.
//!
//! A schema describes messages that are rendered from events. If the new schema allows a type that the old one did not,
//! clients receive something unexpected. If it refuses what the old one allowed, producers' events are rejected.
//! Keywords whose difference cannot be judged here (`allOf`, `if`, …) must not change.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Break, Who};
use crate::template::escaped;

/// Keywords that constrain nothing.
const ANNOTATIONS: [&str; 14] = [
    "$schema",
    "$id",
    "id",
    "definitions",
    "$comment",
    "$defs",
    "$anchor",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];
/// Bounds that become stricter when they grow.
const LOWER: [&str; 5] = ["minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties"];
/// Bounds that become stricter when they shrink.
const UPPER: [&str; 5] = ["maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties"];
/// Keywords that are compared one by one. All others must be equal.
const JUDGED: [&str; 7] =
    ["type", "const", "enum", "required", "properties", "additionalProperties", "items"];
/// Constraints that are compared for equality only: any change counts as stricter.
const OPAQUE: [&str; 4] = ["format", "pattern", "multipleOf", "uniqueItems"];

/// Returns all breaking changes. The place is the JSON pointer in the message.
pub(super) fn breaks(old: &Value, new: &Value) -> Vec<Break> {
    let mut comparison = Comparison { old, new, seen: BTreeSet::new(), breaks: Vec::new() };
    comparison.compare(old, new, "");
    comparison.breaks
}

struct Comparison<'s> {
    old: &'s Value,
    new: &'s Value,
    /// References that were followed, by place. They end the recursion of a schema that refers to itself.
    seen: BTreeSet<(String, String)>,
    breaks: Vec<Break>,
}

impl<'s> Comparison<'s> {
    fn add(&mut self, who: Who, pointer: &str, text: impl Into<String>) {
        let place = if pointer.is_empty() { "/" } else { pointer };
        self.breaks.push(Break { place: place.to_owned(), text: text.into(), who });
    }

    fn compare(&mut self, old: &'s Value, new: &'s Value, pointer: &str) {
        if let (Some(before), Some(now)) = (reference(old), reference(new))
            && !self.seen.insert((before.to_owned(), now.to_owned()))
        {
            return;
        }
        let (old, new) = (resolved(self.old, old), resolved(self.new, new));
        let (old, new) = match (old, new) {
            (Value::Object(old), Value::Object(new)) => (old, new),
            // `true` allows everything, `false` allows nothing.
            (Value::Bool(true), Value::Object(new)) if !new.is_empty() => {
                return self.add(Who::Producers, pointer, "an unconstrained value is constrained now");
            }
            (Value::Object(old), Value::Bool(true)) if !old.is_empty() => {
                return self.add(Who::Clients, pointer, "it is no longer described");
            }
            // An array holds one schema per element, in drafts before 2020-12.
            (Value::Array(_), _) | (_, Value::Array(_)) if old != new => {
                return self.add(Who::Clients, pointer, "its elements are described differently");
            }
            (_, Value::Bool(false)) => return self.add(Who::Clients, pointer, "it was removed"),
            _ => return,
        };
        self.types(old, new, pointer);
        self.values(old, new, pointer);
        self.bounds(old, new, pointer);
        self.members(old, new, pointer);
        if let (Some(old), Some(new)) = (old.get("items"), new.get("items")) {
            self.compare(old, new, &format!("{pointer}/0"));
        } else if old.get("items") != new.get("items") {
            self.add(Who::Clients, pointer, "its elements are described differently");
        }
        self.others(old, new, pointer);
    }

    fn types(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, pointer: &str) {
        let (old, new) = (types(old), types(new));
        let gained: Vec<_> = new.difference(&old).copied().collect();
        let lost: Vec<_> = old.difference(&new).copied().collect();
        if !gained.is_empty() {
            self.add(Who::Clients, pointer, format!("it may be {} now", gained.join(" or ")));
        }
        if !lost.is_empty() {
            self.add(Who::Producers, pointer, format!("it may no longer be {}", lost.join(" or ")));
        }
    }

    /// A new enumeration value is backward compatible: clients ignore values that they do not know.
    fn values(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, pointer: &str) {
        match (values(old), values(new)) {
            (_, None) => {}
            (None, Some(_)) => self.add(Who::Producers, pointer, "only some values are allowed now"),
            (Some(old), Some(new)) => {
                let lost: Vec<_> =
                    old.iter().filter(|value| !new.contains(value)).map(ToString::to_string).collect();
                if !lost.is_empty() {
                    self.add(Who::Producers, pointer, format!("it may no longer be {}", lost.join(" or ")));
                }
            }
        }
    }

    fn bounds(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, pointer: &str) {
        // In draft 04 `exclusiveMinimum` and `exclusiveMaximum` are booleans.
        let number = |schema: &Map<String, Value>, keyword: &str| match schema.get(keyword)? {
            Value::Bool(is_exclusive) => is_exclusive.then_some(1.0),
            bound => bound.as_f64(),
        };
        let stricter = |keyword: &str, is_stricter: fn(f64, f64) -> bool| {
            let (old, new) = (number(old, keyword), number(new, keyword));
            new.is_some_and(|new| old.is_none_or(|old| is_stricter(new, old)))
        };
        let lower = LOWER.into_iter().filter(|keyword| stricter(keyword, |new, old| new > old));
        let upper = UPPER.into_iter().filter(|keyword| stricter(keyword, |new, old| new < old));
        let opaque = OPAQUE.into_iter().filter(|keyword| {
            new.get(*keyword).is_some_and(|constraint| old.get(*keyword) != Some(constraint))
        });
        for keyword in lower.chain(upper).chain(opaque).collect::<Vec<_>>() {
            self.add(Who::Producers, pointer, format!("`{keyword}` is stricter or different"));
        }
    }

    fn members(&mut self, old: &'s Map<String, Value>, new: &'s Map<String, Value>, pointer: &str) {
        let at = |name: &str| format!("{pointer}/{}", escaped(name));
        let (was_required, is_required) = (required(old), required(new));
        let (had, has) = (properties(old), properties(new));
        let is_in = |members: Option<&Map<String, Value>>, name: &str| {
            members.is_some_and(|members| members.contains_key(name))
        };
        for name in was_required.difference(&is_required) {
            // Members that were removed are reported below.
            if is_in(has, name) || !is_in(had, name) {
                self.add(Who::Clients, &at(name), "it may be missing now");
            }
        }
        for name in is_required.difference(&was_required) {
            self.add(Who::Producers, &at(name), "it is required now");
        }
        for (name, before) in had.into_iter().flatten() {
            match has.and_then(|members| members.get(name)) {
                Some(now) => self.compare(before, now, &at(name)),
                None => self.add(Who::Clients, &at(name), "it was removed"),
            }
        }
        let is_closed =
            |schema: &Map<String, Value>| schema.get("additionalProperties") == Some(&Value::Bool(false));
        if is_closed(new) && !is_closed(old) {
            self.add(Who::Producers, pointer, "members that are not described are refused now");
        }
    }

    fn others(&mut self, old: &Map<String, Value>, new: &Map<String, Value>, pointer: &str) {
        let judged = |keyword: &str| {
            let known: [&[&str]; 5] = [&ANNOTATIONS, &LOWER, &UPPER, &JUDGED, &OPAQUE];
            known.iter().any(|keywords| keywords.contains(&keyword))
        };
        let keywords: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for keyword in keywords.into_iter().filter(|keyword| !judged(keyword)) {
            if old.get(keyword) != new.get(keyword) {
                let text = format!("`{keyword}` changed, and its effect cannot be judged");
                self.add(Who::Clients, pointer, text);
            }
        }
    }
}

fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()
}

/// Follows references within the document. Other references are returned unresolved.
pub(crate) fn resolved<'s>(document: &'s Value, mut schema: &'s Value) -> &'s Value {
    /// The longest chain of references. A longer one is a cycle.
    const MOST: usize = 16;
    for _ in 0..MOST {
        let target = reference(schema).and_then(|target| target.strip_prefix('#'));
        let Some(found) = target.and_then(|pointer| document.pointer(pointer)) else { break };
        schema = found;
    }
    schema
}

/// The allowed types. `number` includes `integer`.
fn types(schema: &Map<String, Value>) -> BTreeSet<&str> {
    const ALL: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];
    let mut types: BTreeSet<&str> = match schema.get("type") {
        Some(Value::String(one)) => BTreeSet::from([one.as_str()]),
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => match values(schema) {
            Some(values) => values.iter().map(|value| type_of(value)).collect(),
            None => BTreeSet::from(ALL),
        },
    };
    if types.contains("number") {
        types.insert("integer");
    }
    types
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The allowed values, if the schema restricts them.
fn values(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some(vec![value]),
        (None, Some(Value::Array(values))) => Some(values.iter().collect()),
        _ => None,
    }
}

fn required(schema: &Map<String, Value>) -> BTreeSet<&str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn properties(schema: &Map<String, Value>) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}
