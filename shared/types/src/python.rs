//! Python, for the package `tidings-producer`: a `TypedDict` for each event's data, a function that makes the event, and the
//! catalog's checks.
//!
//! Every text of a catalog appears as a JSON string, which Python reads as the same text, or in a comment or a documentation
//! string that it cannot end.

use std::fmt::Write as _;

use serde_json::Value;
use tidings_catalog::{CatalogError, EventShape, Files, Member, Shape, checks, event_shapes};
use tidings_model::Tenant;

use crate::names::Names;

/// What the module imports and makes itself, and names of the language.
const TAKEN: [&str; 52] = [
    "Any",
    "Catalog",
    "Event",
    "Literal",
    "TypedDict",
    "CATALOG",
    "annotations",
    "bool",
    "data",
    "dict",
    "float",
    "id",
    "int",
    "list",
    "str",
    "subject",
    "time",
    "False",
    "None",
    "True",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "is",
    "lambda",
    "nonlocal",
    "not",
    "or",
    "pass",
    "raise",
    "return",
    "try",
    "while",
    "with",
    "yield",
];

/// Returns a module for producers of the tenant's events.
pub fn python_producer(tenant: &Tenant, files: &Files) -> Result<String, CatalogError> {
    let shapes = event_shapes(tenant, files)?;
    let checks = checks(tenant, files)?.to_string();
    let mut module = Module::default();
    let functions: Vec<_> = shapes.iter().map(|shape| module.event(shape)).collect();
    Ok(format!(
        "\"\"\"The events of tenant `{tenant}`, for producers; written by\n\
         `tidings types --tenant {tenant} --lang python`.\n\"\"\"\n\n\
         from __future__ import annotations\n\n\
         from typing import Any, Literal, TypedDict\n\n\
         from tidings_producer import Catalog, Event\n\n\
         __all__ = [{}]\n{}\n\n\
         #: What the catalog demands of events; the producer checks it before it sends them.\n\
         CATALOG = Catalog.parse(\n    {}\n)\n{}",
        module.exported.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", "),
        module.types,
        quoted(&checks),
        functions.concat(),
    ))
}

/// The types of a module.
struct Module {
    names: Names,
    /// The types of members: wanted name, shape, actual name.
    known: Vec<(String, Shape, String)>,
    types: String,
    exported: Vec<String>,
}

impl Default for Module {
    fn default() -> Self {
        Self {
            names: Names::except(&TAKEN),
            known: Vec::new(),
            types: String::new(),
            exported: vec!["CATALOG".to_owned()],
        }
    }
}

impl Module {
    /// Makes the types of an event's data. Returns the function that makes the event.
    fn event(&mut self, shape: &EventShape) -> String {
        let event = shape.event.to_string();
        let data = match &shape.data {
            Shape::Object { members, is_open } if !members.is_empty() => {
                let name = self.names.camel(&event);
                let about = format!("The data of `{event}`.\n\n{}", shape.documentation);
                self.dictionary(&name, &shape.message, &about, members, *is_open);
                name
            }
            other => self.of(other, &shape.message),
        };
        let function = self.names.snake(&event);
        self.exported.push(function.clone());
        format!(
            "\n\ndef {function}(\n    data: {data},\n    *,\n    id: str | None = None,\n    \
             subject: str | None = None,\n    time: str | None = None,\n) -> Event:\n    \
             \"\"\"Makes `{event}`.\"\"\"\n    \
             return Event({}, data, id=id, subject=subject, time=time)\n",
            quoted(&event)
        )
    }

    /// Makes the type of an object: what is required, and what is not.
    fn dictionary(&mut self, name: &str, outer: &str, about: &str, members: &[Member], is_open: bool) {
        let typed: Vec<(&Member, String)> = members
            .iter()
            .map(|member| (member, self.of(&member.shape, &format!("{outer}_{}", member.name))))
            .collect();
        let (required, optional): (Vec<_>, Vec<_>) =
            typed.into_iter().partition(|(member, _)| member.is_required);
        let further = if is_open { "\n\nFurther members are allowed." } else { "" };
        let about = documentation(&format!("{}{further}", about.trim_end()));
        self.exported.push(name.to_owned());
        let base = if optional.is_empty() || required.is_empty() {
            "TypedDict".to_owned()
        } else {
            let base = self.names.camel(&format!("{name}-required"));
            _ = write!(self.types, "\n\n{}", block(&base, "TypedDict", true, "", &required));
            base
        };
        let (own, is_total) = if optional.is_empty() { (&required, true) } else { (&optional, false) };
        _ = write!(self.types, "\n\n{}", block(name, &base, is_total, &about, own));
    }

