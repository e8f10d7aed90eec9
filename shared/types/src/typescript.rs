//! TypeScript: what the types of clients and of producers share.
//!
//! Every text of a catalog appears as a JSON string or in a comment that it cannot end, so no catalog can become code.

mod client;
mod producer;

use std::fmt::Write as _;

use serde_json::Value;
use tidings_catalog::{Member, Shape};

pub use client::typescript_client;
pub use producer::typescript_producer;

/// Whether an object type shows that further members are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Further {
    /// A reader does not mind them.
    Unsaid,
    /// A writer may give them.
    Said,
}

/// An interface, or for what is no object another name.
fn declaration(name: &str, shape: &Shape, further: Further) -> String {
    match shape {
        Shape::Object { members, is_open } if !members.is_empty() => {
            format!("export interface {name} {}", object(members, *is_open, "", &[], further))
        }
        other => format!("export type {name} = {};", of(other, "", further)),
    }
}

fn union(types: impl Iterator<Item = String>) -> String {
    let types: Vec<_> = types.collect();
    if types.is_empty() { "never".to_owned() } else { types.join(" | ") }
}

/// The type of a value whose line is indented so far.
fn of(shape: &Shape, indent: &str, further: Further) -> String {
    match shape {
        Shape::Any => "unknown".to_owned(),
        Shape::Text => "string".to_owned(),
        Shape::Choice(texts) => union(texts.iter().map(|text| quoted(text))),
        Shape::Integer | Shape::Unsigned | Shape::Number => "number".to_owned(),
        Shape::Boolean => "boolean".to_owned(),
        Shape::List(element) => format!("readonly ({})[]", of(element, indent, further)),
        Shape::Object { members, is_open: true } if members.is_empty() => {
            "Readonly<Record<string, unknown>>".to_owned()
        }
        Shape::Object { members, is_open } => object(members, *is_open, indent, &[], further),
    }
}

/// An object with members of which these are given as code.
fn object(
    members: &[Member],
    is_open: bool,
    indent: &str,
    given: &[(&str, String)],
    further: Further,
) -> String {
    let inner = format!("{indent}  ");
    let mut text = "{\n".to_owned();
    for (name, value) in given {
        _ = writeln!(text, "{inner}readonly {name}: {value};");
    }
    for Member { name, documentation, shape, is_required } in members {
        if given.iter().any(|(given, _)| given == name) {
            continue;
        }
        let (about, optional) = (comment(documentation, &inner), if *is_required { "" } else { "?" });
        let (name, value) = (member_name(name), of(shape, &inner, further));
        _ = writeln!(text, "{about}{inner}readonly {name}{optional}: {value};");
    }
    if is_open && further == Further::Said {
        _ = writeln!(text, "{inner}readonly [further: string]: unknown;");
    }
    text + indent + "}"
}

/// A comment, if there is something to say.
fn comment(text: &str, indent: &str) -> String {
    let text = text.replace("*/", "* /");
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    match lines.as_slice() {
        [] => String::new(),
        [line] => format!("{indent}/** {line} */\n"),
        lines => {
            let lines = lines.iter().map(|line| format!("{indent} * {line}").trim_end().to_owned() + "\n");
            format!("{indent}/**\n{}{indent} */\n", lines.collect::<String>())
        }
    }
}

fn member_name(name: &str) -> String {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    let is_identifier = name.starts_with(is_start) && name.chars().all(|c| is_start(c) || c.is_ascii_digit());
    if is_identifier { name.to_owned() } else { quoted(name) }
}

/// A string literal. JavaScript reads every JSON string as the same text.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_catalog_becomes_code() {
        assert_eq!(
            comment("ends */ here\n\nmore ", "  "),
            "  /**\n   * ends * / here\n   *\n   * more\n   */\n"
        );
        assert_eq!(comment("", ""), "");
        assert_eq!(member_name("a\"b"), r#""a\"b""#);
        assert_eq!(member_name("1st"), r#""1st""#);
        assert_eq!(member_name("docId"), "docId");
    }
}
