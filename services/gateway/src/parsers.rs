//! The pure readers of what clients send, in a form that needs no socket. Only fuzz targets call them here.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};
use tidings_catalog::Catalog;
use tidings_model::Position;
use tidings_protocol::Filter;
use tidings_protocol::server::Form;
use tidings_session::{Effect, Moment, Principal, Session};
use tidings_streams::consumers::{ConsumerName, ConsumerNameError};
use time::OffsetDateTime;

use crate::api::read_query;

/// The parameters `device` and `since` of a handshake's query; an error is the code of the answer.
pub fn handshake_query(query: &str) -> Result<(Option<String>, Option<Position>), &'static str> {
    read_query(Some(query)).map_err(|error| error.code().as_str())
}

/// A connection's session, from a client's text to what it causes.
pub struct Conversation {
    session: Session,
    /// What the effects have opened so far.
    opened: BTreeSet<(String, String)>,
}

/// What one message of a client has caused.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Caused {
    /// The JSON texts that are sent at once.
    pub replies: Vec<String>,
    /// Other effects: to store, to look up, to publish, to acknowledge.
    pub others: usize,
}

impl Conversation {
    /// The session of the user `ada` with these claims.
    pub fn new(
        catalog: Catalog,
        claims: &Map<String, Value>,
        sequenced: bool,
    ) -> Result<Self, ConsumerNameError> {
        let grants = catalog.grants(claims);
        let tenant = catalog.tenant().clone();
        let principal = Principal {
            publish_claims: catalog.publish_claims(claims, &grants),
            consumer: ConsumerName::new(tenant.clone(), "ada", "default")?,
            grants,
            expires_at: OffsetDateTime::UNIX_EPOCH,
            issued_at: None,
        };
        let form = if sequenced { Form::Sequenced } else { Form::Plain };
        let session = Session::new(Arc::new([(tenant, catalog)].into()), principal, form);
        let opened = session
            .principal()
            .grants
            .iter()
            .map(|grant| named(grant.as_str(), &Filter::default()))
            .collect();
        Ok(Self { session, opened })
    }

    /// Lets the session read one text message, after 40 envelopes of which 30 were sent.
    pub fn receive(&mut self, text: &str, max_topics: usize) -> Caused {
        let now = OffsetDateTime::UNIX_EPOCH;
        let moment = Moment { now, sequence: 40, sent: 30, max_topics };
        let mut caused = Caused::default();
        for effect in self.session.receive(moment.read(text), moment) {
            match effect {
                Effect::Reply(json) => caused.replies.push(json),
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
    #[must_use]
    pub fn opened(&self) -> &BTreeSet<(String, String)> {
        &self.opened
    }

    /// What is open to the connection as its session remembers it.
    #[must_use]
    pub fn remembered(&self) -> BTreeSet<(String, String)> {
        let none = Filter::default();
        let open = self.session.open_addresses();
        open.map(|(address, filter)| named(address.as_str(), filter.unwrap_or(&none))).collect()
    }

    /// The topics that the client asked for.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.session.topics()
    }
}

fn named(address: &str, filter: &Filter) -> (String, String) {
    (address.to_owned(), format!("{filter:?}"))
}
