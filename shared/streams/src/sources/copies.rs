//! Writes the copies of a source: each once and in order, or not at all.
//!
//! A copy says which copy of the source it expects to be the last one in `EVENTS`. The leader of the stream compares that
//! before it stores the copy, so a second copier, or a message of one that was stopped long ago, changes nothing. Whoever
//! is refused reads again what the last copy is. Several copies are stored as a batch, of which the first says what it
//! expects ([`super::batch`]).

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::stream::{LastRawMessageError, RawMessageError};
use async_nats::jetstream::{self, Context};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidings_model::{SourcePosition, Tenant, copies_of, copy_subject, headers};

use super::SourceMessage;
use super::batch::{BatchError, Batches};
use super::new_copy::{NewCopy, identify};
use crate::nats::record::{self, Record, RecordError};
use crate::nats::{Bucket, TopologyError, epoch_of, is_permanent, leader_get, reaching, set, was_beaten};
use crate::topology::Topology;

/// How far a source is copied: as a process knows, and as it lies in the bucket `PROJECTORS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopiedThrough {
    /// The place in the source.
    source: String,
    /// The creation of `EVENTS`, and the sequence of the copy there; 0 if nothing is copied yet.
    events: u64,
    sequence: u64,
}

impl Record for CopiedThrough {
    const VERSION: u64 = 1;
}

impl CopiedThrough {
    fn place(&self) -> Option<SourcePosition> {
        self.source.parse().ok()
    }

    fn is_after(&self, other: &Self) -> bool {
        self.place().zip(other.place()).is_some_and(|(place, other)| place.is_after(&other))
    }
}

/// Writes the copies of one source.
pub struct CopyWriter {
    topology: Topology,
    context: Context,
    batches: Batches,
    bucket: Bucket,
    source: String,
    /// Through where the source is copied; `None` if nothing is.
    through: Option<SourcePosition>,
    /// The sequence in `EVENTS` of the last copy, and of the last one that the record names.
    last: u64,
    recorded: Option<CopiedThrough>,
    /// The revision of the record.
    revision: u64,
}

impl CopyWriter {
    /// Finds how far the source of this name is copied from this stream. `own` is how far this process has copied it.
    pub async fn open(
        topology: &Topology,
        source: &str,
        stream: &str,
        own: Option<&CopiedThrough>,
    ) -> Result<Self, OpenCopiesError> {
        let bucket = topology.projectors().await?;
        let key = key(source);
        let stored = bucket.last(&key).await.map_err(OpenCopiesError::Bucket)?;
        let (revision, recorded) = match stored {
            Some(message) => (message.sequence, Some(record::decode::<CopiedThrough>(&message.payload)?)),
            None => (0, None),
        };
        let copy = leader_get::last(&topology.events, &copies_of(source)).await;
        let copy = copy.map_err(OpenCopiesError::LastCopy)?;
        let (last, copied) = match &copy {
            Some(message) => (message.sequence, place_of(&message.headers)),
            None => (0, None),
        };
        let newer = own.filter(|own| recorded.as_ref().is_none_or(|recorded| own.is_after(recorded)));
        let known = newer.or(recorded.as_ref());
        let is_rolled_back = match known {
            Some(known) => has_lost(topology, known).await?,
            None => false,
        };
        if is_rolled_back {
            tracing::error!(
                source,
                "stream EVENTS was rolled back to an older state; copying again what it has lost of the source"
            );
        }
        let through = resumed(known.and_then(CopiedThrough::place), copied, is_rolled_back);
        if let Some(other) = through.as_ref().filter(|through| through.stream != stream) {
            return Err(OpenCopiesError::OtherStream {
                source_name: source.to_owned(),
                stream: stream.to_owned(),
                copied: other.stream.clone(),
            });
        }
        let context = jetstream::with_prefix(topology.client(), &topology.settings().api_prefix);
        let batches = Batches::new(topology.client());
        let topology = topology.clone();
        Ok(Self {
            topology,
            context,
            batches,
            bucket,
            source: source.to_owned(),
            through,
            last,
            recorded,
            revision,
        })
    }

    /// Through where the source is copied; `None` if nothing is.
    #[must_use]
    pub fn through(&self) -> Option<&SourcePosition> {
        self.through.as_ref()
    }

    /// How far this process has copied, for [`CopyWriter::open`].
    #[must_use]
    pub fn copied(&self) -> Option<CopiedThrough> {
        let source = self.through.as_ref()?.to_string();
        let events = epoch_of(self.topology.events.cached_info()).0;
        Some(CopiedThrough { source, events, sequence: self.last })
    }

    /// Skips a source through this place, of which nothing is copied yet.
    pub async fn begin_after(&mut self, place: SourcePosition) -> Result<(), CopyError> {
        self.through = Some(place);
        self.record().await
    }

