//! Parses and checks the files of a tenant's folder. All mistakes are reported at once.

mod category;
mod digest;
mod fallback;
mod gap;
mod message;
mod publish;
mod reach;
mod replacement;
mod sanitize;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tidings_model::{Address, Class, EventName, Tenant};

use crate::catalog::{Catalog, Route, StartPolicy, Topic};
use crate::destination::{AddressTemplate, GrantRule};
use crate::file::{CatalogFile, Files, RouteFile, TopicFile};
use crate::message::MessageType;
use crate::publish::PublishRules;
use crate::schemas::{CATALOG, Schemas};
use crate::template::{Path, TextTemplate};

/// The protocol's own verbs, which no route may have.
const OWN_VERBS: [&str; 5] = ["subscribe", "unsubscribe", "ping", "ack", "authenticate"];

/// The longest time span in a catalog, ten years: instants that far away can still be computed.
const LONGEST_SPAN: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

impl Catalog {
    /// Parses `catalog.toml` and the schemas that it names.
    pub fn parse(tenant: &Tenant, files: &Files) -> Result<Self, CatalogError> {
        let mut problems = Problems::default();
        let catalog = problems.parse(tenant, files);
        match catalog {
            Some(catalog) if problems.0.is_empty() => Ok(catalog),
            _ => Err(CatalogError { tenant: tenant.clone(), problems: problems.0 }),
        }
    }
}

/// A catalog with mistakes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CatalogError {
    /// The tenant of the catalog.
    pub tenant: Tenant,
    /// Every mistake.
    pub problems: Vec<Problem>,
}

impl fmt::Display for CatalogError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the catalog of tenant {} cannot be used:", self.tenant)?;
        self.problems.iter().try_for_each(|problem| write!(formatter, "\n  {problem}"))
    }
}

