//! What a connection may hear and what its messages mean. Pure: it decides, others do.

mod say;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;

use litemap::LiteMap;
use tidings_catalog::{Catalogs, Said, Voice};
use tidings_model::{Address, Keys, Tenant};
use tidings_protocol::Filter;
use tidings_protocol::client::{self, ClientMessage, Limits, Object, Refused, Request};
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId, quoted};
use tidings_protocol::server::ServerMessage;
use tidings_streams::consumers::{self, ConsumerName, Edit, Subscriptions};
use tidings_streams::users::UserName;
use time::OffsetDateTime;

pub(crate) use self::say::refusal;
use crate::replica::frame::Form;
use crate::worker::{Changed, Confirmation, Lookup};

/// Whom a connection belongs to, as its token says.
#[derive(Debug, Clone)]
pub(crate) struct Passport {
    /// Tenant, user and device.
    pub(crate) consumer: ConsumerName,
    /// The addresses that the token's claims open.
    pub(crate) keys: Keys,
    /// What decides over what the user may say.
    pub(crate) voice: Voice,
    pub(crate) expires_at: OffsetDateTime,
    /// When the token was issued, in seconds since 1970, if it says so.
    pub(crate) issued_at: Option<NonZeroU64>,
}

impl Passport {
    pub(crate) fn tenant(&self) -> &Tenant {
        self.consumer.tenant()
    }

    /// Who it is; everybody who has a durable consumer has a name.
    pub(crate) fn user(&self) -> Option<UserName> {
        UserName::new(self.tenant().clone(), self.consumer.user()).ok()
    }
}

/// What has to be done about a client's message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Send this JSON text.
    Reply(String),
    /// Confirm this when what is to be remembered is stored.
    Confirm(Confirmation),
    /// Remember with the durable consumer that the topic was asked for, or given up.
    Remember { topic: String, edit: Edit },
    /// Deliver from now on what comes to the address and passes the filter.
    Open(Address, Filter),
    /// Stop delivering what comes to the address with this filter.
    Shut(Address, Filter),
    /// Everything up to this sequence has been received.
    Acknowledge(u64),
    /// Check a fresh token and, if it is good, [`Session::renew`].
    Authenticate { token: client::Token, id: Option<MessageId> },
    /// Publish an event and, when it is stored, answer.
    Publish { said: Said, id: Option<MessageId> },
    /// Answer with the newest envelope of a key.
    LookUp(Lookup),
}

/// The state of one connection's conversation.
pub(crate) struct Session {
    catalogs: Arc<Catalogs>,
    passport: Passport,
    form: Form,
    subscriptions: LiteMap<String, Subscription>,
}

/// A topic that the client asked for.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) address: Address,
    pub(crate) filter: Filter,
    /// Delivery of the topic begins after this sequence.
    pub(crate) since: u64,
}

/// What a session needs to know to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: OffsetDateTime,
    /// The last sequence that has been delivered to everybody.
    pub(crate) sequence: u64,
    /// The last sequence that was sent on this connection.
    pub(crate) sent: u64,
    /// Topics that one connection may have.
    pub(crate) max_topics: usize,
}

impl Moment {
    /// Reads a text message.
    pub(crate) fn read(&self, text: &str) -> Result<Request, Refused> {
        client::parse(text, &Limits { topics: self.max_topics, ..Limits::default() })
    }
}

impl Session {
    pub(crate) fn new(catalogs: Arc<Catalogs>, passport: Passport, form: Form) -> Self {
        Self { catalogs, passport, form, subscriptions: LiteMap::new() }
    }

    /// Takes up the subscriptions that the durable consumer remembers, as far as they are still
    /// open to the user.
    pub(crate) fn restore(&mut self, remembered: Subscriptions) {
        for (topic, consumers::Subscription { filter, since }) in remembered {
            if let Ok(address) = self.entitled(&topic) {
                self.remember(topic, Subscription { address, filter: filter.into(), since });
            }
        }
    }

    /// The stream was made anew: whatever comes in it comes after every subscription.
    pub(crate) fn forget_positions(&mut self) {
        self.subscriptions.iter_mut().for_each(|(_, subscription)| subscription.since = 0);
    }

    pub(crate) fn passport(&self) -> &Passport {
        &self.passport
    }

