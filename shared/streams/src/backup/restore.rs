//! Puts saved streams into an empty NATS, and makes one whole of them.

use std::collections::BTreeMap;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::response::Response;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tidings_model::{Address, Position, ShardNumber, Tenant};

use super::upload::{UNMAPPED, Way};
use super::{BackupError, Backups, SavedMessage, SavedStream, Until, Upload, all_parts, shard_of};
use crate::deliveries::{DELIVERIES, Deliveries};
use crate::envelopes::purged;
use crate::events::continue_behind;
use crate::nats::restored::{BACKUP, CONTINUES, Continues, EPOCH, Metadata, RESTORING};
use crate::topology::{ENVELOPES, EVENTS, REJECTED, SCHEDULED, Topology};

/// A restore that has begun.
pub struct Restore {
    backups: Backups,
    /// Names the backup.
    id: String,
    /// Only events up to this moment are restored, and what is made of them is made again.
    until: Option<Until>,
}

/// What makes one whole of restored streams.
#[derive(Debug)]
pub struct Restored<'r> {
    /// The streams.
    pub streams: &'r [SavedStream],
    /// Up to where each durable consumer of `EVENTS` had acknowledged before the first stream was saved.
    pub acknowledged: &'r [(String, u64)],
}

impl Restore {
    pub(super) async fn begin(
        backups: &Backups,
        id: &str,
        until: Option<Until>,
    ) -> Result<Self, BackupError> {
        let mut found = Vec::new();
        for part in all_parts() {
            if let Some(metadata) = backups.metadata(part.name()).await? {
                found.push((part.name().to_owned(), metadata));
            }
        }
        let has = |metadata: &Value, key: &str| metadata.get(key).is_some();
        let is_interrupted = match found.iter().find(|(name, _)| name == EVENTS) {
            // Nothing but the restore has used any of it.
            Some((_, metadata)) => has(metadata, RESTORING),
            None => found.iter().all(|(_, metadata)| has(metadata, BACKUP)),
        };
        if !is_interrupted {
            let names: Vec<_> = found.into_iter().map(|(name, _)| name).collect();
            return Err(BackupError::NotEmpty { streams: names.join(", ") });
        }
        for (name, _) in &found {
            match backups.request(name, &format!("STREAM.DELETE.{name}"), &json!({})).await? {
                Response::Err { error } if error.error_code() != ErrorCode::STREAM_NOT_FOUND => {
                    return Err(BackupError::refused("remove", name, error));
                }
                _ => {}
            }
        }
        Ok(Self { backups: backups.clone(), id: id.to_owned(), until })
    }