    /// How many copies [`CopyWriter::store_all`] may be given at once.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        if self.topology.events.cached_info().config.allow_batch_publish { Batches::LONGEST } else { 1 }
    }

    /// Stores copies of messages, of which each is stored only if all before it are. After an error, the first ones may be
    /// stored.
    pub async fn store_all(&mut self, tenant: &Tenant, copies: &[NewCopy<'_>]) -> Result<(), CopyError> {
        let Some(last) = copies.last() else { return Ok(()) };
        if let [copy] = copies {
            let map = copy.headers();
            let subject = copy_subject(tenant, copy.name.ok(), &self.source);
            return self.publish(copy.message, subject, map, copy.message.payload.clone()).await;
        }
        let outgoing = copies.iter().map(|copy| {
            let mut map = copy.headers();
            identify(copy.message, &self.source, &mut map);
            (copy_subject(tenant, copy.name.ok(), &self.source), map, copy.message.payload.clone())
        });
        let mut outgoing: Vec<_> = outgoing.collect();
        if let Some((_, map, _)) = outgoing.first_mut() {
            self.expect(map);
        }
        let stored = self.batches.store(outgoing).await;
        self.last = stored.map_err(|error| CopyError::of_batch(&self.source, error))?;
        self.through = Some(last.message.place.clone());
        Ok(())
    }

    /// Stores, for `REJECTED`, that there was a message, with the reason why it could not be copied as it is.
    pub async fn store_outline(
        &mut self,
        message: &SourceMessage,
        tenant: &Tenant,
        reason: &str,
    ) -> Result<(), CopyError> {
        let mut map = HeaderMap::new();
        set(&mut map, headers::UNMAPPED, reason);
        self.publish(message, copy_subject(tenant, None, &self.source), map, Bytes::new()).await
    }

    async fn publish(
        &mut self,
        message: &SourceMessage,
        subject: String,
        mut map: HeaderMap,
        payload: Bytes,
    ) -> Result<(), CopyError> {
        identify(message, &self.source, &mut map);
        self.expect(&mut map);
        let refused = |error| CopyError::new(&self.source, error);
        let sent = self.context.publish_with_headers(subject, map, payload).await.map_err(refused)?;
        self.last = sent.await.map_err(refused)?.sequence;
        self.through = Some(message.place.clone());
        Ok(())
    }

    /// Has the leader of `EVENTS` compare what the last copy is.
    fn expect(&self, map: &mut HeaderMap) {
        set(map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE, self.last.to_string());
        set(map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT, copies_of(&self.source));
    }

    /// Records how far the source is copied, if that has changed.
    pub async fn record(&mut self) -> Result<(), CopyError> {
        let Some(now) = self.copied() else { return Ok(()) };
        if self.recorded.as_ref() == Some(&now) {
            return Ok(());
        }
        let failed =
            |error: async_nats::Error| CopyError::Record { name: self.source.clone(), source: error };
        let json = Bytes::from(record::encode(&now).map_err(|error| failed(error.into()))?);
        let written = self.bucket.write(&key(&self.source), json, self.revision).await;
        match written.map_err(|error| failed(error.into()))? {
            Some(revision) => {
                (self.revision, self.recorded) = (revision, Some(now));
                Ok(())
            }
            None => Err(CopyError::Overtaken { name: self.source.clone() }),
        }
    }
}

fn key(source: &str) -> String {
    format!("copied_{source}")
}

fn place_of(headers: &HeaderMap) -> Option<SourcePosition> {
    headers.get(headers::SOURCE_POSITION)?.as_str().parse().ok()
}

/// Through where a source is copied, by the record and by the last copy that `EVENTS` has. The record lags behind; but
/// `EVENTS` removes copies by their age.
fn resumed(
    recorded: Option<SourcePosition>,
    copied: Option<SourcePosition>,
    is_rolled_back: bool,
) -> Option<SourcePosition> {
    match (recorded, copied) {
        (Some(recorded), Some(copied)) if !is_rolled_back && recorded.is_after(&copied) => Some(recorded),
        (recorded, copied) => copied.or(recorded),
    }
}

/// Whether `EVENTS` has lost the copy that the record names. A copy that was removed is none that was lost.
async fn has_lost(topology: &Topology, recorded: &CopiedThrough) -> Result<bool, OpenCopiesError> {
    let events = topology.events.get_info().await.map_err(|error| OpenCopiesError::Events(error.into()))?;
    if recorded.sequence == 0 || recorded.events != epoch_of(&events).0 {
        return Ok(false);
    }
    let found = leader_get::at(&topology.events, recorded.sequence).await.map_err(OpenCopiesError::Copy)?;
    if let Some(message) = found {
        return Ok(place_of(&message.headers).is_none_or(|place| place.to_string() != recorded.source));
    }
    let end = reaching(&topology.events, recorded.sequence).await;
    let end = end.map_err(|error| OpenCopiesError::Events(error.into()))?;
    Ok(end.state.last_sequence < recorded.sequence)
}