    /// The topics that the client asked for.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.keys().map(String::as_str)
    }

    /// Every address that is open to the connection, with the filter and the sequence after which
    /// it counts.
    pub(crate) fn open_addresses(&self) -> impl Iterator<Item = (&Address, Option<&Subscription>)> {
        let keys = self.passport.keys.iter().map(|key| (key, None));
        let topics = self.subscriptions.values().map(|topic| (&topic.address, Some(topic)));
        keys.chain(topics)
    }

    /// What a message of the client, as it was read, asks for.
    pub(crate) fn receive(&mut self, read: Result<Request, Refused>, moment: Moment) -> Vec<Effect> {
        let Request { id, message } = match read {
            Ok(request) => request,
            Err(refused) => return vec![Effect::Reply(ErrorMessage::from(refused).to_json(moment.now))],
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
        done.unwrap_or_else(|error| vec![Effect::Reply(error.in_reply_to(id).to_json(moment.now))])
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
        let added = asked.keys().filter(|topic| !self.subscriptions.contains_key(**topic)).count();
        let total = self.subscriptions.len() + added;
        if total > moment.max_topics {
            let text = format!("{total} topics on this connection, expected at most {}", moment.max_topics);
            return Err(ErrorMessage::new(ErrorCode::TooManyTopics, text));
        }
        self.check_attributes(asked.values(), filter)?;
        let mut effects = Vec::new();
        for (topic, address) in asked {
            let since = self.subscriptions.get(topic).map_or(moment.sequence, |earlier| earlier.since);
            let edit = Edit::Subscribe(consumers::Subscription { filter: filter.clone().into(), since });
            effects.push(Effect::Remember { topic: topic.to_owned(), edit });
            let subscription = Subscription { address: address.clone(), filter: filter.clone(), since };
            if let Some(earlier) = self.remember(topic.to_owned(), subscription) {
                effects.push(Effect::Shut(earlier.address, earlier.filter));
            }
            effects.push(Effect::Open(address, filter.clone()));
        }
        effects.extend(self.confirm(Changed::Subscribed, id));
        Ok(effects)
    }

    /// Refuses a filter that would filter nothing: on attributes that no message of the topics can have.
    fn check_attributes<'a>(
        &self,
        topics: impl Iterator<Item = &'a Address>,
        filter: &Filter,
    ) -> Result<(), ErrorMessage> {
        let Some(catalog) = self.catalogs.get(self.passport.tenant()) else { return Ok(()) };
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
        let topic = self.catalogs.get(self.passport.tenant()).and_then(|catalog| catalog.topic(name));
        let Some(topic) = topic else {
            let known =
                self.catalogs.get(self.passport.tenant()).map(|catalog| catalog.topic_names().collect());
            let known: Vec<&str> = known.unwrap_or_default();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let text = format!("there is no topic {}; there are: {known}", quoted(name));
            return Err(ErrorMessage::new(ErrorCode::UnknownTopic, text));
        };
        if !topic.is_open_to(|key| self.passport.keys.contains(key)) {
            let text = format!("your roles do not open the topic {}", quoted(name));
            return Err(ErrorMessage::new(ErrorCode::Forbidden, text));
        }
        Ok(topic.address.clone())
    }

    fn unsubscribe(&mut self, topics: &[String], id: Option<MessageId>) -> Vec<Effect> {
        let mut effects = Vec::new();
        for topic in topics {
            if let Some(subscription) = self.subscriptions.remove(topic.as_str()) {
                effects.push(Effect::Remember { topic: topic.clone(), edit: Edit::Unsubscribe });
                effects.push(Effect::Shut(subscription.address, subscription.filter));
            }
        }
        effects.extend(self.confirm(Changed::Unsubscribed, id));
        effects
    }

    /// Plain clients know no confirmations.
    fn confirm(&self, what: Changed, id: Option<MessageId>) -> Option<Effect> {
        (self.form == Form::Sequenced).then_some(Effect::Confirm(Confirmation { what, id }))
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
    pub(crate) fn renew(&mut self, fresh: Passport) -> Result<Vec<Effect>, ErrorMessage> {
        let (ours, theirs) = (&self.passport.consumer, &fresh.consumer);
        if (ours.tenant(), ours.user()) != (theirs.tenant(), theirs.user()) {
            let text = "the token belongs to another user; open another connection for it";
            return Err(ErrorMessage::new(ErrorCode::Forbidden, text));
        }
        let lost = self.passport.keys.difference(&fresh.keys);
        let mut effects: Vec<_> = lost.map(|key| Effect::Shut(key.clone(), Filter::default())).collect();
        let gained = fresh.keys.difference(&self.passport.keys);
        effects.extend(gained.map(|key| Effect::Open(key.clone(), Filter::default())));
        self.passport = Passport { consumer: self.passport.consumer.clone(), ..fresh };
        effects.extend(self.shut_lost_topics());
        Ok(effects)
    }

    /// Goes by these catalogs from now on: topics that they do not open close at once.
    pub(crate) fn take_up(&mut self, catalogs: &Arc<Catalogs>) -> Vec<Effect> {
        self.catalogs = Arc::clone(catalogs);
        self.shut_lost_topics()
    }

    fn shut_lost_topics(&mut self) -> Vec<Effect> {
        let topics = self.subscriptions.keys().filter(|topic| self.entitled(topic).is_err());
        let lost: Vec<String> = topics.cloned().collect();
        let removed = lost.iter().filter_map(|topic| self.subscriptions.remove(topic.as_str()));
        removed.map(|topic| Effect::Shut(topic.address, topic.filter)).collect()
    }

    /// A verb of the catalog's own.
    fn other(&self, verb: &str, frame: &Object, id: Option<MessageId>) -> Result<Vec<Effect>, ErrorMessage> {
        let tenant = self.passport.tenant();
        let Some(route) = self.catalogs.get(tenant).and_then(|catalog| catalog.route(verb)) else {
            return self.say(verb, frame, id);
        };
        let key = route.key(frame).map_err(|path| {
            let text = format!("`{path}` is missing, expected a string that names what {verb} is asked of");
            ErrorMessage::new(ErrorCode::InvalidMessage, text)
        })?;
        let subjects =
            self.passport.keys.iter().filter_map(|address| route.subject(tenant, address, &key)).collect();
        let nothing = format!("there is nothing to tell about {}", quoted(&key));
        Ok(vec![Effect::LookUp(Lookup { subjects, nothing, id })])
    }
}

#[cfg(test)]
mod tests;
