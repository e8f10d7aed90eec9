//! What a client sends on its connection.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use tidings_catalog::{Catalog, Files};
use tidings_model::{Tenant, json};
use tidings_protocol::Filter;
use tidings_protocol::server::Form;
use tidings_session::{Effect, Moment, Principal, Session};
use tidings_streams::consumers::{ConsumerName, ConsumerNameError};
use time::OffsetDateTime;

use super::text;
use crate::Target;

pub(crate) const CONVERSATION: Target = Target {
    name: "conversation",
    run: conversation,
    seeds: &[
        br#"{"action":"subscribe","topics":["incidents"],"filters":{"site":["a"]},"id":1}
{"action":"subscribe","topics":["incidents","tasks"]}
{"action":"unsubscribe","topics":["tasks"],"id":"u"}
{"action":"ack","seq":30}"#,
        br#"{"action":"subscribe","topics":["metrics"]}
{"action":"subscribe","topics":["incidents","tasks","metrics"]}
{"action":"subscribe","topics":["incidents"],"filters":{"sight":"a"}}
{"action":"ack","seq":31}"#,
        br#"{"action":"progress","docId":"d1","id":"p"}
{"action":"progress","docId":"*.>"}
{"action":"report","docId":"d","data":{"site":"s1"},"id":"r"}
{"action":"report","data":{"site":"s2"}}
{"action":"authenticate","token":"a.b.c"}
{"action":"ping","id":"x"}
nonsense"#,
    ],
    attempts: 2_500,
};

/// That of the session's own tests.
const CATALOG_TEXT: &str = include_str!("../../../../shared/session/src/catalog.toml");

const MAX_TOPICS: usize = 2;

/// Each line is a message of one client, whose roles do not open `metrics`. Each is answered or has an effect; what is
/// opened is what the session remembers, is allowed to this user, and keeps to the limit.
fn conversation(input: &[u8]) {
    let files = [("catalog.toml", CATALOG_TEXT), ("any.json", "{}")];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let catalog = Catalog::parse(&Tenant::parse("ops").expect("a tenant"), &files).expect("a catalog");
    let claims = json::parse(br#"{"sub":"ada","role":"medic","site":"s1"}"#).expect("JSON");
    let claims = claims.as_object().cloned().unwrap_or_else(Map::new);
    let mut conversation = Conversation::new(catalog, &claims).expect("a user");
    let mut allowed: BTreeSet<_> = ["topic:incidents", "topic:tasks"].into();
    allowed.extend(["all", "user:ada", "role:medic"]);
    let text = text(input);
    for message in text.split('\n') {
        let caused = conversation.receive(message, MAX_TOPICS);
        assert!(!caused.replies.is_empty() || caused.others > 0, "{message} is not answered");
        for reply in &caused.replies {
            assert!(reply.len() < 8 * 1024, "{reply}");
            assert!(json::parse(reply.as_bytes()).is_ok_and(|reply| reply.is_object()), "{reply}");
        }
        let opened = conversation.opened();
        assert_eq!(*opened, conversation.remembered());
        assert!(opened.iter().all(|(address, _)| allowed.contains(&**address)), "{opened:?}");
        assert!(conversation.topics().count() <= MAX_TOPICS);
    }
}

/// A connection's session, from a client's text to what it causes.
struct Conversation {
    session: Session,
    /// What the effects have opened so far.
    opened: BTreeSet<(String, String)>,
}

/// What one message of a client has caused.
#[derive(Debug, Default)]
struct Caused {
    /// The JSON texts that are sent at once.
    replies: Vec<String>,
    /// Other effects: to store, to look up, to publish, to acknowledge.
    others: usize,
}

impl Conversation {
    /// The session of the user `ada` with these claims.
    fn new(catalog: Catalog, claims: &Map<String, Value>) -> Result<Self, ConsumerNameError> {
        let grants = catalog.grants(claims);
        let tenant = catalog.tenant().clone();
        let principal = Principal {
            publish_claims: catalog.publish_claims(claims, &grants),
            consumer: ConsumerName::new(tenant.clone(), "ada", "default")?,
            grants,
            expires_at: OffsetDateTime::UNIX_EPOCH,
            issued_at: None,
        };
        let session = Session::new(Arc::new([(tenant, catalog)].into()), principal, Form::Sequenced);
        let opened = session
            .principal()
            .grants
            .iter()
            .map(|grant| named(grant.as_str(), &Filter::default()))
            .collect();
        Ok(Self { session, opened })
    }

    /// Lets the session read one text message, after 40 envelopes of which 30 were sent.
    fn receive(&mut self, text: &str, max_topics: usize) -> Caused {
        let now = OffsetDateTime::UNIX_EPOCH;
        let moment = Moment { now, sequence: 40, sent: 30, max_topics };
        let mut caused = Caused::default();
        for effect in self.session.receive(moment.read(text), moment) {
            match effect {
                Effect::Reply(json) => caused.replies.push(json),
                Effect::Refuse(error) => caused.replies.push(error.to_json(now)),
                Effect::OpenAddress(address, filter) => {
                    self.opened.insert(named(address.as_str(), &filter));
                }
                Effect::CloseAddress(address, filter) => {
                    self.opened.remove(&named(address.as_str(), &filter));
                }
                _ => caused.others += 1,
            }
        }
        caused
    }

    /// What is open to the connection by all effects so far, address and filter.
    fn opened(&self) -> &BTreeSet<(String, String)> {
        &self.opened
    }

    /// What is open to the connection as its session remembers it.
    fn remembered(&self) -> BTreeSet<(String, String)> {
        let none = Filter::default();
        let open = self.session.open_addresses();
        open.map(|(address, filter)| named(address.as_str(), filter.unwrap_or(&none))).collect()
    }

    /// The topics that the client asked for.
    fn topics(&self) -> impl Iterator<Item = &str> {
        self.session.topics()
    }
}

fn named(address: &str, filter: &Filter) -> (String, String) {
    (address.to_owned(), format!("{filter:?}"))
}
