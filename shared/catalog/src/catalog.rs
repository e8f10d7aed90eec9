//! A checked catalog and its queries.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tidings_model::{
    Address, ChannelKind, Class, Delivery, Envelope, EnvelopeSubject, Event, EventName, Grants, Origin,
    Tenant,
};
use tidings_preferences::{Category, Defaults, Question};

use crate::destination::{AddressTemplate, GrantRule};
use crate::digest::Digest;
use crate::fallback::Fallback;
use crate::file::Files;
use crate::gap::{GapForm, ToldGap};
use crate::message::{MessageType, Rendered};
use crate::publish::{ClientPublish, PublishClaims, PublishRefusal, PublishRules};
use crate::rejection::{Reason, Rejection};
use crate::template::TextTemplate;

/// The catalogs of all tenants that a process serves.
pub type Catalogs = BTreeMap<Tenant, Catalog>;

/// A tenant's catalog: the messages that its events become, and the grants, topics, routes and publications of its
/// clients.
#[derive(Debug)]
pub struct Catalog {
    pub(crate) tenant: Tenant,
    pub(crate) files: Files,
    pub(crate) start: StartPolicy,
    pub(crate) grants: Vec<GrantRule>,
    pub(crate) topics: BTreeMap<String, Topic>,
    pub(crate) messages: Vec<MessageType>,
    pub(crate) routes: BTreeMap<String, Route>,
    pub(crate) publish: PublishRules,
    pub(crate) gap: Option<GapForm>,
    pub(crate) digest: Option<Arc<Digest>>,
    pub(crate) preferences: Defaults,
    /// The message types of each event, as indices into `messages`.
    pub(crate) by_event: HashMap<EventName, Vec<usize>>,
}

/// Where a new consumer starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartPolicy {
    /// At the end of the stream: only new envelopes.
    New,
    /// At the oldest retained envelope.
    All,
    /// This long before now.
    Since(Duration),
}

/// A topic that clients may subscribe to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its address, which a subscription opens.
    pub address: Address,
    /// Grants of which a connection needs one to subscribe. `None` lets every connection of the tenant subscribe.
    pub(crate) entitled: Option<Vec<Address>>,
    /// Whether it is open to a device that has not subscribed or unsubscribed yet.
    pub(crate) is_initial: bool,
}

impl Topic {
    /// Returns whether a connection with these grants may subscribe.
    pub fn is_open_to(&self, holds: impl Fn(&Address) -> bool) -> bool {
        self.entitled.as_ref().is_none_or(|grants| grants.iter().any(holds))
    }
}

/// A client request that is answered with the newest `latest` envelope of a key.
#[derive(Debug, Clone)]
pub struct Route {
    /// The slot of the envelope.
    pub slot: String,
    /// The kinds of the addresses that such envelopes are sent to.
    pub kinds: BTreeSet<String>,
    pub(crate) key: TextTemplate,
}

impl Route {
    /// Returns the key that the client's frame asks for. The error is the path of the missing value.
    pub fn key(&self, frame: &Map<String, Value>) -> Result<String, String> {
        let key = self.key.name(frame).map_err(|unresolved| unresolved.path.to_string())?;
        key.ok_or_else(|| self.key.paths().map(ToString::to_string).collect())
    }

    /// Returns the subject of the answer at an address, or `None` if no such envelope is sent to addresses of its kind.
    #[must_use]
    pub fn subject(&self, tenant: &Tenant, address: &Address, key: &str) -> Option<EnvelopeSubject> {
        self.kinds.contains(address.kind()).then(|| EnvelopeSubject {
            tenant: tenant.clone(),
            class: Class::Latest,
            address: address.clone(),
            slot: self.slot.clone(),
            key: Some(key.to_owned()),
        })
    }
}

impl Catalog {
    /// The tenant of the catalog.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The files that it was parsed from.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Where a new consumer starts.
    #[must_use]
    pub fn start_policy(&self) -> StartPolicy {
        self.start
    }

    /// All message types.
    #[must_use]
    pub fn messages(&self) -> &[MessageType] {
        &self.messages
    }

    /// Returns the grants that these claims open, without duplicates.
    #[must_use]
    pub fn grants(&self, claims: &Map<String, Value>) -> Grants {
        self.grants.iter().flat_map(|rule| rule.grants(claims)).collect()
    }

    /// Returns the topic of this name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    /// The names of all topics.
    pub fn topic_names(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
    }

    /// The topics that a device has before it has subscribed or unsubscribed, by name, whoever may have them.
    pub fn initial_topics(&self) -> impl Iterator<Item = (&str, &Topic)> {
        let topics = self.topics.iter().filter(|(_, topic)| topic.is_initial);
        topics.map(|(name, topic)| (name.as_str(), topic))
    }

    /// Returns the attributes that messages at a topic's address may have.
    pub fn attributes_at(&self, topic: &Address) -> impl Iterator<Item = &str> {
        self.reaching(topic).flat_map(|message| message.attributes.keys().map(String::as_str))
    }

    /// Returns the names of the messages that may come at a topic's address.
    pub fn messages_at(&self, topic: &Address) -> impl Iterator<Item = &str> {
        self.reaching(topic).map(MessageType::name)
    }

    fn reaching(&self, topic: &Address) -> impl Iterator<Item = &MessageType> {
        let topic = AddressTemplate::of(topic);
        self.messages.iter().filter(move |message| message.to.iter().any(|to| to.address.may_be(&topic)))
    }

    /// What messages are joined to, and how long they are collected, if they are.
    #[must_use]
    pub fn digest(&self) -> Option<&Arc<Digest>> {
        self.digest.as_ref()
    }

    /// Returns the route of this verb.
    #[must_use]
    pub fn route(&self, verb: &str) -> Option<&Route> {
        self.routes.get(verb)
    }