    /// Returns the type of a value. A type that is made for it is called `name`.
    fn of(&mut self, shape: &Shape, name: &str) -> String {
        match shape {
            Shape::Any => "Any".to_owned(),
            Shape::Text => "str".to_owned(),
            Shape::Choice(texts) if texts.is_empty() => "Any".to_owned(),
            Shape::Choice(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
                format!("Literal[{}]", texts.join(", "))
            }
            Shape::Integer | Shape::Unsigned => "int".to_owned(),
            Shape::Number => "float".to_owned(),
            Shape::Boolean => "bool".to_owned(),
            Shape::List(element) => format!("list[{}]", self.of(element, name)),
            Shape::Object { members, .. } if members.is_empty() => "dict[str, Any]".to_owned(),
            Shape::Object { members, is_open } => {
                let known = self.known.iter().find(|(known, of, _)| known == name && of == shape);
                if let Some((_, _, known)) = known {
                    return known.clone();
                }
                let made = self.names.camel(name);
                self.known.push((name.to_owned(), shape.clone(), made.clone()));
                self.dictionary(&made, name, "A part of an event's data.", members, *is_open);
                made
            }
        }
    }
}

/// A `TypedDict`: as a class, or where a name is none in Python, as the function makes it.
fn block(name: &str, base: &str, is_total: bool, about: &str, members: &[(&Member, String)]) -> String {
    let total = if is_total { "" } else { ", total=False" };
    if members.iter().all(|(member, _)| is_name(&member.name)) {
        let members = members.iter().map(|(member, value)| {
            format!("{}    {}: {value}\n", comment(&member.documentation), member.name)
        });
        return format!("class {name}({base}{total}):\n{about}{}", members.collect::<String>());
    }
    let members: Vec<_> = members
        .iter()
        .map(|(member, value)| format!("{}: {}", quoted(&member.name), quoted(value)))
        .collect();
    let dictionary =
        |name: &str| format!("{name} = TypedDict({}, {{{}}}{total})\n", quoted(name), members.join(", "));
    if base == "TypedDict" {
        return dictionary(name);
    }
    let own = format!("_{name}Optional");
    format!("{}\n\nclass {name}({base}, {own}):\n{about}    pass\n", dictionary(&own))
}

/// Whether a member may stand in a class: Python changes names that begin with two underscores there.
fn is_name(name: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_word = name.starts_with(is_start) && name.chars().all(|c| is_start(c) || c.is_ascii_digit());
    let is_keyword = TAKEN[17..].contains(&name);
    is_word && !is_keyword && !name.starts_with("__")
}

/// A documentation string, indented.
fn documentation(text: &str) -> String {
    let text = printable(text).replace('\\', "\\\\").replace('"', "\\\"");
    let lines: Vec<_> = text.lines().map(|line| format!("    {line}").trim_end().to_owned()).collect();
    let text = lines.join("\n");
    let end = if lines.len() > 1 { "\n    " } else { "" };
    format!("    \"\"\"{}{end}\"\"\"\n\n", text.trim_start())
}

/// Comments, a line each.
fn comment(text: &str) -> String {
    let mut comments = String::new();
    for line in printable(text).lines() {
        _ = writeln!(comments, "    # {}", line.trim());
    }
    comments
}

/// The text without what ends a line of Python, but for the ends of its own lines.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// A string literal: of what JSON escapes, Python reads everything as the same text.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_catalog_becomes_code() {
        assert_eq!(documentation("ends \"\"\" here\\"), "    \"\"\"ends \\\"\\\"\\\" here\\\\\"\"\"\n\n");
        assert_eq!(documentation("a\n\nb"), "    \"\"\"a\n\n    b\n    \"\"\"\n\n");
        assert_eq!(comment("one\r\ntwo\x0cthree"), "    # one\n    # two three\n");
        assert!(is_name("userId") && !is_name("first name") && !is_name("class") && !is_name("__x"));
    }
}
