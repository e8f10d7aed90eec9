//! API keys of producers: a copy of the bucket `KEYS`, so that a request needs no I/O.
//!
//! While NATS is away, the last known state counts. Until the bucket was read for the first time, every key is refused. A key
//! that was revoked stays revoked here, whatever older state the bucket comes back with, and that is written again.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use tidings_access::ApiKey;
use tidings_model::{Epoch, KeyId};
use tidings_streams::keys::{ApiKeys, KeyName, KeyNews, KeyState, KeyWatch, KeysError, KnownKey};
use tokio_util::sync::CancellationToken;

use super::producer::{Producer, PublishRights};
use super::restore::{Restore, restore};
use crate::error::{ApiCode, ApiError};

/// A copy of the bucket `KEYS`.
pub(super) struct KnownKeys {
    store: ApiKeys,
    /// `None` until all of the bucket was read.
    known: RwLock<Option<Known>>,
}

/// The keys of one life of the bucket.
struct Known {
    life: Epoch,
    keys: HashMap<KeyId, (KeyName, KnownKey)>,
}

impl Restore for ApiKeys {
    const BUCKET: &'static str = "KEYS";
    type Name = KeyName;
    type State = KeyState;
    type Failure = KeysError;

    async fn restore(&self, name: &KeyName, state: &KeyState) -> Result<(), KeysError> {
        Self::restore(self, name, state).await
    }
}

impl KnownKeys {
    pub(super) fn new(store: ApiKeys) -> Self {
        Self { store, known: RwLock::default() }
    }

    /// The bucket itself, for administration.
    pub(super) fn store(&self) -> &ApiKeys {
        &self.store
    }

    /// The producer that sends this key, in this second since 1970.
    pub(super) fn check(&self, key: &ApiKey, now: u64) -> Result<Producer, ApiError> {
        let refused = |code, text: &str| Err(ApiError::new(code, text));
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = &*known else {
            return refused(
                ApiCode::Starting,
                "the gateway does not know yet which API keys there are; try again",
            );
        };
        let unknown = "there is no such API key";
        let Some((name, state)) = known.keys.get(key.id()) else {
            return refused(ApiCode::KeyUnknown, unknown);
        };
        let Some(state) = state else {
            let text = format!("what is stored about API key {} cannot be read; ask the operators", key.id());
            return refused(ApiCode::KeyUnreadable, &text);
        };
        if !key.has_digest(&state.digest) {
            return refused(ApiCode::KeyUnknown, unknown);
        }
        if state.revoked.is_some() {
            return refused(ApiCode::KeyRevoked, &format!("API key {} is revoked", key.id()));
        }
        if state.has_expired(now) {
            return refused(ApiCode::KeyExpired, &format!("API key {} has expired", key.id()));
        }
        let rights = PublishRights::new(Some(state.events.clone()), state.source.clone());
        Ok(Producer { tenant: name.tenant.clone(), name: format!("key {}", key.id()), rights })
    }

    /// Reads all of the bucket; what is returned has its later changes.
    pub(super) async fn load(&self) -> KeyWatch {
        let mut watch = self.store.watch();
        self.learn(watch.next().await);
        watch
    }

    /// Follows the bucket until cancelled.
    pub(super) async fn run(&self, mut watch: KeyWatch, cancelled: &CancellationToken) {
        let mut lost = Vec::new();
        while let Some(news) = cancelled.run_until_cancelled(Box::pin(watch.next())).await {
            lost.extend(self.learn(news));
            restore(&self.store, &mut lost).await;
        }
    }

    /// Applies a change of the bucket. Returns what the bucket has lost: the keys that another life of it lacks, and
    /// revocations.
    fn learn(&self, news: KeyNews) -> Vec<(KeyName, KeyState)> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let mut lost = Vec::new();
        match news {
            KeyNews::All(life, all) => {
                let before = known.take();
                let is_other_life = before.as_ref().is_some_and(|before| before.life != life);
                let keys = all.into_iter().map(|(name, state)| (name.id.clone(), (name, state)));
                let mut now = Known { life, keys: keys.collect() };
                for (name, state) in before.into_iter().flat_map(|before| before.keys.into_values()) {
                    let Some(state) = state else { continue };
                    if (is_other_life && !now.keys.contains_key(&name.id))
                        || now.lacks_revocation(&name, &state)
                    {
                        now.keys.insert(name.id.clone(), (name.clone(), Some(state.clone())));
                        lost.push((name, state));
                    }
                }
                *known = Some(now);
            }
            KeyNews::One(name, state) => {
                let Some(known) = known.as_mut() else { return lost };
                let before = known.keys.insert(name.id.clone(), (name.clone(), state));
                if let Some((_, Some(before))) = before
                    && known.lacks_revocation(&name, &before)
                {
                    known.keys.insert(name.id.clone(), (name.clone(), Some(before.clone())));
                    lost.push((name, before));
                }
            }
        }
        lost
    }
}

impl Known {
    /// Whether a key was revoked before, and is not any more.
    fn lacks_revocation(&self, name: &KeyName, before: &KeyState) -> bool {
        let now = self.keys.get(&name.id).and_then(|(_, state)| state.as_ref());
        before.revoked.is_some() && now.is_some_and(|now| now.revoked.is_none())
    }
}