/// A mistake in a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: the file, or the message and the member.
    pub place: String,
    /// What is wrong and what was expected.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.text)
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, place: &str, text: impl fmt::Display) {
        self.0.push(Problem { place: place.to_owned(), text: text.to_string() });
    }

    /// Returns the value, or adds a problem and returns `None`.
    fn take<T, E: fmt::Display>(&mut self, place: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(place, error)).ok()
    }

    fn parse(&mut self, tenant: &Tenant, files: &Files) -> Option<Catalog> {
        let text = files.get(CATALOG).ok_or("there is no such file");
        let text = self.take(CATALOG, text)?;
        let mut file: CatalogFile = self.take(CATALOG, toml::from_str(text))?;
        let schemas = Schemas::new(files);

        let grants: Vec<_> = file.grants.iter().filter_map(|grant| self.grant_rule(grant)).collect();
        // If a grant rule could not be parsed, destinations and roles are not checked against grants.
        let opened = Some(&*grants).filter(|grants| grants.len() == file.grants.len());
        let start = self.start_policy(&file.deliver);
        let topic_names: HashSet<_> = file.topics.keys().cloned().collect();
        let topics = file.topics.into_iter().filter_map(|(name, topic)| self.topic(name, topic));
        let topics: BTreeMap<_, _> = topics.collect();
        let events = file.message.iter().flat_map(|message| message.events.iter().cloned()).collect();
        let around = publish::Surroundings { routes: &file.routes, events: &events };
        let rules = file.publish.into_iter();
        let publish: Vec<_> = rules.filter_map(|rule| self.publish_rule(rule, &around)).collect();
        let defaults = self.sanitizing(file.text.as_deref(), file.unknown.as_deref());
        self.replacements(&mut file.message);
        let mut messages = Vec::new();
        // The names in `broken` are already reported; nothing that refers to them is reported again.
        let mut broken = HashSet::new();
        for message in file.message {
            let slot = message.slot().to_owned();
            match self.message(message, &schemas, &defaults) {
                Some(message) => messages.push(message),
                None => drop(broken.insert(slot)),
            }
        }
        self.check_names(&messages);
        self.check_topics(&messages, &topic_names);
        self.check_fallback_slots(&messages);
        let preferences = self.categories(file.categories, &messages, broken.is_empty());
        if let Some(grants) = opened {
            self.check_destinations(&messages, grants, &topics);
            for (name, topic) in &topics {
                self.check_roles(
                    &format!("topics.{name}"),
                    topic.entitled.as_deref().unwrap_or_default(),
                    grants,
                );
            }
            for rule in &publish {
                let place = format!("publish `{}`", rule.action);
                self.check_roles(&place, rule.entitled.as_deref().unwrap_or_default(), grants);
            }
        }
        let routes = file.routes.into_iter();
        let routes =
            routes.filter_map(|(verb, route)| self.route(verb, &route, &messages, &broken)).collect();
        let gap = file.gap.and_then(|gap| self.gap(gap));
        let digest = file.digest.and_then(|digest| self.digest(digest)).map(Arc::new);
        let by_event = self.index(&messages);
        let (tenant, start, publish) = (tenant.clone(), start?, PublishRules::new(publish));
        let files = files.clone();
        Some(Catalog {
            tenant,
            files,
            start,
            grants,
            topics,
            messages,
            routes,
            publish,
            gap,
            digest,
            preferences,
            by_event,
        })
    }

    fn grant_rule(&mut self, text: &str) -> Option<GrantRule> {
        let address = self.take("grants", AddressTemplate::of_claims(text))?;
        if address.paths().any(Path::has_each) {
            self.add(
                "grants",
                format!("{text:?} has a [*]: a list claim opens one grant per element by itself"),
            );
        }
        Some(GrantRule::new(address))
    }

    fn start_policy(&mut self, text: &str) -> Option<StartPolicy> {
        match text {
            "new" => Some(StartPolicy::New),
            "all" => Some(StartPolicy::All),
            span => {
                let wrong = || format!("{span:?} is not \"new\", \"all\" or a span such as \"7d\"");
                let parsed = humantime::parse_duration(span).ok().filter(|span| *span <= LONGEST_SPAN);
                self.take("deliver", parsed.ok_or_else(wrong)).map(StartPolicy::Since)
            }
        }
    }

    fn topic(&mut self, name: String, file: TopicFile) -> Option<(String, Topic)> {
        let place = format!("topics.{name}");
        if name.contains(char::is_control) {
            // Records of consumers use such names for what is no topic.
            self.add(&place, "a topic's name has no control characters");
        }
        let address = self.take(&place, Address::topic(&name))?;
        let entitled = match file.roles {
            None => None,
            Some(roles) => {
                let grants = roles.iter().map(|role| Address::new("role", role)).collect();
                Some(self.take(&place, grants)?)
            }
        };
        Some((name, Topic { address, entitled, is_initial: file.initial }))
    }

    fn route(
        &mut self,
        verb: String,
        file: &RouteFile,
        messages: &[MessageType],
        broken: &HashSet<String>,
    ) -> Option<(String, Route)> {
        let place = format!("routes.{verb}");
        if OWN_VERBS.contains(&verb.as_str()) {
            self.add(&place, "the protocol itself uses this verb");
        }
        let newest = messages.iter().filter(|m| m.slot == file.message && m.class == Class::Latest);
        let newest: Vec<_> = newest.collect();
        let kinds = newest.iter().flat_map(|m| &m.to).map(|to| to.address.kind().to_owned()).collect();
        if newest.is_empty() && !broken.contains(&file.message) {
            self.add(
                &place,
                format!("there is no message of class `latest` with name or slot {:?}", file.message),
            );
        }
        let key = self.take(&place, TextTemplate::parse(&file.key))?;
        key.paths().for_each(|path| self.check_single(&place, path));
        Some((verb, Route { slot: file.message.clone(), kinds, key }))
    }

    fn event(&mut self, place: &str, name: &str) -> Option<EventName> {
        let wrong = || format!("event {name:?} is not of the form entity.action");
        self.take(place, EventName::parse(name).ok_or_else(wrong))
    }

    fn check_single(&mut self, place: &str, path: &Path) {
        if path.has_each() {
            self.add(
                place,
                format!("{{{path}}} has a [*], which only addresses in `to` and `attributes` may have"),
            );
        }
    }

    fn check_names(&mut self, messages: &[MessageType]) {
        let mut seen = HashSet::new();
        for message in messages.iter().filter(|message| !seen.insert(&message.name)) {
            self.add(&format!("message `{}`", message.name), "there are two of this name");
        }
    }

    fn check_topics(&mut self, messages: &[MessageType], topics: &HashSet<String>) {
        for message in messages {
            let named = message.to.iter().filter_map(|to| to.address.literal_topic());
            for topic in named.filter(|topic| !topics.contains(*topic)) {
                self.add(
                    &format!("message `{}`", message.name),
                    format!("topic {topic:?} is not under [topics], so no client could subscribe to it"),
                );
            }
        }
    }

    fn index(&mut self, messages: &[MessageType]) -> HashMap<EventName, Vec<usize>> {
        let mut by_event: HashMap<EventName, Vec<usize>> = HashMap::new();
        for (index, message) in messages.iter().enumerate() {
            for event in &message.events {
                let others = by_event.entry(event.clone()).or_default();
                let twin = others.iter().find_map(|&o| messages.get(o).filter(|m| m.slot == message.slot));
                if let Some(twin) = twin {
                    // Gateways distinguish the messages of one event by their slot.
                    self.add(
                        &format!("message `{}`", message.name),
                        format!(
                            "message `{}` makes an envelope of event {event} in the same slot",
                            twin.name
                        ),
                    );
                }
                others.push(index);
            }
        }
        by_event
    }
}
