//! Consumers as entries of the key-value bucket `CONSUMERS`: `<tenant>.<user>.<device>` to JSON.
//!
//! Entries are removed by purging their subject, which unlike a key-value delete leaves no marker
//! behind. The markers that `nats kv del` leaves are taken for what they mean.

use async_nats::header::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::DirectGetErrorKind;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tidings_model::{Position, Tenant, json};

use super::contention::Contention;
use super::state::{Change, ConsumerState};
use super::{
    ConsumerList, ConsumerName, ConsumerSettings, ConsumerStore, ConsumerStoreError, MAX_DEVICES,
    OpenConsumersError, StoredConsumer, devices,
};
use crate::at_leader;
use crate::bucket::{Bucket, is_removal};

mod listing;

/// Durable consumers in a key-value bucket.
#[derive(Debug, Clone)]
pub struct KvConsumers {
    bucket: Bucket,
}

/// What lies under a key.
#[derive(Default)]
struct Entry {
    state: Option<ConsumerState>,
    /// The sequence that the next write must expect; 0 if there never was an entry.
    revision: u64,
}

impl KvConsumers {
    /// Creates the bucket if it is missing and checks it if it is there.
    pub async fn open(
        client: &async_nats::Client,
        settings: &ConsumerSettings,
    ) -> Result<Self, OpenConsumersError> {
        let context = jetstream::new(client.clone());
        let description = "Tidings: where users' devices stand";
        let time_to_live = Some(settings.inactive_after);
        let bucket =
            Bucket::open(&context, "CONSUMERS", description, time_to_live, settings.bucket()).await?;
        Ok(Self { bucket })
    }

    /// Reads the entry at the leader, which has every write that was acknowledged.
    async fn read(&self, name: &ConsumerName) -> Result<Entry, ConsumerStoreError> {
        let subject = self.bucket.subject(&name.to_key());
        let entry = at_leader::last(&self.bucket.stream, &subject).await;
        let entry = entry.map_err(|error| cannot_read(name, error))?;
        entry.map_or_else(|| Ok(Entry::default()), |message| self.entry(&message))
    }

    fn entry(&self, message: &StreamMessage) -> Result<Entry, ConsumerStoreError> {
        let key = self.bucket.key(&message.subject);
        let state = parse(key, Some(&message.headers), &message.payload)?;
        Ok(Entry { state, revision: message.sequence })
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
        let json = serde_json::to_vec(&state).map_err(|error| failed(error.into()))?;
        let written = self.bucket.write(&name.to_key(), Bytes::from(json), expected).await;
        let revision = written.map_err(|error| failed(error.into()))?;
        Ok(revision.map(|revision| StoredConsumer { state, pending: None, revision }))
    }

    /// Sees to it that the user may have this device.
    async fn make_room(&self, name: &ConsumerName, now: u64) -> Result<(), ConsumerStoreError> {
        let failed = |error| ConsumerStoreError::unavailable(format!("count the devices of {name}"), error);
        let (own, all) = (name.to_key(), ConsumerName::keys_of(name.tenant(), Some(name.user())));
        let devices =
            self.bucket.stream.info_with_subjects(self.bucket.subject(&all)).await.map_err(failed)?;
        let devices: Vec<_> = devices.try_collect().await.map_err(failed)?;
        let known = devices.iter().any(|(subject, _)| self.bucket.key(subject) == own);
        if known || devices.len() < MAX_DEVICES {
            return Ok(());
        }
        devices::make_room(self, name, now).await
    }

    /// Removes what lies under these keys and returns how much it was.
    async fn purge(&self, keys: &str) -> Result<u64, ConsumerStoreError> {
        let purged = self.bucket.stream.purge().filter(self.bucket.subject(keys)).await;
        let failed = |error| ConsumerStoreError::unavailable(format!("remove the consumers {keys}"), error);
        Ok(purged.map_err(failed)?.purged)
    }
}

#[async_trait]
impl ConsumerStore for KvConsumers {
    async fn load(&self, name: &ConsumerName) -> Result<Option<StoredConsumer>, ConsumerStoreError> {
        let subject = self.bucket.subject(&name.to_key());
        let entry = match self.bucket.stream.direct_get_last_for_subject(subject).await {
            Ok(message) => self.entry(&message)?,
            // A replica may not have it yet, and a device taken for new would miss what waits for it.
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => self.read(name).await?,
            Err(error) => return Err(cannot_read(name, error)),
        };
        let Entry { state, revision } = entry;
        Ok(state.map(|state| StoredConsumer { state, pending: None, revision }))
    }

    async fn save(
        &self,
        name: &ConsumerName,
        known: Option<&StoredConsumer>,
        change: &Change,
    ) -> Result<StoredConsumer, ConsumerStoreError> {
        if known.is_none() {
            self.make_room(name, change.seen_at).await?;
        }
        let known = known.cloned().map(|known| Entry { state: Some(known.state), revision: known.revision });
        let mut entry = known.unwrap_or_default();
        let mut contention = Contention::over(name);
        loop {
            let state = change.apply(entry.state.as_ref());
            if entry.state.as_ref() == Some(&state) {
                // Whoever wrote this has renewed it, and there is nothing to add.
                return Ok(StoredConsumer { state, pending: None, revision: entry.revision });
            }
            if let Some(saved) = self.write(name, state, entry.revision).await? {
                return Ok(saved);
            }
            contention.pause().await?;
            entry = self.read(name).await?;
        }
    }

    fn list(&self, tenant: &Tenant, user: Option<&str>) -> ConsumerList {
        listing::list(self.bucket.clone(), ConsumerName::keys_of(tenant, user))
    }

    async fn reset(
        &self,
        name: &ConsumerName,
        position: Position,
    ) -> Result<Option<StoredConsumer>, ConsumerStoreError> {
        let mut contention = Contention::over(name);
        loop {
            let Entry { state: Some(state), revision } = self.read(name).await? else { return Ok(None) };
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

/// The state in an entry, or `None` if the entry says that there is none.
fn parse(
    key: &str,
    headers: Option<&HeaderMap>,
    json: &[u8],
) -> Result<Option<ConsumerState>, ConsumerStoreError> {
    if is_removal(headers) {
        return Ok(None);
    }
    let state = json::read(json);
    state.map(Some).map_err(|source| ConsumerStoreError::Damaged { key: key.to_owned(), source })
}

fn cannot_read(name: &ConsumerName, error: impl Into<async_nats::Error>) -> ConsumerStoreError {
    ConsumerStoreError::unavailable(format!("read consumer {name}"), error)
}
