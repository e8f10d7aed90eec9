//! Types for `@tidings/client`: messages, topics, requests and publications.

use std::fmt::Write as _;

use serde_json::Value;
use tidings_catalog::{
    CatalogError, ClientShapes, Files, MessageShape, PublicationShape, RouteShape, Shape, client_shapes,
};
use tidings_model::Tenant;

use super::{Further, comment, declaration, member_name, object, of, quoted, union};
use crate::names::Names;

/// `Catalog` is imported; the others are types of the language that the generated ones must not hide.
const TAKEN: [&str; 3] = ["Catalog", "Readonly", "Record"];

/// Returns a module for clients with an interface for each message and one for the catalog.
pub fn typescript_client(tenant: &Tenant, files: &Files) -> Result<String, CatalogError> {
    let shapes = client_shapes(tenant, files)?;
    let mut names = Names::except(&TAKEN);
    let prefix = names.camel(tenant.as_str());
    let (all, catalog) =
        (names.camel(&format!("{prefix}-message")), names.camel(&format!("{prefix}-catalog")));
    let named: Vec<(String, &MessageShape)> =
        shapes.messages.iter().map(|message| (names.camel(&message.name), message)).collect();
    let mut text = format!(
        "// The messages of tenant `{tenant}`, written by `tidings types --tenant {tenant} --lang ts`.\n\n\
         import type {{ Catalog }} from \"@tidings/client\";\n"
    );
    for (name, message) in &named {
        let about = comment(&message.documentation, "");
        _ = write!(text, "\n{about}{}\n", declaration(name, &message.body, Further::Unsaid));
    }
    let mut every: Vec<_> = named.iter().map(|(name, _)| name.clone()).collect();
    if let Some(body) = &shapes.digest {
        let name = names.camel(&format!("{prefix}-digest"));
        let body = digest(body, &union(every.iter().cloned()), "");
        _ = write!(
            text,
            "\n/** Several messages as one, in their order; one that comes alone is no digest. */\nexport type {name} = {body};\n"
        );
        every.push(name);
    }
    let every = union(every.into_iter());
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

/// The type of a digest, in which this stands for a message.
fn digest(body: &Value, message: &str, indent: &str) -> String {
    let inner = format!("{indent}  ");
    match body {
        Value::String(text) if text == "{messages}" => format!("readonly ({message})[]"),
        // Doubled braces are single ones in the message.
        Value::String(text) if text.contains(['{', '}']) => "string".to_owned(),
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(|element| digest(element, message, indent)).collect();
            format!("readonly [{}]", elements.join(", "))
        }
        Value::Object(members) => {
            let mut text = "{\n".to_owned();
            for (name, member) in members {
                let (name, member) = (member_name(name), digest(member, message, &inner));
                _ = writeln!(text, "{inner}readonly {name}: {member};");
            }
            text + indent + "}"
        }
        literal => literal.to_string(),
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
            of(members, "    ", Further::Unsaid),
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
    object(members, false, "  ", &verb, Further::Unsaid)
}

fn block(lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.collect();
    if lines.is_empty() { "{}".to_owned() } else { format!("{{\n{lines}  }}") }
}
