//! TypeScript, for `@tidings/client`.
//!
//! Every text of a catalog appears as a JSON string or in a comment that it cannot end, so no catalog can become code.

use std::collections::HashSet;
use std::fmt::Write as _;

use heck::ToUpperCamelCase;
use serde_json::Value;
use tidings_catalog::{
    CatalogError, ClientShapes, Files, Member, MessageShape, PublicationShape, RouteShape, Shape,
    client_shapes,
};
use tidings_model::Tenant;

/// Returns a module with an interface for each message and one for the catalog.
pub fn typescript(tenant: &Tenant, files: &Files) -> Result<String, CatalogError> {
    let shapes = client_shapes(tenant, files)?;
    let mut names = Names::default();
    let prefix = names.unique(tenant.as_str());
    let (all, catalog) =
        (names.unique(&format!("{prefix}-message")), names.unique(&format!("{prefix}-catalog")));
    let named: Vec<(String, &MessageShape)> =
        shapes.messages.iter().map(|message| (names.unique(&message.name), message)).collect();
    let mut text = format!(
        "// The messages of tenant `{tenant}`, written by `tidings types --tenant {tenant} --lang ts`.\n\n\
         import type {{ Catalog }} from \"@tidings/client\";\n"
    );
    for (name, message) in &named {
        let about = comment(&message.documentation, "");
        _ = write!(text, "\n{about}{}\n", declaration(name, &message.body));
    }
    let every = union(named.iter().map(|(name, _)| name.clone()));
    _ = write!(text, "\n/** Every message that a client may receive. */\nexport type {all} = {every};\n");
    _ = write!(
        text,
        "\n/** What the catalog permits: `createClient<{catalog}>(…)`. */\n\
         export interface {catalog} extends Catalog {{\n  readonly message: {all};\n\
         \x20 readonly topics: {};\n  readonly routes: {};\n  readonly publication: {};\n}}\n",
        topics(&shapes),
        routes(&shapes.routes, &named),
        union(shapes.publications.iter().map(publication)),
    );
    Ok(text)
}

/// An interface, or for what is no object another name.
fn declaration(name: &str, shape: &Shape) -> String {
    match shape {
        Shape::Object { members, .. } if !members.is_empty() => {
            format!("export interface {name} {}", object(members, "", &[]))
        }
        other => format!("export type {name} = {};", of(other, "")),
    }
}

fn topics(shapes: &ClientShapes) -> String {
    let topics = shapes.topics.iter().map(|(name, attributes)| {
        format!(
            "    readonly {}: {};\n",
            member_name(name),
            union(attributes.iter().map(|name| quoted(name)))
        )
    });
    block(topics)
}

fn routes(routes: &[RouteShape], named: &[(String, &MessageShape)]) -> String {
    let routes = routes.iter().map(|RouteShape { action, members, answers }| {
        let answers = named.iter().filter(|(_, message)| answers.contains(&message.name));
        format!(
            "    readonly {}: {{ readonly params: {}; readonly answer: {} }};\n",
            member_name(action),
            of(members, "    "),
            union(answers.map(|(name, _)| name.clone())),
        )
    });
    block(routes)
}

fn publication(publication: &PublicationShape) -> String {
    let PublicationShape { action, kind, members } = publication;
    let verb = [("action", Some(action)), ("type", kind.as_ref())];
    let verb: Vec<_> = verb.iter().filter_map(|(name, value)| Some((*name, quoted((*value)?)))).collect();
    let members = match members {
        Shape::Object { members, .. } => members.as_slice(),
        _ => &[],
    };
    object(members, "  ", &verb)
}

fn block(lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.collect();
    if lines.is_empty() { "{}".to_owned() } else { format!("{{\n{lines}  }}") }
}

fn union(types: impl Iterator<Item = String>) -> String {
    let types: Vec<_> = types.collect();
    if types.is_empty() { "never".to_owned() } else { types.join(" | ") }
}

/// The type of a value whose line is indented so far.
fn of(shape: &Shape, indent: &str) -> String {
    match shape {
        Shape::Any => "unknown".to_owned(),
        Shape::Text => "string".to_owned(),
        Shape::Choice(texts) => union(texts.iter().map(|text| quoted(text))),
        Shape::Integer | Shape::Unsigned | Shape::Number => "number".to_owned(),
        Shape::Boolean => "boolean".to_owned(),
        Shape::List(element) => format!("readonly ({})[]", of(element, indent)),
        Shape::Object { members, is_open: true } if members.is_empty() => {
            "Readonly<Record<string, unknown>>".to_owned()
        }
        Shape::Object { members, .. } => object(members, indent, &[]),
    }
}

/// An object with members of which these are given as code.
fn object(members: &[Member], indent: &str, given: &[(&str, String)]) -> String {
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
        let (name, value) = (member_name(name), of(shape, &inner));
        _ = writeln!(text, "{about}{inner}readonly {name}{optional}: {value};");
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

/// The names of a module: each a TypeScript identifier, and no two the same.
#[derive(Debug)]
struct Names(HashSet<String>);

impl Default for Names {
    /// `Catalog` is imported; the others are types of the language that the generated ones must not hide.
    fn default() -> Self {
        Self(["Catalog", "Readonly", "Record"].map(str::to_owned).into())
    }
}

impl Names {
    fn unique(&mut self, name: &str) -> String {
        let camel: String = name.to_upper_camel_case().chars().filter(char::is_ascii_alphanumeric).collect();
        let camel =
            if camel.starts_with(|c: char| c.is_ascii_alphabetic()) { camel } else { format!("T{camel}") };
        let mut unique = camel.clone();
        let mut number = 2;
        while !self.0.insert(unique.clone()) {
            unique = format!("{camel}{number}");
            number += 1;
        }
        unique
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_an_identifier_and_no_two_are_the_same() {
        let mut names = Names::default();
        let found = ["catalog", "upload_progress", "upload-progress", "1st", "é", "error"];
        let found = found.map(|name| names.unique(name));
        assert_eq!(found, ["Catalog2", "UploadProgress", "UploadProgress2", "T1st", "T", "Error"]);
    }

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
