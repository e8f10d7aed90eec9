//! Saves what Tidings has in JetStream while everything runs, and puts it into an empty one.
//!
//! # The cut
//!
//! Streams cannot be stopped together, so they are saved one after another, in an order in which nothing that is saved refers to
//! what is not ([`Backups::parts`]); each is saved as it was at one moment. Restored, they look like after a crash, when what is
//! derived lags behind what it is derived from, and everything that Tidings does after a crash applies:
//!
//! 1. how far projectors have acknowledged `EVENTS`: no further than what the envelopes saved later hold;
//! 2. `DELIVERIES`: nothing is noted as read by a dispatcher that is not in the envelopes saved later; it is read again;
//! 3. `CONSUMERS`: no position lies behind the end of the envelopes;
//! 4. `PLACEMENTS`, which the notices in `ENVELOPES` correct; if a tenant's place has changed when the envelopes are saved, both
//!    are saved again, as two shards would say different things of it;
//! 5. `ENVELOPES`; then `REJECTED` and the terms in `PROJECTORS`, of at least all these envelopes;
//! 6. `EVENTS`: every event that any of it names. What is not in `ENVELOPES` yet is projected after the restore;
//! 7. `SCHEDULED`: it has everything that `EVENTS` has taken from it, or more, which is taken then;
//! 8. `CATALOGS`, `USERS`, `KEYS` and `CONTACTS`, which refer to nothing, as new as can be; and whose envelopes were purged since.
//!
//! What a fallback has sent since `DELIVERIES` was saved is not known after a restore. If it waits there, it is sent once more, under
//! the same id, by which its receiver knows it; rather that than never. Nothing else is sent twice: what is decided stays
//! decided, as a fact, and of envelopes that were read before none is read as a new one (`Deliveries::continue_at`). With `Until`
//! the envelopes that are made again are those of a rebuild, which dispatchers pass over; what waits for an event that is not
//! there any more is found missing when it is due, and skipped.
//!
//! Receipts and leases are not saved: they are of use for minutes, and may be missing at any time.
//!
//! # Why nats-server's own snapshots, and not only they
//!
//! This was decided by reading nats-server 2.15.1 (`stream_backup.go`); the two ways were not measured against each other.
//! Messages that are read and published again lose their sequences and times, on which positions, retention and expiry rest. A
//! snapshot (`STREAM.SNAPSHOT`, what `nats stream backup` takes) keeps them. But it is no cut of a stream whose messages replace
//! each other: nats-server remembers the last sequence and then reads message after message. One that is
//! replaced meanwhile is missing, and its replacement, behind that sequence, is, too; of a busy bucket a snapshot lacks the
//! keys that were written just then. Therefore the tail of such streams is read behind the snapshot until there is no more
//! ([`Tail`]), and published behind it in a restore: every key is there, as it was at some moment of the backup. In `ENVELOPES`
//! only `latest` envelopes replace each other; the event of the replacement is projected after the restore.
//!
//! # A new life
//!
//! A restored stream of envelopes has another epoch, and names the one that it continues (`nats::restored`): a position up to
//! the cut continues exactly, a later one is told a gap. `EVENTS` keeps its epoch, which the origins of all envelopes name, and
//! begins another life (`topology::lives`).
//!
//! `EVENTS` is marked until everything is done, and no process uses streams that are. A restore that was interrupted is
//! known by that, and begins again from nothing.

mod error;
mod restore;
mod rewind;
mod snapshot;
mod tail;
mod upload;

use std::collections::BTreeMap;

use async_nats::Client;
use async_nats::jetstream::context::RequestErrorKind;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{Context, ErrorCode};
use serde_json::{Value, json};
use tidings_model::{Place, ShardNumber, Tenant};

pub use self::error::BackupError;
pub use self::restore::{Restore, Restored, purged_address};
pub use self::rewind::Until;
pub use self::snapshot::{SavedStream, Snapshot};
pub use self::tail::{SavedMessage, Tail};
pub use self::upload::Upload;

use crate::deliveries::DELIVERIES;
use crate::nats::Missing;
use crate::placements::Placements;
use crate::topology::{ENVELOPES, EVENTS, REJECTED, SCHEDULED, Settings};

/// The most shards that there may be.
const SHARDS: u16 = 64;

/// What of a stream is saved behind its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// Nothing: its messages do not replace each other.
    Nothing,
    /// Everything: its messages replace each other.
    Everything,
    /// Whose envelopes were purged, up to the end of the backup: a restore purges again what was purged meanwhile, and one that
    /// projects all events again, all of it.
    Purges,
}

/// A stream of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    name: String,
    behind: Behind,
}

impl Part {
    fn new(name: &str, behind: Behind) -> Self {
        Self { name: name.to_owned(), behind }
    }

    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is saved behind its snapshot.
    #[must_use]
    pub fn behind(&self) -> Behind {
        self.behind
    }

    /// The shard whose envelopes it has.
    #[must_use]
    pub fn shard(&self) -> Option<ShardNumber> {
        shard_of(&self.name)
    }

    /// Whether it has the events.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.name == EVENTS
    }

    /// Whether it is the bucket of placements.
    #[must_use]
    pub fn has_placements(&self) -> bool {
        self.name == "KV_PLACEMENTS"
    }
}

/// The shard whose envelopes this stream has.
fn shard_of(stream: &str) -> Option<ShardNumber> {
    ShardNumber::of(stream, ENVELOPES)
}

