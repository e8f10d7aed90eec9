//! Stores consumers as entries of the key-value bucket `CONSUMERS`: `<tenant>.<user>.<device>` to JSON.
//!
//! Entries are removed by purging their subject, which unlike a key-value delete leaves no marker. Markers left by
//! `nats kv del` are read as removals.
//!
//! An unreadable entry affects only its device: the device is not served until the entry is removed. A gateway that
//! already serves the device knows the state and writes it again, except over a record of a newer Tidings.

use std::sync::Arc;

use async_nats::header::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::message::StreamMessage;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tidings_model::{PlacedPosition, Tenant};

use super::contention::Contention;
use super::state::{Change, ConsumerState};
use super::{
    ConsumerList, ConsumerName, ConsumerSettings, ConsumerStore, ConsumerStoreError, ConsumerWatch,
    MAX_DEVICES, OpenConsumersError, StoredConsumer, devices,
};
use crate::nats::record::{RecordError, Reported};
use crate::nats::{Bucket, Missing, Purpose, is_removal, record};

mod listing;

/// Stores durable consumers in a key-value bucket.
#[derive(Debug, Clone)]
pub struct KvConsumers {
    bucket: Bucket,
    reported: Arc<Reported<ConsumerName>>,
}

/// An entry of the bucket.
struct Entry {
    /// The state; `None` if there is no consumer.
    state: Result<Option<ConsumerState>, RecordError>,
    /// The sequence that the next write must expect; 0 if there never was an entry.
    revision: u64,
}

impl Entry {
    const NONE: Self = Self { state: Ok(None), revision: 0 };

    fn state(self, name: &ConsumerName) -> Result<(Option<ConsumerState>, u64), ConsumerStoreError> {
        let damaged = |source| ConsumerStoreError::Damaged { key: name.to_key(), source };
        Ok((self.state.map_err(damaged)?, self.revision))
    }
}

impl KvConsumers {
    /// Creates the bucket if it is missing, checks it if it exists.
    pub async fn open(context: &Context, settings: &ConsumerSettings) -> Result<Self, OpenConsumersError> {
        let purpose = Purpose { name: super::BUCKET, description: "Tidings: where users' devices stand" };
        let (kept, time_to_live) = (settings.bucket(), Some(settings.inactive_after));
        let bucket = Bucket::open(context, purpose, time_to_live, kept, Missing::Created).await?;
        Ok(Self { bucket, reported: Arc::default() })
    }

    /// Reads the entry, with every acknowledged write.
    async fn read(&self, name: &ConsumerName) -> Result<Entry, ConsumerStoreError> {
        let entry = self.bucket.newest(&name.to_key()).await;
        let entry = entry.map_err(|error| cannot_read(name, error))?;
        Ok(entry.map_or(Entry::NONE, |message| Self::entry(&message)))
    }

    fn entry(message: &StreamMessage) -> Entry {
        let state = parse(Some(&message.headers), &message.payload);
        Entry { state, revision: message.sequence }
    }

    async fn write(
        &self,
        name: &ConsumerName,
        state: ConsumerState,
        expected: u64,
    ) -> Result<Option<StoredConsumer>, ConsumerStoreError> {
        let failed = |error: async_nats::Error| {
            ConsumerStoreError::unavailable(format!("save consumer {name}"), error)
        };
        let json = record::encode(&state).map_err(|error| failed(error.into()))?;
        let written = self.bucket.write(&name.to_key(), Bytes::from(json), expected).await;
        let revision = written.map_err(|error| failed(error.into()))?;
        Ok(revision.map(|revision| StoredConsumer { state, pending: None, revision }))
    }

    /// Creates the consumer, or returns `None` if there is an entry. The write alone decides that, so it waits for no other
    /// answer: whether the user has other devices is found out beside it, and most have none. What has to make room does so
    /// then; a device for which there is none is removed again.
    async fn create(
        &self,
        name: &ConsumerName,
        change: &Change,
    ) -> Result<Option<StoredConsumer>, ConsumerStoreError> {
        let (own, all) = (name.to_key(), ConsumerName::keys_of(name.tenant(), Some(name.user())));
        let written = self.write(name, change.apply(None), 0);
        let (written, has_others) = tokio::join!(written, self.bucket.may_have_others(&all, &own));
        let Some(created) = written? else { return Ok(None) };
        if has_others && let Err(error) = self.make_room(name, change.seen_at).await {
            // Only this very entry: another gateway may have written one since.
            let undone = self.bucket.stream.purge().filter(self.bucket.subject(&own));
            if let Err(error) = undone.sequence(created.revision.saturating_add(1)).await {
                tracing::warn!(
                    consumer = %name, %error,
                    "cannot remove a device for which its user has no room; it goes when the next one comes"
                );
            }
            return Err(error);
        }
        Ok(Some(created))
    }

    /// Removes devices if necessary, so that the user may have this one.
    async fn make_room(&self, name: &ConsumerName, now: u64) -> Result<(), ConsumerStoreError> {
        let failed = |error| ConsumerStoreError::unavailable(format!("count the devices of {name}"), error);
        let (own, all) = (name.to_key(), ConsumerName::keys_of(name.tenant(), Some(name.user())));
        let devices =
            self.bucket.stream.info_with_subjects(self.bucket.subject(&all)).await.map_err(failed)?;
        let devices: Vec<_> = devices.try_collect().await.map_err(failed)?;
        let others = devices.iter().filter(|(subject, _)| self.bucket.key(subject) != own).count();
        if others < MAX_DEVICES { Ok(()) } else { devices::make_room(self, name, now).await }
    }

