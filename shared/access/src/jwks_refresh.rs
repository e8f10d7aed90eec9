//! An issuer's published keys, kept up to date.
//!
//! One task per issuer fetches: when the keys have grown old, and when somebody brings a token with an unknown `kid`. So
//! there is never more than one request under way, everybody who waits shares it, and whoever invents identifiers
//! cannot make it fetch more often than the cooldown allows. Verifying itself only reads what is known.
//!
//! A fetch that fails changes nothing: keys that are known stay known, however long the issuer is away. Only a set that
//! was read and lacks a key takes the key away, after a grace in which tokens that it has signed are still taken.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::jwks::{self, KeySet, LeftOut};
use crate::{FetchError, VerifyingKey};

/// Where a key set is fetched.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// What it is called in logs.
    fn name(&self) -> String;

    /// The set's bytes, of bounded size and in bounded time.
    async fn fetch(&self) -> Result<Vec<u8>, FetchError>;
}

/// When to fetch.
#[derive(Debug, Clone, Copy)]
pub struct RefreshSettings {
    /// Age at which keys are fetched again.
    pub max_age: Duration,
    /// Time between two fetches that were asked for by tokens with unknown keys, and after a fetch that failed.
    pub cooldown: Duration,
    /// How long a key is still accepted that the set no longer has.
    pub grace: Duration,
    /// How long a token with an unknown key waits for it.
    pub patience: Duration,
}

/// Keys that are no longer published and still accepted; beyond that many, the oldest go at once.
const MAX_LEAVING: usize = 64;

/// Keys that are left out and named one by one in the log.
const MAX_SAID: usize = 32;

/// The keys of an issuer that publishes them. Clones share them.
#[derive(Clone)]
pub struct RemoteKeys(Arc<Inner>);

struct Inner {
    source: Box<dyn KeySource>,
    settings: RefreshSettings,
    known: watch::Sender<Known>,
    demand: Mutex<Option<Demand>>,
    demanded: Notify,
}

/// The last fetch that was granted to those who asked.
struct Demand {
    at: Instant,
    /// How many attempts there had been.
    after: u64,
}

struct Known {
    /// All keys that are accepted: those published, and those leaving.
    accepted: Arc<[VerifyingKey]>,
    current: Vec<VerifyingKey>,
    /// Published, and of no use here.
    left_out: Arc<[LeftOut]>,
    /// No longer published, with the end of their grace; the newest first.
    leaving: Vec<(VerifyingKey, Instant)>,
    /// Fetches that have come to an end, good or bad.
    attempts: u64,
    is_fetching: bool,
    has_failed: bool,
    /// Whether the last set that was read had no key of use.
    is_useless: bool,
    next_attempt: Instant,
}

/// The keys that are known at a moment.
pub(crate) struct KnownKeys {
    pub(crate) accepted: Arc<[VerifyingKey]>,
    left_out: Arc<[LeftOut]>,
    /// The time until they are fetched again.
    pub(crate) next_attempt: Duration,
}

impl KnownKeys {
    /// Whether a token that names this key, or none, can be signed with none but what is of no use: then to ask again does
    /// not help.
    pub(crate) fn leaves_out(&self, id: Option<&str>) -> bool {
        self.left_out.iter().any(|key| id.is_none_or(|id| key.id.as_deref() == Some(id)))
    }

    /// Whether no set was read yet that has anything in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.accepted.is_empty() && self.left_out.is_empty()
    }
}

impl RemoteKeys {
    /// Knows nothing before [`RemoteKeys::keep`] runs.
    #[must_use]
    pub fn new(source: impl KeySource, settings: RefreshSettings) -> Self {
        let known = Known {
            accepted: [].into(),
            current: Vec::new(),
            left_out: [].into(),
            leaving: Vec::new(),
            attempts: 0,
            is_fetching: true,
            has_failed: false,
            is_useless: false,
            next_attempt: Instant::now(),
        };
        Self(Arc::new(Inner {
            source: Box::new(source),
            settings,
            known: watch::Sender::new(known),
            demand: Mutex::new(None),
            demanded: Notify::new(),
        }))
    }

    /// What is known now.
    pub(crate) fn known(&self) -> KnownKeys {
        let known = self.0.known.borrow();
        KnownKeys {
            accepted: Arc::clone(&known.accepted),
            left_out: Arc::clone(&known.left_out),
            next_attempt: known.next_attempt.saturating_duration_since(Instant::now()),
        }
    }

    /// Waits for a fetch, for at most the patience: the one under way, or one of its own if the cooldown has passed; else
    /// returns at once.
    pub(crate) async fn learn(&self) {
        let mut known = self.0.known.subscribe();
        let Some(after) = self.demand(&known.borrow_and_update()) else { return };
        // Without an answer nothing is known that was not known before, and the caller finds that out.
        drop(timeout(self.0.settings.patience, known.wait_for(|known| known.attempts > after)).await);
    }

