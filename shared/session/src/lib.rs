//! What a connection may receive and what its client's messages mean. Pure.
//!
//! A session decides, and the worker carries out: every message becomes a list of effects. So everything that a client
//! may do is decided in one place, and is tested without a socket. It is the same for every transport.

#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests read what they have written"))]

mod initial;
mod principal;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use litemap::LiteMap;
use tidings_catalog::{Catalogs, ClientPublish, PublishRefusal, ToldGap};
use tidings_model::{Address, Envelope, EnvelopeSubject, Position, rfc3339};
use tidings_protocol::Filter;
use tidings_protocol::client::{self, ClientMessage, Limits, Object, Refused, Request};
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId, quoted};
use tidings_protocol::server::{Form, GapReason, ServerMessage};
use tidings_streams::consumers::{self, Edit, Subscriptions, UNCHOSEN};
use time::OffsetDateTime;

pub use initial::initial_subscriptions;
pub use principal::Principal;

/// What is to be done about a client's message.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this JSON text.
    Reply(String),
    /// Send this error.
    Refuse(ErrorMessage),
    /// Confirm a change of subscriptions when the consumer is stored.
    Confirm(SubscriptionChange, Option<MessageId>),
    /// Store with the durable consumer that it is subscribed to the topic, or is no longer.
    Remember {
        /// The topic.
        topic: String,
        /// What changes.
        edit: Edit,
    },
    /// Deliver from now on the envelopes at the address that pass the filter.
    OpenAddress(Address, Filter),
    /// Stop delivering the envelopes at the address that pass the filter.
    CloseAddress(Address, Filter),
    /// The client has received everything up to this sequence.
    Acknowledge(u64),
    /// Check a fresh token and, if it is valid, [`Session::renew`].
    Authenticate {
        /// The token.
        token: client::Token,
        /// The id of the client's message.
        id: Option<MessageId>,
    },
    /// Publish an event and, when it is stored, answer.
    Publish {
        /// The event.
        said: ClientPublish,
        /// The id of the client's message.
        id: Option<MessageId>,
    },
    /// Answer with the newest envelope of a key.
    Latest(LatestRequest),
}

/// A change of subscriptions that a client of `tidings.v1` is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscriptionChange {
    /// Topics were added.
    Subscribed,
    /// Topics were removed.
    Unsubscribed,
}

/// A request for the newest envelope on one of some subjects.
#[derive(Debug, PartialEq, Eq)]
pub struct LatestRequest {
    /// The subjects, of which one has it at most.
    pub subjects: Vec<EnvelopeSubject>,
    /// The answer if there is none.
    pub none: ErrorMessage,
    /// The id of the client's message.
    pub id: Option<MessageId>,
}

/// The state of one connection's conversation.
pub struct Session {
    catalogs: Arc<Catalogs>,
    principal: Principal,
    form: Form,
    subscriptions: LiteMap<String, Subscription>,
    /// Whether the topics are those that the catalog opens from the start: the device has chosen none.
    is_unchosen: bool,
}

/// A topic that the client is subscribed to.
#[derive(Debug, Clone)]
struct Subscription {
    address: Address,
    filter: Filter,
    /// Delivery of the topic begins after this sequence.
    since: u64,
}

/// What a session needs to know to answer.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time.
    pub now: OffsetDateTime,
    /// The last sequence that was delivered to all live connections.
    pub sequence: u64,
    /// The last sequence that was sent on this connection.
    pub sent: u64,
    /// Topics that one connection may have.
    pub max_topics: usize,
}

impl Moment {
    /// Reads a text message.
    pub fn read(&self, text: &str) -> Result<Request, Refused> {
        client::parse(text, &Limits { topics: self.max_topics, ..Limits::default() })
    }
}

impl Session {
    /// The session of a client with these grants, and no topics.
    #[must_use]
    pub fn new(catalogs: Arc<Catalogs>, principal: Principal, form: Form) -> Self {
        Self { catalogs, principal, form, subscriptions: LiteMap::new(), is_unchosen: false }
    }

