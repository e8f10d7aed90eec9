//! The record of the lives of `EVENTS` in the bucket `PROJECTORS`: reading it, and beginning a life in it.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use bytes::Bytes;
use tidings_model::Position;
use time::OffsetDateTime;

use super::{Known, Lives};
use crate::nats::{
    Bucket, Missing, Purpose, SKEW, TopologyError, ensure, epoch_of, leader_get, reaching, record,
};
use crate::topology::Topology;

const KEY: &str = "events";
/// How many times a new life is written again after a conflict.
const ATTEMPTS: u32 = 8;

impl Topology {
    /// The bucket `PROJECTORS`, created if it is missing.
    pub(crate) async fn projectors(&self) -> Result<Bucket, TopologyError> {
        let purpose =
            Purpose { name: "PROJECTORS", description: "Tidings: what projectors know of each other" };
        let kept = self.settings().bucket();
        Box::pin(Bucket::open(self.context(), purpose, None, kept, Missing::Created)).await
    }

    /// The position of the event with this sequence, by the lives that were read last.
    pub(crate) fn event_at(&self, sequence: u64) -> Position {
        self.lives.get().position(epoch_of(self.events.cached_info()), sequence)
    }

    /// Reads the lives of `EVENTS`.
    pub(crate) async fn lives(&self) -> Result<Lives, async_nats::Error> {
        let lives = read(self.context()).await?;
        self.lives.set(&lives);
        Ok(lives)
    }

    /// Begins another life of `EVENTS` after this sequence, since it was restored from a backup.
    pub(crate) async fn begin_life(&self, after: u64) -> Result<(), async_nats::Error> {
        let (bucket, created) = (self.projectors().await?, epoch_of(self.events.cached_info()));
        for _ in 0..ATTEMPTS {
            let (mut lives, revision) = read_with_revision(&bucket).await?;
            lives.begin(created, after, micros(OffsetDateTime::now_utc()));
            if bucket.write(KEY, Bytes::from(record::encode(&lives)?), revision).await?.is_some() {
                self.lives.set(&lives);
                return Ok(());
            }
        }
        Err("other processes keep changing the lives of stream EVENTS".into())
    }

    /// Checks whether a known event still exists, and begins another life of `EVENTS` if it does not. `stream` is
    /// `EVENTS` as it was just looked up.
    pub(crate) async fn compare(&self, stream: &Stream, known: Known) -> Result<Lives, async_nats::Error> {
        let lives = self.lives().await?;
        let created = epoch_of(stream.cached_info());
        let is_of_this_life =
            |lives: &Lives| lives.position(created, known.position.sequence) == known.position;
        if known.position.sequence == 0 || !is_of_this_life(&lives) || holds(stream, known).await? {
            return Ok(lives);
        }
        let bucket = self.projectors().await?;
        let after = last_before(stream, known.at).await?;
        for _ in 0..ATTEMPTS {
            let (stored, revision) = read_with_revision(&bucket).await?;
            let mut lives = stored;
            if !is_of_this_life(&lives) {
                // Another projector has detected the rollback, too.
                self.lives.set(&lives);
                return Ok(lives);
            }
            lives.begin(created, after, micros(OffsetDateTime::now_utc()));
            let json = Bytes::from(record::encode(&lives)?);
            if bucket.write(KEY, json, revision).await?.is_some() {
                let rollbacks = lives.later.len();
                tracing::error!(
                    known = %known.position, after, rollbacks,
                    "stream EVENTS was rolled back to an older state; lost events cannot be projected any more, and \
                     all later ones are projected as new"
                );
                self.lives.set(&lives);
                return Ok(lives);
            }
        }
        Err("other projectors keep changing the lives of stream EVENTS".into())
    }
}

/// Whether the stream may still contain this event. A removed event proves nothing.
pub(crate) async fn holds(stream: &Stream, known: Known) -> Result<bool, async_nats::Error> {
    let sequence = known.position.sequence;
    if reaching(stream, sequence).await?.state.last_sequence < sequence {
        return Ok(false);
    }
    let found = leader_get::next(stream, "events.>", sequence).await?;
    Ok(found.filter(|message| message.sequence == sequence).is_none_or(|message| {
        if known.is_exact { message.time == known.at } else { message.time <= known.at + SKEW }
    }))
}

/// The last sequence that was stored at or before this time. Searches by bisection.
async fn last_before(stream: &Stream, at: OffsetDateTime) -> Result<u64, async_nats::Error> {
    let state = stream.get_info().await?.state;
    let (mut low, mut high) = (state.first_sequence, state.last_sequence.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        match leader_get::next(stream, "events.>", middle).await? {
            Some(message) if message.time <= at => low = message.sequence.saturating_add(1),
            _ => high = middle,
        }
    }
    Ok(low.saturating_sub(1))
}

pub(crate) async fn read(context: &Context) -> Result<Lives, async_nats::Error> {
    let stream = match context.get_stream("KV_PROJECTORS").await {
        Ok(stream) => stream,
        // No projector has ever run.
        Err(error) if ensure::is_not_found(&error) => return Ok(Lives::default()),
        Err(error) => return Err(error.into()),
    };
    match stream.get_last_raw_message_by_subject("$KV.PROJECTORS.events").await {
        Ok(message) => Ok(record::decode(&message.payload)?),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(Lives::default()),
        Err(error) => Err(error.into()),
    }
}

async fn read_with_revision(bucket: &Bucket) -> Result<(Lives, u64), async_nats::Error> {
    match bucket.last(KEY).await? {
        Some(message) => Ok((record::decode(&message.payload)?, message.sequence)),
        None => Ok((Lives::default(), 0)),
    }
}

fn micros(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or_default()
}
