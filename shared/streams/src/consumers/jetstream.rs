//! Stores consumers as JetStream durable consumers on `ENVELOPES`, which other NATS clients can read.
//!
//! The position is the consumer's ack floor, so acknowledgements of other clients count. It is moved with the reset API
//! (NATS ADR-60); all other state is in the consumer's metadata. A reset cannot be conditional, hence the leases. A
//! client that acknowledges during a save may receive the same envelopes again, but none is ever skipped. When a stream
//! is recreated, its consumers are gone.
//!
//! The server limits the consumers of a stream (1,000 by default, from 2.15 on), and each costs it memory and files:
//! this store is for up to a thousand users.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::Info;
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::{ConsumerCreateStrictErrorKind, ConsumerErrorKind, Stream};
use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, future};
use tidings_model::{PlacedPosition, ShardNumber, Tenant};

use super::lease::Leases;
use super::state::{Change, ConsumerState};
use super::{
    ConsumerList, ConsumerName, ConsumerSettings, ConsumerStore, ConsumerStoreError, MAX_DEVICES,
    OpenConsumersError, StoredConsumer, devices,
};
use crate::nats::epoch_of;
use crate::topology::Topology;

mod record;

/// Stores durable consumers as JetStream consumers.
#[derive(Debug, Clone)]
pub struct JetStreamConsumers {
    shard: ShardNumber,
    envelopes: Arc<Stream>,
    leases: Leases,
    inactive_after: Duration,
}

impl JetStreamConsumers {
    /// Creates missing buckets and checks existing ones; `ENVELOPES` exists already. Replicas and storage of the
    /// consumers are those of the stream.
    pub async fn open(topology: &Topology, settings: &ConsumerSettings) -> Result<Self, OpenConsumersError> {
        let client = topology.client();
        if !client.is_server_compatible(2, 14, 0) {
            return Err(OpenConsumersError::OldServer { found: client.server_info().version });
        }
        let leases = Leases::open(topology.context(), settings).await?;
        let inactive_after = settings.inactive_after.max(Duration::from_secs(1));
        let (shard, envelopes) = (topology.shard(), Arc::clone(&topology.envelopes));
        Ok(Self { shard, envelopes, leases, inactive_after })
    }

    async fn info(&self, name: &ConsumerName) -> Result<Option<Info>, ConsumerStoreError> {
        match self.envelopes.consumer_info(name.to_consumer()).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(None),
            Err(error) => Err(ConsumerStoreError::unavailable(format!("read consumer {name}"), error)),
        }
    }

    async fn save_alone(
        &self,
        name: &ConsumerName,
        change: &Change,
    ) -> Result<StoredConsumer, ConsumerStoreError> {
        let info = self.info(name).await?;
        let stored = info.as_ref().map(record::stored).transpose()?;
        let state = change.apply(stored.as_ref().map(|stored| &stored.state));
        let filters = record::filter_subjects(name.tenant(), &state, epoch_of(self.envelopes.cached_info()));
        match (info, stored) {
            (Some(info), Some(stored)) if stored.state == state && record::same_filters(&info, &filters) => {
                Ok(stored)
            }
            (Some(info), _) => self.update(name, &info, state, filters).await,
            (None, _) => self.create(name, change, state, filters).await,
        }
    }

    async fn create(
        &self,
        name: &ConsumerName,
        change: &Change,
        state: ConsumerState,
        filters: Vec<String>,
    ) -> Result<StoredConsumer, ConsumerStoreError> {
        self.make_room(name, change.seen_at).await?;
        let config = record::config(name, &state, filters, self.inactive_after)?;
        let created = self.envelopes.create_consumer_strict(config).await;
        let consumer = created.map_err(|error| match error.kind() {
            ConsumerCreateStrictErrorKind::JetStream(reason)
                if reason.error_code() == ErrorCode::MAXIMUM_CONSUMERS_LIMIT =>
            {
                ConsumerStoreError::TooManyConsumers { name: name.clone() }
            }
            _ => ConsumerStoreError::unavailable(format!("create consumer {name}"), error),
        })?;
        self.move_to(name, consumer.cached_info(), state).await
    }

    /// Writes the metadata first: until the consumer has been moved as well, readers use the older of the two
    /// positions.
    async fn update(
        &self,
        name: &ConsumerName,
        info: &Info,
        state: ConsumerState,
        filters: Vec<String>,
    ) -> Result<StoredConsumer, ConsumerStoreError> {
        let inactive_after = record::renewed(info.config.inactive_threshold, self.inactive_after);
        let config = record::config(name, &state, filters, inactive_after)?;
        let updated = self.envelopes.update_consumer(config).await;
        let failed = |error| ConsumerStoreError::unavailable(format!("save consumer {name}"), error);
        self.move_to(name, updated.map_err(failed)?.cached_info(), state).await
    }

    async fn move_to(
        &self,
        name: &ConsumerName,
        info: &Info,
        state: ConsumerState,
    ) -> Result<StoredConsumer, ConsumerStoreError> {
        let sequence = state.position.sequence;
        if info.ack_floor.stream_sequence == sequence {
            return Ok(StoredConsumer { state, pending: Some(record::pending(info)), revision: 0 });
        }
        let moved =
            self.envelopes.reset_consumer(&name.to_consumer(), Some(sequence.saturating_add(1))).await;
        let failed = |error| ConsumerStoreError::unavailable(format!("move consumer {name}"), error);
        let pending = record::pending(&moved.map_err(failed)?.info);
        Ok(StoredConsumer { state, pending: Some(pending), revision: 0 })
    }

    /// Removes devices if necessary, so that the user may have one more.
    async fn make_room(&self, name: &ConsumerName, now: u64) -> Result<(), ConsumerStoreError> {
        let prefix = ConsumerName::consumers_of(name.tenant(), Some(name.user()));
        let names = self.envelopes.consumer_names();
        let devices =
            names.try_filter(|name| future::ready(name.starts_with(&prefix))).try_collect::<Vec<_>>();
        let failed = |error| ConsumerStoreError::unavailable(format!("count the devices of {name}"), error);
        if devices.await.map_err(failed)?.len() < MAX_DEVICES {
            return Ok(());
        }
        devices::make_room(self, name, now).await
    }
}

