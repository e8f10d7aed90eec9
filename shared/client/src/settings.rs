//! What a client is told.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;

use crate::backoff::Reconnect;
use crate::store::{MemoryStore, Store};

/// Why there is no token now.
pub type TokenError = Box<dyn Error + Send + Sync>;

pub(crate) type TokenAnswer = BoxFuture<'static, Result<Option<String>, TokenError>>;

/// For each attribute, the values that pass.
pub(crate) type Filters = BTreeMap<String, Vec<String>>;

/// The filters of each topic.
pub(crate) type Topics = BTreeMap<String, Filters>;

/// Where and as whom a client connects, and what it wants.
pub struct Settings {
    pub(crate) url: String,
    pub(crate) token: Box<dyn Fn() -> TokenAnswer + Send + Sync>,
    pub(crate) device: Option<String>,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) store: Box<dyn Store>,
    pub(crate) since: Option<String>,
    pub(crate) topics: Topics,
    pub(crate) reconnect: Reconnect,
    pub(crate) patience: Duration,
    pub(crate) silence: Duration,
    pub(crate) max_outbox: usize,
    pub(crate) duplicate_window: Duration,
}

impl Settings {
    /// With one token, for programs that end before it expires.
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        let token = token.into();
        Self::with_tokens(url, move || {
            let token = token.clone();
            async move { Ok(Some(token)) }
        })
    }

    /// With a function that returns a token: asked before each connection, and before the token of an open one expires.
    /// `None` if nobody is logged in.
    pub fn with_tokens<F, A>(url: impl Into<String>, token: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = Result<Option<String>, TokenError>> + Send + 'static,
    {
        Self {
            url: url.into(),
            token: Box::new(move || Box::pin(token())),
            device: None,
            tls: None,
            store: Box::new(MemoryStore::default()),
            since: None,
            topics: Topics::new(),
            reconnect: Reconnect::default(),
            patience: Duration::from_secs(10),
            silence: Duration::from_secs(45),
            max_outbox: 100,
            duplicate_window: Duration::from_secs(110),
        }
    }

    /// The name of this device: its position is its own.
    #[must_use]
    pub fn device(self, device: impl Into<String>) -> Self {
        Self { device: Some(device.into()), ..self }
    }

    /// Which servers to trust for `wss://`, otherwise those of the system.
    #[must_use]
    pub fn tls(self, tls: Arc<ClientConfig>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Where the position is kept, otherwise in memory.
    #[must_use]
    pub fn store(self, store: impl Store + 'static) -> Self {
        Self { store: Box::new(store), ..self }
    }

    /// Begins behind this position, whatever is stored, or with what comes from now on if it is `new`: what the device has
    /// missed until then counts as received.
    #[must_use]
    pub fn since(self, position: impl Into<String>) -> Self {
        Self { since: Some(position.into()), ..self }
    }

    /// Subscribes to a topic.
    #[must_use]
    pub fn topic(self, topic: impl Into<String>) -> Self {
        self.filtered(topic, BTreeMap::new())
    }

    /// Subscribes to a topic: for each attribute, only messages with one of these values.
    #[must_use]
    pub fn filtered(mut self, topic: impl Into<String>, filters: BTreeMap<String, Vec<String>>) -> Self {
        self.topics.insert(topic.into(), filters);
        self
    }

    /// When to connect again.
    #[must_use]
    pub fn reconnect(self, reconnect: Reconnect) -> Self {
        Self { reconnect, ..self }
    }

    /// How long a connection, a token and the answer to a Ping may take; otherwise 10 seconds.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// After how long without data the gateway is asked whether it is there; otherwise 45 seconds.
    #[must_use]
    pub fn silence(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }
}