/// Every stream that may be in a backup, in the order in which they are saved.
fn all_parts() -> Vec<Part> {
    let bucket = |name: &str| Part::new(name, Behind::Everything);
    let envelopes = |shard| Part::new(&ShardNumber(shard).name(ENVELOPES), Behind::Purges);
    [bucket(DELIVERIES), bucket("KV_CONSUMERS"), bucket("KV_PLACEMENTS")]
        .into_iter()
        .chain((0..SHARDS).map(envelopes))
        .chain([bucket(REJECTED), bucket("KV_PROJECTORS"), Part::new(EVENTS, Behind::Nothing)])
        .chain([SCHEDULED, "KV_CATALOGS", "KV_USERS", "KV_KEYS", "KV_PREFERENCES", "KV_CONTACTS"].map(bucket))
        .collect()
}

/// Saves streams.
#[derive(Debug, Clone)]
pub struct Backups {
    client: Client,
    context: Context,
    settings: Settings,
    /// What sends the parts of restored streams, if it is not the client.
    sender: Option<Client>,
}

impl Backups {
    /// Fails if the server's snapshots are of another kind.
    pub fn new(client: &Client, settings: &Settings) -> Result<Self, BackupError> {
        if !client.is_server_compatible(2, 15, 0) {
            return Err(BackupError::OldServer { found: client.server_info().version });
        }
        let (client, context) = (client.clone(), settings.context(client));
        Ok(Self { client, context, settings: settings.clone(), sender: None })
    }

    /// Has another client send the parts of restored streams: that of an account which the accounts of streams import from.
    #[must_use]
    pub fn with_sender(self, sender: Option<Client>) -> Self {
        Self { sender, ..self }
    }

    /// The streams that there are, in the order in which they are saved.
    pub async fn parts(&self) -> Result<Vec<Part>, BackupError> {
        let mut found = Vec::new();
        for part in all_parts() {
            if self.metadata(&part.name).await?.is_some() {
                found.push(part);
            }
        }
        Ok(found)
    }

    /// Begins to save a stream; with its consumers, if these are those of users.
    pub async fn save(&self, part: &Part, has_consumers: bool) -> Result<Snapshot, BackupError> {
        Snapshot::open(&self.client, &self.context, &part.name, has_consumers).await
    }

    /// Begins to read what a stream has stored since it was saved.
    pub async fn tail(&self, part: &Part, saved: &SavedStream) -> Result<Tail, BackupError> {
        Tail::open(&self.context, part, saved).await
    }

    /// Up to where this durable consumer of `EVENTS` has acknowledged.
    pub async fn acknowledged(&self, consumer: &str) -> Result<u64, BackupError> {
        let wanted = format!("CONSUMER.INFO.{EVENTS}.{consumer}");
        let info: Response<Value> = self.request(EVENTS, &wanted, &json!({})).await?;
        match info {
            Response::Ok(info) => Ok(info["ack_floor"]["stream_seq"].as_u64().unwrap_or_default()),
            Response::Err { error } if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND => Ok(0),
            Response::Err { error } => Err(BackupError::refused("read consumers of", EVENTS, error)),
        }
    }

    /// Where each tenant's envelopes are now.
    pub async fn places(&self) -> Result<BTreeMap<Tenant, Place>, BackupError> {
        let placements = Placements::open(&self.context, self.settings.bucket(), Missing::Awaited).await?;
        let all = placements.all().await?.placements;
        Ok(all.into_iter().map(|(tenant, placement)| (tenant, placement.current.place)).collect())
    }

    /// A restore into this NATS. Fails if there is anything but what an interrupted restore has left, and removes that.
    /// With `until`, only events up to that moment are restored, and what is made of them is made again.
    pub async fn restore(&self, id: &str, until: Option<Until>) -> Result<Restore, BackupError> {
        Restore::begin(self, id, until).await
    }

    /// The metadata of a stream; `None` if there is no such stream.
    async fn metadata(&self, stream: &str) -> Result<Option<Value>, BackupError> {
        let wanted = format!("STREAM.INFO.{stream}");
        let info: Result<Response<Value>, _> = self.context.request(wanted, &json!({})).await;
        match info {
            Ok(Response::Ok(mut info)) => Ok(Some(info["config"]["metadata"].take())),
            Ok(Response::Err { error }) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
            // An account of fewer shards does not import the others.
            Err(error) if error.kind() == RequestErrorKind::NoResponders && is_optional(stream) => Ok(None),
            Ok(Response::Err { error }) => Err(BackupError::refused("look up", stream, error)),
            Err(error) => Err(BackupError::failed("look up", stream, error)),
        }
    }

    async fn request(
        &self,
        stream: &str,
        subject: &str,
        payload: &Value,
    ) -> Result<Response<Value>, BackupError> {
        let answer = self.context.request(subject.to_owned(), payload).await;
        answer.map_err(|error| BackupError::failed("ask for", stream, error))
    }
}

fn is_optional(stream: &str) -> bool {
    shard_of(stream).is_some_and(|shard| shard != ShardNumber::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_saved_after_what_it_refers_to() {
        let parts = all_parts();
        let at = |name: &str| parts.iter().position(|part| part.name == name).unwrap();
        let last_shard = ShardNumber(SHARDS - 1).name(ENVELOPES);
        for (refers, to) in [
            (DELIVERIES, ENVELOPES),
            // What has been received by then is not sent.
            (DELIVERIES, "KV_CONSUMERS"),
            ("KV_CONSUMERS", ENVELOPES),
            ("KV_PLACEMENTS", ENVELOPES),
            (&*last_shard, EVENTS),
            (&*last_shard, REJECTED),
            (&*last_shard, "KV_PROJECTORS"),
            (REJECTED, EVENTS),
            ("KV_PROJECTORS", EVENTS),
            (EVENTS, SCHEDULED),
        ] {
            assert!(at(refers) < at(to), "{refers} refers to {to}");
        }
    }
}
