//! The client's state machine. Every await in it can be given up: what was begun is kept in the state.

mod open;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use self::open::{Lost, Open};
use crate::dial::{Dialed, check, dial};
use crate::error::{ClientError, PublishError};
use crate::message::Received;
use crate::outbox::{Outbox, Publication, Publisher, passes};
use crate::settings::Settings;

/// A connection that lasts so long has succeeded: after it, waiting begins with the first delay again.
const SUCCESS: Duration = Duration::from_secs(10);
/// The id of the subscription's request.
const SUBSCRIPTION: &str = "subscription";
/// How long the gateway may take to confirm that the last acknowledgement has arrived.
const FAREWELL: Duration = Duration::from_secs(5);
/// When to send a publication again that the gateway could not store, if it does not say.
const AGAIN: Duration = Duration::from_secs(1);

/// A message that the connection's grants and topics open.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The message as the catalog renders it.
    pub body: String,
    /// The same with `seq` and `id` in front, as it was sent.
    pub text: String,
    /// Its place in the stream.
    pub position: String,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// A message, once. It is handled when the client is asked for what happens next.
    Message(Message),
    /// Something cannot be delivered: fetch what is shown from its source. Handled like a message.
    Gap(String),
    /// A connection is open, and subscribed.
    Open,
    /// There is no connection; the next attempt follows after this time.
    Waiting {
        /// What has happened.
        what: String,
        /// The wait.
        after: Duration,
        /// Whether nobody answered, rather than a gateway that ends or refuses connections for a time.
        is_unreachable: bool,
    },
    /// Another message of the gateway, such as `welcome`, as it was sent.
    Control(String),
    /// An answer to what the client did not send itself, or an error.
    Other(String),
}

enum Phase {
    Closed,
    Waiting(Instant),
    Open(Box<Open>),
}

/// What was handed to the application.
struct Handed {
    position: String,
}

/// A client of a gateway.
pub struct Client {
    settings: Settings,
    phase: Phase,
    /// The position behind which the next connection begins.
    position: Option<String>,
    handed: Option<Handed>,
    outbox: Outbox,
    publications: mpsc::Receiver<Publication>,
    publisher: Publisher,
    failures: usize,
    /// The token that was tried last.
    tried: Option<String>,
    /// What the gateway said of that token, if it accepts it no longer.
    is_over: Option<String>,
    /// Whether a fresh token was asked for since a connection succeeded last.
    is_renewed: bool,
}

impl Client {
    /// A client that has not connected yet. Reads the position from the store.
    pub fn new(mut settings: Settings) -> Result<Self, ClientError> {
        check(&settings)?;
        let position = settings.store.load().map_err(ClientError::Store)?;
        let (publisher, publications) = Publisher::new(settings.max_outbox);
        let outbox = Outbox::new(settings.max_outbox, settings.duplicate_window);
        Ok(Self {
            settings,
            phase: Phase::Closed,
            position,
            handed: None,
            outbox,
            publications,
            publisher,
            failures: 0,
            tried: None,
            is_over: None,
            is_renewed: false,
        })
    }

