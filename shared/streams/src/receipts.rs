//! Receipts: which events gateways have stored lately under which id, the key-value bucket `RECEIPTS`.
//!
//! A gateway answers a repetition with the sequence of the first event, and does not store it again. Only that answer
//! rests on receipts: that an event counts once is decided by the projector, whatever is stored how often. So a receipt may
//! be missing, as after a gateway was killed between the event and its receipt; and a receipt is believed only if `EVENTS`
//! still has the event that it names, so that none outlives an event that NATS has lost.
//!
//! A receipt lasts for `streams.duplicate_window`, after which its id counts as a new one for the projector, too. The key is
//! `<tenant>.<hash of source and id>`; a different event with the same hash is noticed, since the event itself is read.

use std::fmt::Write as _;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::message::StreamMessage;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tidings_model::{Epoch, Event, Identity, Position};

use crate::events::raw_event;
use crate::nats::record::{self, Record};
use crate::nats::{Bucket, BucketSettings, Missing, Purpose, TopologyError, leader_get};
use crate::topology::Topology;

/// How many bytes of the hash a key has.
const HASH_BYTES: usize = 16;
/// How many times a receipt is written after others came first.
const ATTEMPTS: u32 = 4;

/// The bucket `RECEIPTS`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Receipts {
    bucket: Bucket,
}

/// An event that was stored earlier under the same identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// Its sequence in `EVENTS`.
    pub sequence: u64,
    /// Whether its content is the same.
    pub is_same: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    sequence: u64,
}

impl Record for Receipt {
    const VERSION: u64 = 1;
}

impl Receipts {
    /// Creates the bucket if it is missing, checks it if it exists. Receipts last for `window`.
    pub async fn open(
        context: &Context,
        settings: BucketSettings,
        window: Duration,
    ) -> Result<Self, TopologyError> {
        let purpose = Purpose {
            name: "RECEIPTS",
            description: "Tidings: events that gateways have stored for producers, by their ids",
        };
        let opening = Bucket::open(context, purpose, Some(window), settings, Missing::Created);
        Ok(Self { bucket: Box::pin(opening).await? })
    }

    /// Recreates the bucket if it has disappeared.
    pub async fn check(&self) -> Result<(), TopologyError> {
        self.bucket.restore().await.map(drop)
    }

    /// The event that was stored earlier under the identity of this one, as far as a receipt says so.
    pub async fn find(&self, topology: &Topology, event: &Event) -> Result<Option<Earlier>, ReceiptError> {
        let Some(key) = key(event) else { return Ok(None) };
        let Some(message) = self.bucket.hint(&key).await.map_err(ReceiptError::new)? else { return Ok(None) };
        earlier(topology, event, &message).await
    }

    /// Writes the receipt of an event that was stored with this sequence. Returns the event of an earlier receipt, if there
    /// is one.
    pub async fn keep(
        &self,
        topology: &Topology,
        event: &Event,
        sequence: u64,
    ) -> Result<Option<Earlier>, ReceiptError> {
        let Some(key) = key(event) else { return Ok(None) };
        let value = Bytes::from(record::encode(&Receipt { sequence }).map_err(ReceiptError::new)?);
        let mut expected = 0;
        for _ in 0..ATTEMPTS {
            let written = self.bucket.write(&key, value.clone(), expected).await;
            if written.map_err(ReceiptError::new)?.is_some() {
                return Ok(None);
            }
            let Some(message) = self.bucket.last(&key).await.map_err(ReceiptError::new)? else {
                // It has expired meanwhile.
                expected = 0;
                continue;
            };
            let found = earlier(topology, event, &message).await?;
            if found.is_some_and(|found| found.sequence != sequence) {
                return Ok(found);
            }
            expected = message.sequence;
        }
        // Others kept writing: the next repetition finds one of theirs.
        Ok(None)
    }
}

/// The event that a receipt names, if `EVENTS` has it and it has the identity of `event`.
async fn earlier(
    topology: &Topology,
    event: &Event,
    receipt: &StreamMessage,
) -> Result<Option<Earlier>, ReceiptError> {
    // An entry that cannot be read says nothing; it is overwritten.
    let Ok(Receipt { sequence }) = record::decode(&receipt.payload) else { return Ok(None) };
    let found = leader_get::at(&topology.events, sequence).await.map_err(ReceiptError::new)?;
    let Some(message) = found else { return Ok(None) };
    let position = Position { epoch: Epoch(0), sequence };
    let (headers, payload) = (Some(&message.headers), message.payload);
    let stored = raw_event(&message.subject, headers, payload, position, message.time).read();
    let is_it = |stored: &Event| stored.tenant == event.tenant && stored.identity() == event.identity();
    let stored = stored.ok().filter(is_it);
    Ok(stored.map(|stored| Earlier { sequence, is_same: stored.says_the_same(event) }))
}

/// The key of an event's receipt; `None` for an event that has no repetitions.
fn key(event: &Event) -> Option<String> {
    let mut hash = Sha256::new();
    match event.identity()? {
        Identity::Producer(source, id) => {
            let source_length =
                source.map(str::len).map_or(-1, |length| i64::try_from(length).unwrap_or(i64::MAX));
            hash.update(source_length.to_be_bytes());
            hash.update(source.unwrap_or_default());
            hash.update(id);
        }
        Identity::Client(_) | Identity::Copy(_) => return None,
    }
    let mut key = format!("{}.", event.tenant);
    for byte in hash.finalize().iter().take(HASH_BYTES) {
        let _ = write!(key, "{byte:02x}");
    }
    Some(key)
}

/// A receipt cannot be read or written now.
#[derive(Debug, thiserror::Error)]
#[error("the receipt of an event cannot be read or written now")]
pub struct ReceiptError(#[source] async_nats::Error);

impl ReceiptError {
    fn new(source: impl Into<async_nats::Error>) -> Self {
        Self(source.into())
    }
}

#[cfg(test)]
mod tests {
    use tidings_model::RawEvent;
    use time::OffsetDateTime;

    use super::*;

    #[test]
    fn each_identity_has_a_key_of_its_own() {
        let key_of = |tenant: &str, headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let raw = RawEvent {
                subject: format!("events.{tenant}.note.added"),
                headers: headers.collect(),
                payload: "{}".into(),
                position: Position { epoch: Epoch(1), sequence: 1 },
                stored_at: OffsetDateTime::UNIX_EPOCH,
            };
            key(&raw.read().unwrap())
        };
        let cloud_event = |tenant: &str, source: &str, id: &str| {
            key_of(
                tenant,
                &[("ce-specversion", "1.0"), ("ce-type", "t"), ("ce-source", source), ("ce-id", id)],
            )
        };
        let one = cloud_event("ops", "/a", "1").unwrap();
        assert_eq!(cloud_event("ops", "/a", "1"), Some(one.clone()));
        assert_eq!((one.len(), one.starts_with("ops.")), (4 + 32, true));
        let others = [
            cloud_event("cnc", "/a", "1"),
            cloud_event("ops", "/a1", ""),
            cloud_event("ops", "/", "a1"),
            cloud_event("ops", "/a", "2"),
            key_of("ops", &[("Nats-Msg-Id", "/a1")]),
            key_of("ops", &[("Nats-Msg-Id", "1")]),
        ];
        for other in others {
            assert_ne!(other, Some(one.clone()));
        }
        assert_eq!(key_of("ops", &[]), None, "an event without an id has no repetitions");
    }
}