    /// Removes the entries with these keys and returns their number.
    async fn purge(&self, keys: &str) -> Result<u64, ConsumerStoreError> {
        let purged = self.bucket.stream.purge().filter(self.bucket.subject(keys)).await;
        let failed = |error| ConsumerStoreError::unavailable(format!("remove the consumers {keys}"), error);
        Ok(purged.map_err(failed)?.purged)
    }
}

#[async_trait]
impl ConsumerStore for KvConsumers {
    async fn load(&self, name: &ConsumerName) -> Result<Option<StoredConsumer>, ConsumerStoreError> {
        // A replica may be behind: a device would receive again what it has acknowledged through another gateway.
        let entry = self.read(name).await?;
        if entry.state.is_err() && self.reported.is_new(name, entry.revision) {
            tracing::error!(
                consumer = %name,
                "what is stored of a device cannot be read, and the device is not served; \
                 `tidings consumers rm` removes it"
            );
        }
        let (state, revision) = entry.state(name)?;
        Ok(state.map(|state| StoredConsumer { state, pending: None, revision }))
    }

    async fn check(&self) -> Result<bool, ConsumerStoreError> {
        let restored = self.bucket.restore().await;
        restored.map_err(|error| ConsumerStoreError::unavailable("look up the bucket CONSUMERS", error))
    }

    async fn save(
        &self,
        name: &ConsumerName,
        known: Option<&StoredConsumer>,
        change: &Change,
    ) -> Result<StoredConsumer, ConsumerStoreError> {
        let known_state = known.map(|known| &known.state);
        let (mut stored, mut revision) = match known {
            Some(known) => (known_state.cloned(), known.revision),
            None => match self.create(name, change).await? {
                Some(created) => return Ok(created),
                None => self.read(name).await?.state(name)?,
            },
        };
        if stored.is_none() {
            // There is an entry that means that there is none.
            self.make_room(name, change.seen_at).await?;
        }
        // What the bucket has lost is written, even if nothing has changed since it was stored.
        let mut must_write = known.is_some_and(|known| known.revision == 0);
        let mut contention = Contention::over(name);
        loop {
            let state = change.apply(stored.as_ref());
            if !must_write && stored.as_ref() == Some(&state) {
                // The other writer has renewed the entry, and there is nothing to add.
                return Ok(StoredConsumer { state, pending: None, revision });
            }
            if let Some(saved) = self.write(name, state, revision).await? {
                return Ok(saved);
            }
            contention.pause().await?;
            let entry = self.read(name).await?;
            must_write = false;
            (stored, revision) = match &entry.state {
                Err(error) if known.is_some() && !error.is_newer() => {
                    let error = error as &dyn std::error::Error;
                    tracing::error!(
                        consumer = %name, error,
                        "the record of a connected device cannot be read; writing the known state again"
                    );
                    must_write = true;
                    (known_state.cloned(), entry.revision)
                }
                // There is no entry: the bucket has lost it. The known state replaces it.
                Ok(None) if entry.revision == 0 => {
                    must_write = true;
                    (known_state.cloned(), 0)
                }
                _ => entry.state(name)?,
            };
        }
    }

    fn watch(&self, tenant: &Tenant) -> Option<ConsumerWatch> {
        Some(ConsumerWatch::new(self.bucket.clone(), tenant))
    }

    fn list(&self, tenant: &Tenant, user: Option<&str>) -> ConsumerList {
        listing::list(self.bucket.clone(), ConsumerName::keys_of(tenant, user))
    }

    async fn reset(
        &self,
        name: &ConsumerName,
        position: PlacedPosition,
    ) -> Result<Option<StoredConsumer>, ConsumerStoreError> {
        let mut contention = Contention::over(name);
        loop {
            let (Some(state), revision) = self.read(name).await?.state(name)? else { return Ok(None) };
            if let Some(saved) = self.write(name, state.reset_to(position), revision).await? {
                return Ok(Some(saved));
            }
            contention.pause().await?;
        }
    }

    async fn remove(&self, name: &ConsumerName) -> Result<bool, ConsumerStoreError> {
        Ok(self.purge(&name.to_key()).await? > 0)
    }

    async fn purge_user(&self, tenant: &Tenant, user: &str) -> Result<u64, ConsumerStoreError> {
        self.purge(&ConsumerName::keys_of(tenant, Some(user))).await
    }
}

/// Parses the state of an entry, or `None` if the entry is a removal marker.
pub(super) fn parse(headers: Option<&HeaderMap>, json: &[u8]) -> Result<Option<ConsumerState>, RecordError> {
    if is_removal(headers) { Ok(None) } else { record::decode(json).map(Some) }
}

fn cannot_read(name: &ConsumerName, error: impl Into<async_nats::Error>) -> ConsumerStoreError {
    ConsumerStoreError::unavailable(format!("read consumer {name}"), error)
}