    /// Publishes through this client.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.publisher.clone()
    }

    /// Says that what was returned last is handled, and returns what happens next. Connects, waits and connects again as it
    /// is needed. Cancel-safe. After an error the client has ended.
    pub async fn next(&mut self) -> Result<Happening, ClientError> {
        self.handled()?;
        loop {
            let happening = match &mut self.phase {
                Phase::Closed => self.connect().await?,
                Phase::Waiting(until) => {
                    let until = *until;
                    self.wait(until).await;
                    None
                }
                Phase::Open(open) => {
                    let received = open.step(&mut self.outbox, &mut self.publications, &self.settings).await;
                    self.received(received)?
                }
            };
            if let Some(happening) = happening {
                return Ok(happening);
            }
        }
    }

    /// Says that what was returned last is handled, as [`Client::next`] does: its position is kept, then it is acknowledged.
    pub fn handled(&mut self) -> Result<(), ClientError> {
        let Some(handed) = self.handed.take() else { return Ok(()) };
        self.keep(handed.position.clone())?;
        if let (Phase::Open(open), Some((_, sequence))) = (&mut self.phase, handed.position.split_once('-')) {
            open.acknowledge(sequence);
        }
        Ok(())
    }

    /// Says that what was returned last is handled, and disconnects when the gateway knows it.
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.handled()?;
        if let Phase::Open(open) = self.phase {
            // What the gateway does not learn now it learns from the position, next time.
            _ = timeout(FAREWELL, open.close()).await;
        }
        Ok(())
    }

    fn keep(&mut self, position: String) -> Result<(), ClientError> {
        self.settings.store.save(&position).map_err(ClientError::Store)?;
        self.position = Some(position);
        Ok(())
    }

    async fn wait(&mut self, until: Instant) {
        loop {
            tokio::select! {
                () = sleep_until(until) => break,
                Some(publication) = self.publications.recv() => self.outbox.add(publication),
            }
        }
        self.phase = Phase::Closed;
    }

    async fn connect(&mut self) -> Result<Option<Happening>, ClientError> {
        let token = match timeout(self.settings.patience, (self.settings.token)()).await {
            Ok(Ok(Some(token))) => token,
            Ok(Ok(None)) => {
                return Err(ClientError::Unauthorized { what: "there is no token".to_owned() });
            }
            Ok(Err(error)) => return self.failed(format!("there is no token now: {error}"), None, false),
            Err(_) => return self.failed("there is no token now: it takes too long".to_owned(), None, false),
        };
        if let Some(what) = self.is_over.take_if(|_| self.tried.as_ref() == Some(&token)) {
            return Err(ClientError::Unauthorized { what });
        }
        self.is_over = None;
        self.tried = Some(token.clone());
        match dial(&self.settings, &token, self.position.as_deref()).await? {
            Dialed::Open(socket) => {
                self.outbox.connected();
                self.phase = Phase::Open(Box::new(Open::new(*socket, self.subscription())));
                Ok(None)
            }
            Dialed::Passing { what, after } => self.failed(what, after, after.is_none()),
            Dialed::TokenOver { what } => self.token_is_over(what),
        }
    }

    /// Asks for a fresh token at once; if that was of no use just before, after a wait.
    fn token_is_over(&mut self, what: String) -> Result<Option<Happening>, ClientError> {
        self.is_over = Some(what.clone());
        if std::mem::replace(&mut self.is_renewed, true) { self.failed(what, None, false) } else { Ok(None) }
    }

    fn subscription(&self) -> Vec<String> {
        // Those of one filter together: an attribute must be one of any of them.
        let mut topics: BTreeMap<&BTreeMap<_, _>, Vec<&String>> = BTreeMap::new();
        for (topic, filters) in &self.settings.topics {
            topics.entry(filters).or_default().push(topic);
        }
        let subscribe = topics.into_iter().map(|(filters, topics)| {
            json!({ "action": "subscribe", "id": SUBSCRIPTION, "topics": topics, "filters": filters })
        });
        // Answered when the subscriptions are active: everything published from then on is received.
        subscribe.chain([json!({ "action": "ping" })]).map(|message| message.to_string()).collect()
    }

    /// Waits for the next attempt, no less than the gateway asks for.
    fn failed(
        &mut self,
        what: String,
        at_least: Option<Duration>,
        is_unreachable: bool,
    ) -> Result<Option<Happening>, ClientError> {
        self.failures += 1;
        let Some(delay) = self.settings.reconnect.delay(self.failures, fastrand::f64()) else {
            return Err(ClientError::Attempts { what, attempts: self.failures });
        };
        let after = delay.max(at_least.unwrap_or_default());
        self.phase = Phase::Waiting(Instant::now() + after);
        Ok(Some(Happening::Waiting { what, after, is_unreachable }))
    }

    fn received(&mut self, step: Result<Option<String>, Lost>) -> Result<Option<Happening>, ClientError> {
        match step {
            Ok(None) => Ok(None),
            Ok(Some(text)) => self.read(text),
            Err(lost) => self.lost(lost),
        }
    }

    fn lost(&mut self, lost: Lost) -> Result<Option<Happening>, ClientError> {
        if let Phase::Open(open) = std::mem::replace(&mut self.phase, Phase::Closed)
            && open.age() >= SUCCESS
        {
            (self.failures, self.is_renewed) = (0, false);
        }
        let url = &self.settings.url;
        match lost {
            Lost::Broken(why) => self.failed(format!("the connection to {url} {why}"), None, false),
            Lost::Closed { what } => self.failed(what, None, false),
            // No failure: the next connection is made at once.
            Lost::Moved { what } => {
                Ok(Some(Happening::Waiting { what, after: Duration::ZERO, is_unreachable: false }))
            }
            Lost::TokenOver { what } => self.token_is_over(what),
            Lost::ForGood { what } => Err(ClientError::Closed { what }),
        }
    }

    fn read(&mut self, text: String) -> Result<Option<Happening>, ClientError> {
        let Phase::Open(open) = &mut self.phase else { return Ok(None) };
        Ok(Some(match Received::read(&text) {
            Received::Envelope { sequence, body } => {
                let position = open.position_of(sequence);
                if is_handled(self.position.as_deref(), &position) {
                    open.acknowledge(&sequence.to_string());
                    return Ok(None);
                }
                self.handed = Some(Handed { position: position.clone() });
                Happening::Message(Message { body, text, position })
            }
            Received::Gap { to } => {
                open.stands_at(&to);
                self.handed = Some(Handed { position: to });
                Happening::Gap(text)
            }
            Received::Welcome { position, expires } => {
                open.stands_at(&position);
                open.expires(expires.as_deref());
                // From here on nothing is missed, even if nothing comes on this connection.
                self.keep(position)?;
                Happening::Control(text)
            }
            Received::CaughtUp { position } => {
                open.stands_at(&position);
                self.keep(position)?;
                Happening::Control(text)
            }
            Received::Authenticated { expires } => {
                open.expires(expires.as_deref());
                Happening::Control(text)
            }
            Received::Draining => {
                open.is_draining();
                Happening::Control(text)
            }
            Received::Pong => Happening::Open,
            Received::Control => Happening::Control(text),
            Received::Published { request, event } => {
                if self.outbox.published(&request, event) {
                    return Ok(None);
                }
                Happening::Control(text)
            }
            Received::Refused { id, code, message, .. } if id == SUBSCRIPTION => {
                if !passes(&code) {
                    return Err(ClientError::Subscription { code, message });
                }
                let what = format!("the gateway refuses the subscription: {message} ({code})");
                return self.lost(Lost::Closed { what });
            }
            Received::Refused { id, code, message, retry_after } => {
                let retry_at = Instant::now() + retry_after.unwrap_or(AGAIN);
                let error = PublishError::Refused { code, message };
                if id.as_str().is_some_and(|id| self.outbox.refused(id, error, retry_at)) {
                    return Ok(None);
                }
                Happening::Other(text)
            }
            Received::Answer => Happening::Other(text),
        }))
    }
}

/// Whether a position is not behind what was handled, in the same life of the stream.
fn is_handled(handled: Option<&str>, position: &str) -> bool {
    let parts = |position: &str| {
        let (epoch, sequence) = position.split_once('-')?;
        Some((epoch.to_owned(), sequence.parse::<u64>().ok()?))
    };
    match (handled.and_then(parts), parts(position)) {
        (Some((epoch, handled)), Some((same, sequence))) => epoch == same && sequence <= handled,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_positions_of_one_epoch_are_compared() {
        for (handled, position, expected) in [
            (Some("18f-7"), "18f-7", true),
            (Some("18f-7"), "18f-6", true),
            (Some("18f-7"), "18f-8", false),
            (Some("18f-7"), "190-1", false),
            (None, "18f-1", false),
            (Some("nonsense"), "18f-1", false),
        ] {
            assert_eq!(is_handled(handled, position), expected, "{handled:?} {position}");
        }
    }
}
