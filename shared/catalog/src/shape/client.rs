//! What a catalog permits its clients, for the types that are generated for them. Pure.

use serde_json::Value;
use tidings_model::Tenant;

use super::{EventShape, Found, Member, Shape, about, event_shapes};
use crate::catalog::Catalog;
use crate::file::{CatalogFile, Files, to_json};
use crate::parse::{CatalogError, Problem};
use crate::publish::CLAIMS;
use crate::schemas::{CATALOG, Schemas};
use crate::template::{Path, Template};

/// The messages, topics, requests and publications of a tenant's clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientShapes {
    /// The messages that a client may receive.
    pub messages: Vec<MessageShape>,
    /// The topics, with the attributes that their messages can have, both in the order of their names.
    pub topics: Vec<(String, Vec<String>)>,
    /// The requests, in the order of their verbs.
    pub routes: Vec<RouteShape>,
    /// The messages that a client may publish.
    pub publications: Vec<PublicationShape>,
    /// The body of digests, if there are any: the text `{messages}` stands for the list of messages.
    pub digest: Option<Value>,
}

/// A message that a client may receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageShape {
    /// Its name in the catalog.
    pub name: String,
    /// The documentation in its schema.
    pub documentation: String,
    /// Its body.
    pub body: Shape,
}

/// A request that is answered with the newest message of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteShape {
    /// Its verb.
    pub action: String,
    /// Its members besides the verb.
    pub members: Shape,
    /// The names of the messages that answer it.
    pub answers: Vec<String>,
}

/// A message that a client may publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicationShape {
    /// Its verb.
    pub action: String,
    /// Its `type`, if the rule requires one.
    pub kind: Option<String>,
    /// Its other members.
    pub members: Shape,
}

/// Returns what a tenant's catalog permits its clients.
pub fn client_shapes(tenant: &Tenant, files: &Files) -> Result<ClientShapes, CatalogError> {
    let catalog = Catalog::parse(tenant, files)?;
    let events = event_shapes(tenant, files)?;
    let unreadable = |error: toml::de::Error| CatalogError {
        tenant: tenant.clone(),
        problems: vec![Problem { place: CATALOG.to_owned(), text: error.to_string() }],
    };
    let text = files.get(CATALOG).map(String::as_str).unwrap_or_default();
    let file: CatalogFile = toml::from_str(text).map_err(unreadable)?;
    Ok(ClientShapes {
        messages: messages(&catalog, &file, files),
        topics: topics(&catalog),
        routes: routes(&catalog),
        publications: publications(&catalog, &events),
        digest: file.digest.and_then(|digest| to_json(digest.body).ok()),
    })
}

fn messages(catalog: &Catalog, file: &CatalogFile, files: &Files) -> Vec<MessageShape> {
    let schemas = Schemas::new(files);
    // A valid catalog has one message type for each message of its file.
    let all = catalog.messages().iter().zip(&file.message);
    all.map(|(message, file)| {
        let schema = schemas.whole(&file.schema).unwrap_or(Value::Bool(true));
        MessageShape {
            name: message.name().to_owned(),
            documentation: about(&schema),
            body: Shape::of_schema(&schema, &schema, 0),
        }
    })
    .collect()
}

fn topics(catalog: &Catalog) -> Vec<(String, Vec<String>)> {
    let attributes = |address| {
        let mut names: Vec<String> = catalog.attributes_at(address).map(str::to_owned).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    catalog.topics.iter().map(|(name, topic)| (name.clone(), attributes(&topic.address))).collect()
}

fn routes(catalog: &Catalog) -> Vec<RouteShape> {
    let routes = catalog.routes.iter().map(|(action, route)| {
        let answers = catalog.messages.iter().filter(|message| message.slot == route.slot);
        RouteShape {
            action: action.clone(),
            members: route.key.paths().fold(nothing(), |members, path| with(members, path, required(path))),
            answers: answers.map(|message| message.name.clone()).collect(),
        }
    });
    routes.collect()
}

fn publications(catalog: &Catalog, events: &[EventShape]) -> Vec<PublicationShape> {
    let mut publications: Vec<PublicationShape> = Vec::new();
    for rule in catalog.publish.rules() {
        let data = events.iter().find(|shape| shape.event == rule.event).map(|shape| &shape.data);
        let mut members = nothing();
        let mut see = |path: &Path, found: Found| {
            if path.root() != CLAIMS {
                members = with(std::mem::replace(&mut members, Shape::Any), path, found);
            }
        };
        in_data(&rule.data, data, true, &mut see);
        let publication = PublicationShape { action: rule.action.clone(), kind: rule.kind.clone(), members };
        // Two rules may permit the same to different roles.
        if !publications.contains(&publication) {
            publications.push(publication);
        }
    }
    publications
}

/// Sees each path of a publication's template with the shape that the event needs in its place.
fn in_data(template: &Template, data: Option<&Shape>, is_required: bool, see: &mut impl FnMut(&Path, Found)) {
    match template {
        Template::Literal(_) => {}
        Template::Place(path) => {
            let shape = data.cloned().unwrap_or(Shape::Any);
            see(
                path,
                Found {
                    shape,
                    documentation: String::new(),
                    is_required: is_required || !path.is_optional(),
                },
            );
        }
        Template::Text(text) => text.paths().for_each(|path| see(path, required(path))),
        Template::Object(members) => {
            let known = match data {
                Some(Shape::Object { members, .. }) => members.as_slice(),
                _ => &[],
            };
            for (name, member) in members {
                let place = known.iter().find(|known| known.name == *name);
                let is_required = place.is_some_and(|place| place.is_required);
                in_data(member, place.map(|place| &place.shape), is_required, see);
            }
        }
        Template::Array(elements) => {
            for element in elements {
                in_data(element, None, false, see);
            }
        }
    }
}

fn nothing() -> Shape {
    Shape::Object { members: Vec::new(), is_open: false }
}

fn required(path: &Path) -> Found {
    Found::text(!path.is_optional())
}

/// Adds what is at a path, whose first name is a member.
fn with(members: Shape, path: &Path, found: Found) -> Shape {
    let (documentation, is_required) = (found.documentation.clone(), found.is_required);
    let member = Member { name: path.root().to_owned(), documentation, shape: found.at(path), is_required };
    members.merged(Shape::Object { members: vec![member], is_open: false })
}