    /// After which attempt the answer comes, if there will be one.
    fn demand(&self, known: &Known) -> Option<u64> {
        let mut demand = self.0.demand.lock().unwrap_or_else(PoisonError::into_inner);
        let is_granted = demand.as_ref().is_some_and(|demand| demand.after == known.attempts);
        if !known.is_fetching && !is_granted {
            let now = Instant::now();
            if demand.as_ref().is_some_and(|demand| now < demand.at + self.0.settings.cooldown) {
                return None;
            }
            *demand = Some(Demand { at: now, after: known.attempts });
            self.0.demanded.notify_one();
        }
        Some(known.attempts)
    }

    /// Fetches the keys, and again whenever it is time, until cancelled.
    pub async fn keep(&self, cancelled: CancellationToken) {
        while cancelled.run_until_cancelled(self.fetch()).await.is_some() {
            let until_due = async {
                while let Some(at) = self.retire() {
                    tokio::select! {
                        () = self.0.demanded.notified() => return,
                        () = sleep_until(at) => {}
                    }
                }
            };
            if cancelled.run_until_cancelled(until_due).await.is_none() {
                return;
            }
        }
    }

    async fn fetch(&self) {
        self.0.known.send_modify(|known| known.is_fetching = true);
        let fetched = self.0.source.fetch().await;
        let set = fetched.and_then(|body| Ok(jwks::parse(&body)?));
        let now = Instant::now();
        self.0.known.send_modify(|known| {
            self.report(known, &set);
            known.has_failed = set.is_err();
            known.attempts += 1;
            known.is_fetching = false;
            let settings = &self.0.settings;
            known.is_useless = set.as_ref().is_ok_and(|set| set.keys.is_empty());
            let is_good = set.is_ok() && !known.is_useless;
            known.next_attempt = now + if is_good { settings.max_age } else { settings.cooldown };
            if let Ok(set) = set {
                known.replace(set, now + settings.grace);
            }
        });
    }

    /// Says once that fetching fails, once that it works again, and at each change what of a set is of no use.
    fn report(&self, known: &Known, set: &Result<KeySet, FetchError>) {
        let source = self.0.source.name();
        let set = match set {
            Ok(set) => set,
            Err(error) if known.has_failed => {
                let error = error as &dyn std::error::Error;
                return tracing::debug!(source, error, "an issuer's keys are still away");
            }
            Err(error) => {
                let error = error as &dyn std::error::Error;
                return tracing::warn!(
                    source,
                    error,
                    "an issuer's keys cannot be fetched; those that are known stay valid"
                );
            }
        };
        let keys = set.keys.len();
        if known.has_failed || known.attempts == 0 {
            tracing::info!(source, keys, "an issuer's keys were fetched");
        } else {
            tracing::debug!(source, keys, "an issuer's keys were fetched again");
        }
        if keys == 0 && !known.is_useless {
            tracing::warn!(
                source,
                offered = set.left_out.len(),
                "an issuer publishes no key that can be used; those that were known stay valid"
            );
        }
        if *known.left_out == *set.left_out {
            return;
        }
        for LeftOut { id, why } in set.left_out.iter().take(MAX_SAID) {
            let why = why as &dyn std::error::Error;
            tracing::info!(source, kid = ?id, error = why, "a key of an issuer's set is left out");
        }
        if set.left_out.len() > MAX_SAID {
            tracing::info!(source, all = set.left_out.len(), "more keys of an issuer's set are left out");
        }
    }

    /// Takes away the keys whose grace has ended. When to look again; none if it is time to fetch.
    fn retire(&self) -> Option<Instant> {
        let now = Instant::now();
        self.0.known.send_if_modified(|known| {
            let before = known.leaving.len();
            known.leaving.retain(|(_, until)| now < *until);
            let is_changed = known.leaving.len() != before;
            if is_changed {
                known.accept();
            }
            is_changed
        });
        let known = self.0.known.borrow();
        let ends = known.leaving.iter().map(|(_, until)| *until);
        let next = ends.fold(known.next_attempt, Instant::min);
        (now < known.next_attempt).then_some(next)
    }
}

impl Known {
    /// To an issuer that has lost all of its keys it is better not to listen, but for what it cannot be asked again.
    fn replace(&mut self, KeySet { keys, left_out }: KeySet, until: Instant) {
        self.left_out = left_out.into();
        if keys.is_empty() {
            return;
        }
        let gone = std::mem::replace(&mut self.current, keys);
        let gone = gone.into_iter().map(|key| (key, until));
        let mut leaving: Vec<_> = gone.chain(self.leaving.drain(..)).collect();
        leaving.retain(|(key, _)| !self.current.iter().any(|current| current.is(key)));
        leaving.truncate(MAX_LEAVING);
        self.leaving = leaving;
        self.accept();
    }

    fn accept(&mut self) {
        self.accepted = self.current.iter().chain(self.leaving.iter().map(|(key, _)| key)).cloned().collect();
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("RemoteKeys").field(&self.0.source.name()).finish()
    }
}

#[cfg(test)]
mod tests;