    /// The streams in the order in which they are restored: `EVENTS` takes messages from `SCHEDULED`, and says to all processes
    /// that the restore is not complete. What is made of events is not among them if it is made again.
    #[must_use]
    pub fn order<'s>(&self, streams: &'s [SavedStream]) -> Vec<&'s SavedStream> {
        let rank = |saved: &SavedStream| match saved.name() {
            SCHEDULED => 0,
            EVENTS => 1,
            _ => 2,
        };
        let is_made_again = |saved: &SavedStream| saved.has_envelopes() || saved.name() == REJECTED;
        let is_wanted = |saved: &&SavedStream| self.until.is_none() || !is_made_again(saved);
        let mut ordered: Vec<_> = streams.iter().filter(is_wanted).collect();
        ordered.sort_by_key(|saved| rank(saved));
        ordered
    }

    /// Begins to restore a stream.
    pub async fn upload(&self, saved: &SavedStream) -> Result<Upload, BackupError> {
        let stream = saved.name();
        if !all_parts().iter().any(|part| part.name() == stream) {
            return Err(BackupError::interrupted("restored", stream, "it is no stream of Tidings"));
        }
        let wanted = json!({ "config": self.config(saved), "state": saved.state() });
        let subject = format!("STREAM.RESTORE.{stream}");
        // Before the request: what sends answers learns of where they go by the same way.
        let way = Way::open(&self.backups, stream).await?;
        match self.backups.request(stream, &subject, &wanted).await? {
            Response::Ok(answer) => {
                let target = answer["deliver_subject"].as_str().unwrap_or_default().to_owned();
                Ok(Upload::new(way, saved, target))
            }
            Response::Err { error } => Err(BackupError::refused("restore", stream, error)),
        }
    }

    /// The configuration of the restored stream.
    fn config(&self, saved: &SavedStream) -> Value {
        let mut config = saved.config().clone();
        let settings = &self.backups.settings;
        config["num_replicas"] = settings.replicas.into();
        config["storage"] = if settings.in_memory { "memory" } else { "file" }.into();
        let mut metadata = match config["metadata"].take() {
            Value::Object(metadata) => metadata,
            _ => Map::new(),
        };
        // The server's own are not to be set.
        metadata.retain(|name, _| !name.starts_with("_nats.") && name != EPOCH);
        metadata.insert(BACKUP.to_owned(), self.id.clone().into());
        if saved.name() == EVENTS {
            metadata.insert(EPOCH.to_owned(), saved.end().epoch.to_string().into());
        }
        if saved.name() == EVENTS {
            if self.until.is_some() {
                // It takes nothing from `SCHEDULED` before that is taken back, too.
                config["sources"] = Value::Null;
            }
            metadata.insert(RESTORING.to_owned(), self.id.clone().into());
        } else if shard_of(saved.name()).is_some() {
            let known: Metadata = metadata
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect();
            let continues = Continues::of(&known).saved_at(saved.end());
            metadata.insert(CONTINUES.to_owned(), continues.to_text().into());
        }
        config["metadata"] = metadata.into();
        config
    }

    /// Stores messages of a stream's tail behind it.
    pub async fn publish(&self, saved: &SavedStream, messages: &[SavedMessage]) -> Result<(), BackupError> {
        let failed = |error: async_nats::Error| BackupError::failed("restore", saved.name(), error);
        let context = &self.backups.context;
        let mut answers = Vec::with_capacity(messages.len());
        for message in messages {
            let subject = self.subject(&message.subject);
            let payload = Bytes::copy_from_slice(&message.payload);
            let sent = context.publish_with_headers(subject, message.headers(), payload).await;
            answers.push(sent.map_err(|error| failed(error.into()))?);
        }
        for answer in answers {
            answer.await.map_err(|error| failed(error.into()))?;
        }
        Ok(())
    }

    /// Where a message of a stream is published: the bucket `CATALOGS` is written under the prefix of the API.
    fn subject(&self, subject: &str) -> String {
        let prefix = &self.backups.settings.api_prefix;
        let is_prefixed = prefix != UNMAPPED && subject.starts_with("$KV.CATALOGS.");
        if is_prefixed { format!("{prefix}.{subject}") } else { subject.to_owned() }
    }

    /// The streams, for what is still to be done before the restore is complete: in `EVENTS` another life begins, placements
    /// are those of the restored envelopes, and projectors begin where they were.
    pub async fn join(&self, restored: &Restored<'_>) -> Result<Topology, BackupError> {
        let last = if let Some(until) = &self.until {
            self.backups.rewind(until).await?
        } else {
            let events = restored.streams.iter().find(|saved| saved.name() == EVENTS);
            events.map_or(0, |events| events.end().sequence)
        };
        let topology = Topology::during_restore(&self.backups.client, &self.backups.settings).await?;
        let begun = topology.begin_life(last).await;
        begun.map_err(|error| BackupError::failed("begin another life of", EVENTS, error))?;
        if self.until.is_none() {
            self.translate(&topology, restored.streams).await?;
        }
        for (consumer, acknowledged) in restored.acknowledged {
            // What is projected again is not read live.
            let acknowledged = if self.until.is_some() { last } else { *acknowledged };
            let continued = continue_behind(&topology, consumer, acknowledged).await;
            continued.map_err(|error| BackupError::failed("restore a consumer of", EVENTS, error))?;
        }
        Ok(topology)
    }

    /// Turns the positions of envelopes, in placements and of dispatchers, into those of the restored streams.
    async fn translate(&self, topology: &Topology, streams: &[SavedStream]) -> Result<(), BackupError> {
        let mut continued = Vec::new();
        for shard in streams.iter().filter_map(|saved| shard_of(saved.name())) {
            let continues = topology.on(shard).await?.continues().await;
            let failed = |error| BackupError::failed("look up", &shard.name(ENVELOPES), error);
            continued.push((shard, continues.map_err(failed)?));
        }
        let translate = |position: Position| {
            continued.iter().find_map(|(_, (epoch, continues))| continues.translate(position, *epoch))
        };
        let placements = topology.placements();
        for tenant in placements.all().await?.placements.keys() {
            let change = |placement: &mut tidings_model::Placement| {
                placement.translate(|position| {
                    translate(position).map_or(position, |continued| continued.position)
                });
            };
            placements.change(tenant, ShardNumber::default(), change).await?;
        }
        if let Some(deliveries) = Deliveries::find(topology).await? {
            for (shard, _) in &continued {
                let to =
                    |position| translate(position).map(|continued| (continued.position, continued.is_lost));
                let continues = deliveries.continue_at(*shard, to).await;
                continues
                    .map_err(|error| BackupError::failed("translate positions in", DELIVERIES, error))?;
            }
        }
        Ok(())
    }

    /// Requests that projectors make the envelopes of these tenants from all events.
    pub async fn request_envelopes(
        &self,
        topology: &Topology,
        tenants: &BTreeMap<Tenant, ShardNumber>,
        now: u64,
    ) -> Result<(), BackupError> {
        let placements = topology.placements();
        let recorded = placements.all().await?.placements;
        for (tenant, placement) in &recorded {
            let shard = placement.current.place.shard;
            placements.change(tenant, shard, |placement| placement.begin_again(now)).await?;
        }
        for (tenant, shard) in tenants.iter().filter(|(tenant, _)| !recorded.contains_key(*tenant)) {
            placements.change(tenant, *shard, |placement| placement.begin_again(now)).await?;
        }
        Ok(())
    }

    /// The restore is complete: from now on processes use the streams.
    pub async fn complete(self) -> Result<(), BackupError> {
        let failed = |error| BackupError::refused("complete", EVENTS, error);
        let info = self.backups.request(EVENTS, &format!("STREAM.INFO.{EVENTS}"), &json!({})).await?;
        let mut config = match info {
            Response::Ok(mut info) => info["config"].take(),
            Response::Err { error } => return Err(failed(error)),
        };
        if let Some(metadata) = config["metadata"].as_object_mut() {
            metadata.retain(|name, _| name != RESTORING && !name.starts_with("_nats."));
        }
        match self.backups.request(EVENTS, &format!("STREAM.UPDATE.{EVENTS}"), &config).await? {
            Response::Ok(_) => Ok(()),
            Response::Err { error } => Err(failed(error)),
        }
    }
}

/// Whose envelopes a message of the tail of a stream of envelopes says were purged.
#[must_use]
pub fn purged_address(message: &SavedMessage) -> Option<(Tenant, Address)> {
    purged(&message.subject, Some(&message.headers()), &message.payload)
}