/// How far a source is copied cannot be determined.
#[derive(Debug, thiserror::Error)]
pub enum OpenCopiesError {
    /// The bucket `PROJECTORS` cannot be opened.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The bucket `PROJECTORS` cannot be read.
    #[error("the bucket PROJECTORS cannot be read now")]
    Bucket(#[source] RawMessageError),
    /// The record is not one of Tidings.
    #[error("the record in the bucket PROJECTORS of how far the source is copied cannot be read")]
    Record(#[from] RecordError),
    /// The last copy cannot be read.
    #[error("the last copy of the source cannot be read from stream EVENTS")]
    LastCopy(#[source] LastRawMessageError),
    /// A copy cannot be read.
    #[error("a copy of the source cannot be read from stream EVENTS")]
    Copy(#[source] RawMessageError),
    /// `EVENTS` cannot be looked up.
    #[error("stream EVENTS cannot be looked up now")]
    Events(#[source] async_nats::Error),
    /// The source was another stream before.
    #[error(
        "the source {source_name} was copied from stream {copied} until now, so its place says nothing about stream \
         {stream}; give the source for {stream} a name of its own"
    )]
    OtherStream {
        /// The name of the source.
        source_name: String,
        /// The configured stream.
        stream: String,
        /// The stream that was copied.
        copied: String,
    },
}

/// A copy was not stored.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The last copy is another one: another projector copies, or an earlier copy was stored without an answer.
    #[error("another copy of the source {name} was stored meanwhile")]
    Overtaken {
        /// The name of the source.
        name: String,
    },
    /// `EVENTS` does not take the copy, however often it is sent.
    #[error("stream EVENTS does not take the message")]
    Refused(#[source] PublishError),
    /// NATS is slow or unavailable, or `EVENTS` is full; the copy may or may not be stored.
    #[error("NATS does not store copies of the source {name} now")]
    Unavailable {
        /// The name of the source.
        name: String,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
    /// A batch was refused for another reason than another copy; its first copies may be stored. One at a time, `EVENTS` may
    /// take them, or say what is wrong with which.
    #[error("stream EVENTS does not take several copies of the source {name} at once")]
    NotAtOnce {
        /// The name of the source.
        name: String,
        /// The reason.
        #[source]
        source: async_nats::Error,
    },
    /// How far the source is copied was not recorded.
    #[error("NATS does not record how far the source {name} is copied")]
    Record {
        /// The name of the source.
        name: String,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
}

impl CopyError {
    fn new(name: &str, source: PublishError) -> Self {
        let name = name.to_owned();
        if was_beaten(&source) {
            Self::Overtaken { name }
        } else if is_permanent(&source) {
            Self::Refused(source)
        } else {
            Self::Unavailable { name, source: source.into() }
        }
    }

    fn of_batch(name: &str, error: BatchError) -> Self {
        let name = name.to_owned();
        match error {
            BatchError::Overtaken => Self::Overtaken { name },
            BatchError::Refused(source) => Self::NotAtOnce { name, source },
            BatchError::Unavailable(source) => Self::Unavailable { name, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64, second: u8) -> SourcePosition {
        format!("ORDERS 1-{sequence} 2025-01-17T10:30:{second:02}Z").parse().unwrap()
    }

    #[test]
    fn the_later_of_record_and_copy_counts_unless_events_lost_copies() {
        assert_eq!(resumed(None, None, false), None);
        assert_eq!(
            resumed(Some(at(5, 5)), None, false),
            Some(at(5, 5)),
            "EVENTS has removed all copies by their age"
        );
        assert_eq!(resumed(None, Some(at(7, 7)), false), Some(at(7, 7)), "the record was never written");
        assert_eq!(resumed(Some(at(5, 5)), Some(at(7, 7)), false), Some(at(7, 7)), "the record lags behind");
        assert_eq!(
            resumed(Some(at(7, 7)), Some(at(5, 5)), false),
            Some(at(7, 7)),
            "EVENTS has removed the last copies"
        );
        assert_eq!(
            resumed(Some(at(7, 7)), Some(at(5, 5)), true),
            Some(at(5, 5)),
            "EVENTS has lost the last copies"
        );
        // The source was rolled back: its sequences begin earlier, its times do not.
        assert_eq!(resumed(Some(at(9, 5)), Some(at(3, 7)), false), Some(at(3, 7)));
    }
}
