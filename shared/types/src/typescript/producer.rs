//! Types and helpers for the npm package `tidings-producer`: the data of each event, the catalog's checks, and functions that
//! publish one message.
//!
//! A message for one addressee, whom its data names and it does not, is made by `create<Message>Message`, with the required
//! members first and in the catalog's order, and sent by `broadcastTo<Kind>`; every other message by `broadcast<Message>`.

use std::fmt::Write as _;

use tidings_catalog::{Addressee, CatalogError, EventShape, Files, Member, Shape, checks, event_shapes};
use tidings_model::Tenant;

use super::{Further, comment, declaration, member_name, of, quoted};
use crate::names::Names;

/// What the module imports and makes itself, and types of the language.
const TAKEN: [&str; 8] =
    ["Message", "Promise", "Readonly", "Record", "Stored", "parseCatalog", "publishTo", "sharedProducer"];

/// Words that name no parameter, and the function that is called with all of them.
const RESERVED: [&str; 52] = [
    "addressed",
    "arguments",
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "enum",
    "eval",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "function",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "interface",
    "let",
    "new",
    "null",
    "package",
    "private",
    "protected",
    "public",
    "return",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "undefined",
    "var",
    "void",
    "while",
    "with",
    "yield",
    "of",
];

/// Returns a module for producers of the tenant's events.
pub fn typescript_producer(tenant: &Tenant, files: &Files) -> Result<String, CatalogError> {
    let shapes = event_shapes(tenant, files)?;
    let checks = checks(tenant, files)?.to_string();
    let mut types = Names::except(&TAKEN);
    let events = types.camel(&format!("{tenant}-events"));
    let named: Vec<(String, &EventShape)> =
        shapes.iter().map(|shape| (types.camel(&shape.event.to_string()), shape)).collect();
    let functions = functions(&named);
    let mut text = format!(
        "// The events of tenant `{tenant}`, for producers; written by\n\
         // `tidings types --tenant {tenant} --lang ts --for producer`.\n\n{}",
        imports(&shapes),
    );
    for (name, shape) in &named {
        let about = format!("The data of `{}`.\n\n{}", shape.event, shape.documentation);
        let declared = declaration(name, &shape.data, Further::Said);
        _ = write!(text, "\n{}{declared}\n", comment(about.trim_end(), ""));
    }
    _ = write!(text, "\n/** The data of each event. */\nexport interface {events} {{\n");
    for (name, shape) in &named {
        _ = writeln!(text, "  readonly {}: {name};", quoted(&shape.event.to_string()));
    }
    _ = write!(
        text,
        "}}\n\n/** What the catalog demands of events; the producer checks it before it sends them. */\n\
         export const catalog = parseCatalog<{events}>(\n  {},\n);\n\n\
         /** The producer of the functions below. Unless it is configured, the environment does it at the first event. */\n\
         export const producer = sharedProducer(catalog);\n{functions}",
        quoted(&checks),
    );
    Ok(text)
}

fn imports(shapes: &[EventShape]) -> String {
    let has_addressee = shapes.iter().any(|shape| addressed(shape).is_some());
    let (types, functions) = if has_addressee { ("type Message, ", "addressed, ") } else { ("", "") };
    let last = if has_addressee { "publishTo, " } else { "" };
    format!(
        "import {{ {types}type Stored, {functions}parseCatalog, {last}sharedProducer }} from \"tidings-producer\";\n"
    )
}

/// The addressee of an event whose data has further members.
fn addressed(shape: &EventShape) -> Option<(&Addressee, &[Member])> {
    match (&shape.addressee, &shape.data) {
        (Some(addressee), Shape::Object { members, .. }) => Some((addressee, members)),
        _ => None,
    }
}

fn functions(named: &[(String, &EventShape)]) -> String {
    let mut names =
        Names::except(&["addressed", "catalog", "parseCatalog", "producer", "publishTo", "sharedProducer"]);
    let mut text = String::new();
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for (data, shape) in named {
        let event = shape.event.to_string();
        // A message of one event is called as the catalog calls it.
        let is_one = named.iter().filter(|(_, other)| other.message == shape.message).count() == 1;
        let subject = if is_one { &shape.message } else { &event };
        if let Some((addressee, members)) = addressed(shape) {
            let name = names.lower_camel(&format!("create-{subject}-message"));
            text += &creator(&name, &event, addressee, members);
            if !kinds.iter().any(|(kind, _)| *kind == addressee.kind) {
                kinds.push((&addressee.kind, &addressee.member));
            }
            continue;
        }
        let is_named_so = subject.split(['.', '_', '-']).next() == Some("broadcast");
        let name = if is_named_so { subject.clone() } else { format!("broadcast-{subject}") };
        let (name, literal) = (names.lower_camel(&name), quoted(&event));
        _ = write!(
            text,
            "\n/** Publishes `{event}`, and resolves when it is stored. */\n\
             export function {name}(data: {data}): Promise<Stored> {{\n  \
             return producer.publish({literal}, data);\n}}\n"
        );
    }
    for (kind, member) in kinds {
        let (name, id) =
            (names.lower_camel(&format!("broadcast-to-{kind}")), parameters().lower_camel(member));
        let literal = quoted(kind);
        _ = write!(
            text,
            "\n/** Publishes a message for one {kind}, and resolves when it is stored. */\n\
             export function {name}({id}: string, message: Message<{literal}>): Promise<Stored> {{\n  \
             return publishTo(producer, {id}, message);\n}}\n"
        );
    }
    text
}

/// The names of parameters, beside those of a function's own.
fn parameters() -> Names {
    Names::except(&[&RESERVED[..], &["message", "producer", "publishTo"]].concat())
}

/// A function that makes a message from its members.
fn creator(name: &str, event: &str, addressee: &Addressee, members: &[Member]) -> String {
    let Addressee { kind, member } = addressee;
    let (mut names, mut parameters, mut given) = (Names::except(&RESERVED), String::new(), Vec::new());
    let own = || members.iter().filter(|own| own.name != *member);
    let (required, optional): (Vec<_>, Vec<_>) = own().partition(|own| own.is_required);
    for own in required.into_iter().chain(optional) {
        let parameter = names.lower_camel(&own.name);
        let (mark, shape) = (if own.is_required { "" } else { "?" }, of(&own.shape, "  ", Further::Said));
        _ = writeln!(parameters, "  {parameter}{mark}: {shape},");
        given.push(match member_name(&own.name) {
            name if name == parameter => parameter,
            name => format!("{name}: {parameter}"),
        });
    }
    let given = if given.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", given.join(", ")) };
    format!(
        "\n/** Makes `{event}` for one {kind}. */\nexport function {name}(\n{parameters}): Message<{0}> {{\n  \
         return addressed({0}, {1}, {2}, {given});\n}}\n",
        quoted(kind),
        quoted(event),
        quoted(member),
    )
}