    /// Returns the claims that decide what a user with these grants may publish.
    #[must_use]
    pub fn publish_claims(&self, claims: &Map<String, Value>, grants: &Grants) -> PublishClaims {
        self.publish.claims(claims, grants)
    }

    /// Returns the event that a client's frame with this verb becomes. The first rule for the frame, in the catalog's
    /// order, that the token permits applies.
    pub fn publish(
        &self,
        verb: &str,
        frame: &Map<String, Value>,
        grants: &Grants,
        claims: &PublishClaims,
    ) -> Result<ClientPublish, PublishRefusal> {
        self.publish.apply(verb, frame, grants, claims)
    }

    /// Returns what plain clients are told of a gap, if they are.
    #[must_use]
    pub fn gap(&self, gap: ToldGap<'_>) -> Option<String> {
        self.gap.as_ref()?.message(gap)
    }

    /// Projects an event into its envelopes: all of them, or a rejection.
    ///
    /// The order is that of the catalog's message types, and within each type that of its destinations. An event that is to
    /// be delivered later has no envelopes now; it is rejected as it would be when it is due.
    pub fn project(&self, event: &Event) -> Result<Vec<Envelope>, Rejection> {
        let mut envelopes = Vec::new();
        match event.delivery {
            None => {}
            Some(Delivery::At(_)) => return self.render(event).map(|_| envelopes),
            Some(Delivery::Never) if self.by_event.contains_key(&event.name) => return Ok(envelopes),
            Some(Delivery::Never) => return Err(self.unknown(event)),
        }
        for (number, (message, rendered)) in (0..).zip(self.render(event)?) {
            for address in rendered.addresses {
                let part = u32::try_from(envelopes.len()).unwrap_or(u32::MAX);
                envelopes.push(Envelope {
                    subject: EnvelopeSubject {
                        tenant: self.tenant.clone(),
                        class: message.class,
                        address,
                        slot: message.slot.clone(),
                        key: rendered.key.clone(),
                    },
                    event_id: event.id.clone(),
                    event_source: event.source.clone(),
                    origin: Origin { event: event.position, message: number, part },
                    attributes: rendered.attributes.clone(),
                    expires_at: message.time_to_live.map(|ttl| event.stored_at + ttl),
                    trace_parent: event.trace_parent.clone(),
                    body: rendered.body.clone(),
                });
            }
        }
        Ok(envelopes)
    }

    /// Returns the minimum time between two envelopes of an event's message for one address and key, if the catalog
    /// limits their rate. `message` is the number in [`Origin::message`].
    #[must_use]
    pub fn interval(&self, event: &EventName, message: u32) -> Option<Duration> {
        let index = self.by_event.get(event)?.get(usize::try_from(message).ok()?)?;
        self.messages.get(*index)?.interval
    }

    /// Returns the longest time for which an envelope may be held back, if the catalog limits any rate.
    #[must_use]
    pub fn longest_interval(&self) -> Option<Duration> {
        self.messages.iter().filter_map(|message| message.interval).max()
    }

    /// Whether any of its messages has a fallback, so that a dispatcher is needed.
    #[must_use]
    pub fn has_fallbacks(&self) -> bool {
        self.messages.iter().any(|message| !message.fallbacks().is_empty())
    }

    /// Returns the fallbacks of the messages in a slot, the earliest first. Only one message of such a slot exists.
    #[must_use]
    pub fn fallbacks(&self, slot: &str) -> &[Fallback] {
        self.messages.iter().find(|message| message.slot == slot).map_or(&[], MessageType::fallbacks)
    }

    /// Returns what a user's preferences decide about when a message in a slot would go by a channel, or `None` if there is no
    /// such message.
    #[must_use]
    pub fn question(&self, slot: &str, channel: ChannelKind) -> Option<Question<'_>> {
        let message = self.messages.iter().find(|message| message.slot == slot)?;
        Some(Question { category: &message.category, channel, is_critical: message.is_critical })
    }

    /// The categories that users switch on and off, each with the channels by which its messages go.
    #[must_use]
    pub fn categories(&self) -> BTreeMap<&Category, BTreeSet<ChannelKind>> {
        let mut categories: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for message in self.messages.iter().filter(|message| !message.fallbacks.is_empty()) {
            let channels = message.fallbacks.iter().map(Fallback::channel);
            categories.entry(&message.category).or_default().extend(channels);
        }
        categories
    }

    /// What holds for users who have set nothing.
    #[must_use]
    pub fn preferences(&self) -> &Defaults {
        &self.preferences
    }

    /// Returns whether the catalog limits the rate of any message.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.messages.iter().any(|message| message.interval.is_some())
    }

    /// Returns the events with a message whose rate may be limited, in this or another version of the catalog.
    pub fn replaceable_events(&self) -> impl Iterator<Item = &EventName> {
        let is_replaceable =
            |index: &usize| self.messages.get(*index).is_some_and(|message| message.class != Class::Durable);
        let events = self.by_event.iter().filter(move |(_, messages)| messages.iter().any(is_replaceable));
        events.map(|(name, _)| name)
    }

    pub(crate) fn render(&self, event: &Event) -> Result<Vec<(&MessageType, Rendered)>, Rejection> {
        let messages = self.by_event.get(&event.name).ok_or_else(|| self.unknown(event))?;
        let messages = messages.iter().filter_map(|&index| self.messages.get(index));
        (0..).zip(messages).map(|(number, message)| Ok((message, message.render(event, number)?))).collect()
    }

    fn unknown(&self, event: &Event) -> Rejection {
        let text = format!(
            "the catalog of tenant {} has no message for event {}; add it to `events` of one",
            self.tenant, event.name
        );
        Rejection::new(Reason::UnknownEvent, &text)
    }
}
