//! The client's state machine. Every await in it can be given up: what was begun is kept in the state.

mod open;
mod reading;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use self::open::{Lost, Open};
use crate::dial::{Dialed, check, dial};
use crate::error::ClientError;
use crate::outbox::Outbox;
use crate::requests::{Request, Requests};
use crate::settings::Settings;

/// A connection that lasts so long has succeeded: after it, waiting begins with the first delay again.
const SUCCESS: Duration = Duration::from_secs(10);
/// The id of each connection's first subscription, which no request of the application has.
const SUBSCRIPTION: &str = "tidings-client/subscription";
/// How long the gateway may take to confirm that the last acknowledgement has arrived.
const FAREWELL: Duration = Duration::from_secs(5);

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
    asked: mpsc::Receiver<Request>,
    requests: Requests,
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
        let position = match settings.since.take() {
            Some(since) => Some(since),
            None => settings.store.load().map_err(ClientError::Store)?,
        };
        let (requests, asked) = Requests::new(settings.max_outbox);
        let outbox = Outbox::new(settings.max_outbox, settings.duplicate_window);
        Ok(Self {
            settings,
            phase: Phase::Closed,
            position,
            handed: None,
            outbox,
            asked,
            requests,
            failures: 0,
            tried: None,
            is_over: None,
            is_renewed: false,
        })
    }

    /// Publishes, asks and subscribes through this client.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.requests.clone()
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
                    let received = open.step(&mut self.outbox, &mut self.asked, &self.settings).await;
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
                Some(request) = self.asked.recv() => self.outbox.add(request, Instant::now()),
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
}