    /// Restores the durable consumer's subscriptions, as far as they are still open to the user.
    pub fn restore(&mut self, remembered: Subscriptions) {
        self.is_unchosen = remembered.contains_key(UNCHOSEN);
        for (topic, consumers::Subscription { filter, since }) in remembered {
            if let Ok(address) = self.entitled(&topic) {
                self.remember(topic, Subscription { address, filter: filter.into(), since });
            }
        }
    }

    /// The stream was recreated: all that it holds counts as newer than every subscription.
    pub fn forget_positions(&mut self) {
        self.subscriptions.iter_mut().for_each(|(_, subscription)| subscription.since = 0);
    }

    /// The form in which the client receives messages.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// The user.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The topics that the client asked for.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.keys().map(String::as_str)
    }

    /// Every address that is open to the connection, with the filter of its subscription, if it is a topic's.
    pub fn open_addresses(&self) -> impl Iterator<Item = (&Address, Option<&Filter>)> {
        let granted = self.principal.grants.iter().map(|address| (address, None));
        let topics = self.subscriptions.values().map(|topic| (&topic.address, Some(&topic.filter)));
        granted.chain(topics)
    }

    /// Whether the connection may receive an envelope now. Decides for what is read from an index, which is not trusted
    /// with authorization: grants and topics may have changed since it was read.
    #[must_use]
    pub fn receives(&self, sequence: u64, envelope: &Envelope) -> bool {
        let subject = &envelope.subject;
        subject.tenant == *self.principal.tenant()
            && (self.principal.grants.contains(&subject.address)
                || self.subscriptions.values().any(|topic| {
                    topic.address == subject.address
                        && sequence > topic.since
                        && topic.filter.matches(&envelope.attributes)
                }))
    }

    /// What a message of the client, as it was read, asks for.
    pub fn receive(&mut self, read: Result<Request, Refused>, moment: Moment) -> Vec<Effect> {
        let Request { id, message } = match read {
            Ok(request) => request,
            Err(refused) => return vec![Effect::Refuse(ErrorMessage::from(refused))],
        };
        let done = match message {
            ClientMessage::Ping => {
                let pong = ServerMessage::Pong { original_message_id: id.clone() };
                Ok(vec![Effect::Reply(pong.to_json(moment.now))])
            }
            ClientMessage::Subscribe { topics, filter } => {
                self.subscribe(&topics, &filter, id.clone(), moment)
            }
            ClientMessage::Unsubscribe { topics } => Ok(self.unsubscribe(&topics, id.clone())),
            ClientMessage::Other { verb, object } => self.other(&verb, &object, id.clone()),
            ClientMessage::Ack { sequence } => Self::acknowledge(sequence, moment),
            ClientMessage::Authenticate { token } => Ok(vec![Effect::Authenticate { token, id: id.clone() }]),
        };
        done.unwrap_or_else(|error| vec![Effect::Refuse(error.in_reply_to(id))])
    }

    /// All of the topics or none of them.
    fn subscribe(
        &mut self,
        topics: &[String],
        filter: &Filter,
        id: Option<MessageId>,
        moment: Moment,
    ) -> Result<Vec<Effect>, ErrorMessage> {
        let asked: BTreeMap<&str, Address> = topics
            .iter()
            .map(|topic| Ok((topic.as_str(), self.entitled(topic)?)))
            .collect::<Result<_, ErrorMessage>>()?;
        let stays = |topic: &str| !self.is_unchosen && !asked.contains_key(topic);
        let total = asked.len() + self.topics().filter(|topic| stays(topic)).count();
        if total > moment.max_topics {
            let text = format!("{total} topics on this connection, expected at most {}", moment.max_topics);
            return Err(ErrorMessage::new(ErrorCode::TooManyTopics, text));
        }
        self.check_attributes(asked.values(), filter)?;
        let mut effects = self.choose(|topic| asked.contains_key(topic));
        for (topic, address) in asked {
            let since = self.subscriptions.get(topic).map_or(moment.sequence, |earlier| earlier.since);
            let edit = Edit::Subscribe(consumers::Subscription { filter: filter.clone().into(), since });
            effects.push(Effect::Remember { topic: topic.to_owned(), edit });
            let subscription = Subscription { address: address.clone(), filter: filter.clone(), since };
            if let Some(earlier) = self.remember(topic.to_owned(), subscription) {
                effects.push(Effect::CloseAddress(earlier.address, earlier.filter));
            }
            effects.push(Effect::OpenAddress(address, filter.clone()));
        }
        effects.extend(self.confirm(SubscriptionChange::Subscribed, id));
        Ok(effects)
    }

    /// Refuses a filter that would filter nothing: on attributes that no message of the topics can have.
    fn check_attributes<'a>(
        &self,
        topics: impl Iterator<Item = &'a Address>,
        filter: &Filter,
    ) -> Result<(), ErrorMessage> {
        let Some(catalog) = self.catalogs.get(self.principal.tenant()) else { return Ok(()) };
        let known: BTreeSet<&str> = topics.flat_map(|topic| catalog.attributes_at(topic)).collect();
        let Some(unknown) = filter.attributes().find(|name| !known.contains(name)) else { return Ok(()) };
        let known = if known.is_empty() { "none".to_owned() } else { Vec::from_iter(known).join(", ") };
        let text = format!("the topics have no attribute {}; they have: {known}", quoted(unknown));
        Err(ErrorMessage::new(ErrorCode::UnknownAttribute, text))
    }

    fn remember(&mut self, topic: String, subscription: Subscription) -> Option<Subscription> {
        if self.subscriptions.is_empty() {
            // Most have one: no room for others that never come.
            self.subscriptions = LiteMap::with_capacity(1);
        }
        self.subscriptions.insert(topic, subscription)
    }

    fn entitled(&self, name: &str) -> Result<Address, ErrorMessage> {
        let topic = self.catalogs.get(self.principal.tenant()).and_then(|catalog| catalog.topic(name));
        let Some(topic) = topic else {
            let known =
                self.catalogs.get(self.principal.tenant()).map(|catalog| catalog.topic_names().collect());
            let known: Vec<&str> = known.unwrap_or_default();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let text = format!("there is no topic {}; there are: {known}", quoted(name));
            return Err(ErrorMessage::new(ErrorCode::UnknownTopic, text));
        };
        if !topic.is_open_to(|key| self.principal.grants.contains(key)) {
            let text = format!("your roles do not open the topic {}", quoted(name));
            return Err(ErrorMessage::new(ErrorCode::Forbidden, text));
        }
        Ok(topic.address.clone())
    }

    fn unsubscribe(&mut self, topics: &[String], id: Option<MessageId>) -> Vec<Effect> {
        let mut effects = self.choose(|_| true);
        effects.extend(topics.iter().flat_map(|topic| self.end(topic)));
        effects.extend(self.confirm(SubscriptionChange::Unsubscribed, id));
        effects
    }

    fn confirm(&self, change: SubscriptionChange, id: Option<MessageId>) -> Option<Effect> {
        self.confirms(id.as_ref()).then_some(Effect::Confirm(change, id))
    }

    /// Whether a change of subscriptions by a message with this id is confirmed. Plain clients ask for it with an id.
    #[must_use]
    pub fn confirms(&self, id: Option<&MessageId>) -> bool {
        self.form == Form::Sequenced || id.is_some()
    }

    /// What the client is told of a gap. A plain client is told if its catalog says in which form.
    #[must_use]
    pub fn gap(
        &self,
        from: Position,
        to: Position,
        reason: GapReason,
        now: OffsetDateTime,
    ) -> Option<String> {
        if self.form == Form::Sequenced {
            return Some(ServerMessage::Gap { from, to, reason }.to_json(now));
        }
        let (from, to, time) = (from.to_string(), to.to_string(), rfc3339(now));
        let told = ToldGap { from: &from, to: &to, reason: reason.as_str(), time: &time };
        self.catalogs.get(self.principal.tenant()).and_then(|catalog| catalog.gap(told))
    }

    fn acknowledge(sequence: u64, moment: Moment) -> Result<Vec<Effect>, ErrorMessage> {
        if sequence <= moment.sent {
            return Ok(vec![Effect::Acknowledge(sequence)]);
        }
        let text =
            format!("`seq` {sequence} was not sent on this connection; the last one was {}", moment.sent);
        Err(ErrorMessage::new(ErrorCode::InvalidMessage, text))
    }

    /// Takes over the claims of a fresh token of the same user: keys that are lost close at once,
    /// and so do topics that the new keys do not open.
    pub fn renew(&mut self, fresh: Principal) -> Result<Vec<Effect>, ErrorMessage> {
        let (ours, theirs) = (&self.principal.consumer, &fresh.consumer);
        if (ours.tenant(), ours.user()) != (theirs.tenant(), theirs.user()) {
            let text = "the token belongs to another user; open another connection for it";
            return Err(ErrorMessage::new(ErrorCode::Forbidden, text));
        }
        let lost = self.principal.grants.difference(&fresh.grants);
        let mut effects: Vec<_> =
            lost.map(|key| Effect::CloseAddress(key.clone(), Filter::default())).collect();
        let gained = fresh.grants.difference(&self.principal.grants);
        effects.extend(gained.map(|key| Effect::OpenAddress(key.clone(), Filter::default())));
        self.principal = Principal { consumer: self.principal.consumer.clone(), ..fresh };
        effects.extend(self.shut_lost_topics());
        effects.extend(self.follow_catalog());
        Ok(effects)
    }

    /// Goes by these catalogs from now on: topics that they do not open close at once, and a device that has chosen none
    /// has the initial topics of these.
    pub fn update_catalogs(&mut self, catalogs: &Arc<Catalogs>) -> Vec<Effect> {
        self.catalogs = Arc::clone(catalogs);
        let mut effects = self.shut_lost_topics();
        effects.extend(self.follow_catalog());
        effects
    }

    fn shut_lost_topics(&mut self) -> Vec<Effect> {
        let topics = self.subscriptions.keys().filter(|topic| self.entitled(topic).is_err());
        let lost: Vec<String> = topics.cloned().collect();
        let removed = lost.iter().filter_map(|topic| self.subscriptions.remove(topic.as_str()));
        removed.map(|topic| Effect::CloseAddress(topic.address, topic.filter)).collect()
    }

    /// A verb of the catalog's own.
    fn other(&self, verb: &str, frame: &Object, id: Option<MessageId>) -> Result<Vec<Effect>, ErrorMessage> {
        let tenant = self.principal.tenant();
        let Some(route) = self.catalogs.get(tenant).and_then(|catalog| catalog.route(verb)) else {
            return self.publish(verb, frame, id);
        };
        let key = route.key(frame).map_err(|path| {
            let text = format!("`{path}` is missing, expected a string that names what {verb} is asked of");
            ErrorMessage::new(ErrorCode::InvalidMessage, text)
        })?;
        let subjects =
            self.principal.grants.iter().filter_map(|address| route.subject(tenant, address, &key)).collect();
        let text = format!("no {} for {}", verb, quoted(&key));
        let none = ErrorMessage::new(ErrorCode::NotFound, text).in_reply_to(id.clone());
        Ok(vec![Effect::Latest(LatestRequest { subjects, none, id })])
    }

    /// A message that is to become an event, if the token lets the client publish it.
    fn publish(
        &self,
        verb: &str,
        frame: &Object,
        id: Option<MessageId>,
    ) -> Result<Vec<Effect>, ErrorMessage> {
        let principal = &self.principal;
        let catalog = self.catalogs.get(principal.tenant());
        let said = catalog
            .ok_or_else(|| PublishRefusal::unknown(verb))
            .and_then(|catalog| catalog.publish(verb, frame, &principal.grants, &principal.publish_claims));
        Ok(vec![Effect::Publish { said: said.map_err(|unsaid| publish_error(&unsaid))?, id }])
    }
}

/// The answer to a message that cannot be published.
#[must_use]
pub fn publish_error(unsaid: &PublishRefusal) -> ErrorMessage {
    let code = match unsaid {
        PublishRefusal::Unknown(_) => ErrorCode::UnknownAction,
        PublishRefusal::Forbidden(_) => ErrorCode::Forbidden,
        PublishRefusal::Rejected(_) => ErrorCode::InvalidMessage,
    };
    let error = ErrorMessage::new(code, unsaid.to_string());
    let PublishRefusal::Rejected(_) = unsaid else { return error };
    let error = error.with_detail("reason", unsaid.reason());
    match unsaid.pointer() {
        Some(pointer) => error.with_detail("pointer", pointer),
        None => error,
    }
}

#[cfg(test)]
mod tests;