#[async_trait]
impl ConsumerStore for JetStreamConsumers {
    async fn load(&self, name: &ConsumerName) -> Result<Option<StoredConsumer>, ConsumerStoreError> {
        self.info(name).await?.as_ref().map(record::stored).transpose()
    }

    async fn check(&self) -> Result<bool, ConsumerStoreError> {
        self.leases.check().await
    }

    /// The consumers belong to the stream of one shard.
    fn serves(&self, shard: ShardNumber) -> bool {
        shard == self.shard
    }

    async fn save(
        &self,
        name: &ConsumerName,
        _known: Option<&StoredConsumer>,
        change: &Change,
    ) -> Result<StoredConsumer, ConsumerStoreError> {
        self.leases.alone(name, Box::pin(self.save_alone(name, change))).await
    }

    fn list(&self, tenant: &Tenant, user: Option<&str>) -> ConsumerList {
        let prefix = ConsumerName::consumers_of(tenant, user);
        let action = format!("list the consumers {prefix}");
        let consumers = self.envelopes.consumers().filter_map(move |info| {
            future::ready(match info {
                Ok(info) if info.name.starts_with(&prefix) => Some(record::named(&info)),
                Ok(_) => None,
                Err(error) => Some(Err(ConsumerStoreError::unavailable(action.clone(), error))),
            })
        });
        consumers.boxed()
    }

    async fn reset(
        &self,
        name: &ConsumerName,
        position: PlacedPosition,
    ) -> Result<Option<StoredConsumer>, ConsumerStoreError> {
        let reset = async {
            let Some(info) = self.info(name).await? else { return Ok(None) };
            let state = record::stored(&info)?.state.reset_to(position);
            let filters = info.config.filter_subjects.clone();
            self.update(name, &info, state, filters).await.map(Some)
        };
        self.leases.alone(name, reset).await
    }

    async fn remove(&self, name: &ConsumerName) -> Result<bool, ConsumerStoreError> {
        match self.envelopes.delete_consumer(&name.to_consumer()).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_found(&error.kind()) => Ok(false),
            Err(error) => Err(ConsumerStoreError::unavailable(format!("remove consumer {name}"), error)),
        }
    }

    async fn purge_user(&self, tenant: &Tenant, user: &str) -> Result<u64, ConsumerStoreError> {
        let prefix = ConsumerName::consumers_of(tenant, Some(user));
        let failed = |error: async_nats::Error| {
            ConsumerStoreError::unavailable(format!("remove the consumers {prefix}"), error)
        };
        let names = self.envelopes.consumer_names();
        let names = names.try_filter(|name| future::ready(name.starts_with(&prefix))).try_collect::<Vec<_>>();
        let mut removed = 0;
        for name in names.await.map_err(|error| failed(error.into()))? {
            match self.envelopes.delete_consumer(&name).await {
                Ok(_) => removed += 1,
                Err(error) if is_not_found(&error.kind()) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(removed)
    }
}

fn is_not_found(kind: &ConsumerErrorKind) -> bool {
    matches!(kind, ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND)
}
