//! Parses `[[publish]]`: what clients may publish.

use std::collections::{BTreeMap, HashSet};

use tidings_model::Address;

use super::{OWN_VERBS, Problems};
use crate::file::{PublishFile, RouteFile, to_json};
use crate::publish::{CLAIMS, PublishRule};
use crate::template::{Path, Template, TextTemplate};

/// The parts of the catalog that publish rules depend on.
pub(super) struct Surroundings<'c> {
    pub(super) routes: &'c BTreeMap<String, RouteFile>,
    /// The names of all events that become messages.
    pub(super) events: &'c HashSet<String>,
}

impl Problems {
    pub(super) fn publish_rule(
        &mut self,
        file: PublishFile,
        around: &Surroundings<'_>,
    ) -> Option<PublishRule> {
        let place = format!("publish `{}`", file.action);
        if OWN_VERBS.contains(&file.action.as_str()) {
            self.add(&place, "the protocol itself uses this verb");
        }
        if around.routes.contains_key(&file.action) {
            self.add(&place, "there is a route of this verb, which requests and publishes nothing");
        }
        let event = self.event(&place, &file.event);
        if event.is_some() && !around.events.contains(&file.event) {
            self.add(&place, format!("event {} becomes no message", file.event));
        }
        let entitled = file.roles.map(|roles| self.entitled(&place, &roles));
        let conditions: Vec<_> =
            file.conditions.iter().filter_map(|(path, text)| self.condition(&place, path, text)).collect();
        let data = self.published(&place, file.data);
        let asked = conditions.iter().flat_map(|(_, template)| template.paths().cloned());
        let placed = data.iter().flat_map(Template::paths).filter(|path| path.root() == CLAIMS);
        let claims = asked.chain(placed.filter_map(Path::inside)).collect();
        let (action, kind) = (file.action, file.kind);
        Some(PublishRule { action, kind, event: event?, entitled, conditions, data: data?, claims })
    }

    fn entitled(&mut self, place: &str, roles: &[String]) -> Vec<Address> {
        if roles.is_empty() {
            self.add(
                place,
                "`roles` names no role, so no client could publish this; without `roles`, all may",
            );
        }
        roles.iter().filter_map(|role| self.take(place, Address::new("role", role))).collect()
    }

    fn condition(&mut self, place: &str, path: &str, text: &str) -> Option<(Path, TextTemplate)> {
        let path = self.take(place, Path::parse(path));
        if let Some(path) = &path {
            if path.root() != "data" {
                self.add(place, format!("{{{path}}} in `where` does not begin with data"));
            }
            if path.has_each() {
                self.add(place, format!("{{{path}}} in `where` has a [*]: it must lead to one value"));
            }
        }
        let template = self.take(place, TextTemplate::of_claims(text));
        if template.iter().flat_map(TextTemplate::paths).any(Path::has_each) {
            self.add(
                place,
                format!("{text:?} has a [*]: a list claim allows each of its elements by itself"),
            );
        }
        Some((path?, template?))
    }

    fn published(&mut self, place: &str, file: toml::Value) -> Option<Template> {
        let data = self.take(place, to_json(file))?;
        let template = self.take(place, Template::parse(&data))?;
        for path in template.paths() {
            self.check_single(place, path);
            if path.root() == CLAIMS && path.inside().is_none() {
                self.add(place, format!("{{{path}}} names no claim, expected one such as {{claims.sub}}"));
            }
        }
        Some(template)
    }
}
