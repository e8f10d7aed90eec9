//! Keeps an issuer's published keys up to date.
//!
//! One task per issuer fetches the keys: when they reach their maximum age, and when a token has an unknown `kid`. So
//! at most one request is in progress, and all waiting verifications share it. Tokens with invented identifiers cannot
//! cause more fetches than the cooldown allows. Verification itself only reads the known keys.
//!
//! A failed fetch changes nothing: known keys stay valid, however long the issuer is unavailable. A key is removed only
//! if a fetched set lacks it. It is accepted for a grace time after that.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::jwks::{self, KeySet, LeftOut};
use crate::{FetchError, VerifyingKey};

/// The source of a key set.
#[async_trait]
pub trait KeySource: Send + Sync + 'static {
    /// Its name in logs.
    fn name(&self) -> String;

    /// Fetches the set's bytes, bounded in size and time.
    async fn fetch(&self) -> Result<Vec<u8>, FetchError>;
}

/// When keys are fetched, and for how long they are accepted.
#[derive(Debug, Clone, Copy)]
pub struct RefreshSettings {
    /// The age at which keys are fetched again.
    pub max_age: Duration,
    /// The minimum time between two fetches for tokens with unknown keys, and the time before a retry after a failed
    /// fetch.
    pub cooldown: Duration,
    /// How long a key is accepted after it was removed from the set.
    pub grace: Duration,
    /// How long a token with an unknown key waits for a fetch.
    pub patience: Duration,
}

/// The maximum number of keys in their grace time. Beyond it, the oldest are removed at once.
const MAX_LEAVING: usize = 64;

/// The maximum number of omitted keys that are logged one by one.
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

/// The last fetch on demand.
struct Demand {
    at: Instant,
    /// The number of attempts before it.
    after: u64,
}

struct Known {
    /// All accepted keys: published keys, and keys in their grace time.
    accepted: Arc<[VerifyingKey]>,
    current: Vec<VerifyingKey>,
    /// Published keys that cannot be used here.
    left_out: Arc<[LeftOut]>,
    /// Keys that are no longer published, with the end of their grace time, newest first.
    leaving: Vec<(VerifyingKey, Instant)>,
    /// Completed fetches, successful or not.
    attempts: u64,
    is_fetching: bool,
    has_failed: bool,
    /// Whether the last fetched set had no usable key.
    is_useless: bool,
    next_attempt: Instant,
}

/// The known keys at one moment.
pub(crate) struct KnownKeys {
    pub(crate) accepted: Arc<[VerifyingKey]>,
    left_out: Arc<[LeftOut]>,
    /// The time until the next fetch.
    pub(crate) next_attempt: Duration,
}

impl KnownKeys {
    /// Returns whether only unusable keys match a token with this `kid`, or without one. Another fetch does not help
    /// then.
    pub(crate) fn leaves_out(&self, id: Option<&str>) -> bool {
        self.left_out.iter().any(|key| id.is_none_or(|id| key.id.as_deref() == Some(id)))
    }

    /// Returns whether no set with any key has been fetched yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.accepted.is_empty() && self.left_out.is_empty()
    }
}

impl RemoteKeys {
    /// Creates an empty set of keys. [`RemoteKeys::keep`] fetches them.
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

    /// Returns the known keys.
    pub(crate) fn known(&self) -> KnownKeys {
        let known = self.0.known.borrow();
        KnownKeys {
            accepted: Arc::clone(&known.accepted),
            left_out: Arc::clone(&known.left_out),
            next_attempt: known.next_attempt.saturating_duration_since(Instant::now()),
        }
    }

    /// Waits for a fetch, at most for [`RefreshSettings::patience`]: for the fetch in progress, or for a new one if the
    /// cooldown has passed. Otherwise returns at once.
    pub(crate) async fn learn(&self) {
        let mut known = self.0.known.subscribe();
        let Some(after) = self.demand(&known.borrow_and_update()) else { return };
        // After a timeout no new key is known. The caller finds that out.
        drop(timeout(self.0.settings.patience, known.wait_for(|known| known.attempts > after)).await);
    }

    /// Returns the number of the attempt after which the answer is known, or `None` if there will be none.
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

    /// Fetches the keys, and fetches them again whenever they are due, until cancelled.
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

    /// Logs when fetching begins to fail, when it works again, and the omitted keys of each changed set.
    fn report(&self, known: &Known, set: &Result<KeySet, FetchError>) {
        let source = self.0.source.name();
        let set = match set {
            Ok(set) => set,
            Err(error) if known.has_failed => {
                let error = error as &dyn std::error::Error;
                return tracing::debug!(source, error, "an issuer's keys still cannot be fetched");
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

    /// Removes the keys whose grace time has ended. Returns when to check again, or `None` if a fetch is due.
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
    /// Replaces the keys by those of a set. A set without usable keys removes nothing, but its omitted keys are
    /// recorded, so that tokens that name them cause no further fetch.
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
