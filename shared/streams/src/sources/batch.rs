//! Stores several copies of a source at once: as a batch of fast ingest (NATS ADR-50), of which each copy is stored only if
//! the one before it is.
//!
//! The first copy says which copy it expects to be the last one. The others cannot: they would have to name a sequence that
//! `EVENTS` assigns later, and other producers write there, too. What the leader of `EVENTS` checks of them is the number in
//! the batch, before it proposes the copy (`envelopes::writer` says why only such checks count). So what is stored of a batch
//! are its first copies, in order, behind a copy that was the last one when the batch began.
//!
//! Two copiers exclude each other by their lease. If one is delayed in the middle of a batch for longer than its lease, another
//! one may copy the rest of that batch, too. Each of both leaves nothing out and begins behind a copy that is stored; so, read
//! in order, each place of the source comes first behind the place before it, and the projector drops what comes again: its
//! place is that of a copy that was stored moments before. nats-server forgets a batch after ten seconds without a message,
//! so this is long before `streams.duplicate_window` ends.

use std::time::Duration;

use async_nats::client::{PublishError, PublishErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use tokio::time::timeout;

use crate::nats::fast_ingest::{Answer, FastIngest};

/// How long NATS may take to store a batch.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message of a batch: subject, headers, payload.
pub(super) type Outgoing = (String, HeaderMap, Bytes);

/// Sends batches, one after the other.
pub(super) struct Batches {
    client: Client,
    /// Opened with the first batch.
    ingest: Option<FastIngest>,
}

impl Batches {
    /// How many copies a batch has at most.
    pub(super) const LONGEST: usize = 256;

    pub(super) fn new(client: Client) -> Self {
        Self { client, ingest: None }
    }

    /// Stores all of the messages, and returns the sequence of the last one. After an error, the first ones may be stored.
    pub(super) async fn store(&mut self, messages: Vec<Outgoing>) -> Result<u64, BatchError> {
        let ingest = match &mut self.ingest {
            Some(ingest) => ingest,
            none => {
                let opened = FastIngest::open(self.client.clone()).await;
                none.insert(opened.map_err(|error| BatchError::Unavailable(error.into()))?)
            }
        };
        // Each is answered for itself: nats-server keeps the way back of an answer from another account until it is used.
        ingest.begin(1);
        let count = messages.len() as u64;
        for (number, (subject, headers, body)) in (1..).zip(messages) {
            let sent = if number == count {
                ingest.send_last(number, subject, headers, body).await
            } else {
                ingest.send(number, subject, headers, body).await
            };
            sent.map_err(BatchError::of_sending)?;
        }
        let unanswered = |error| BatchError::Unavailable(format!("no answer in time: {error}").into());
        timeout(PATIENCE, stored(ingest, count)).await.map_err(unanswered)?
    }
}

/// Waits until so many messages of the batch are stored.
async fn stored(ingest: &mut FastIngest, count: u64) -> Result<u64, BatchError> {
    loop {
        match ingest.answer().await {
            Some(Answer::Stored { .. }) => {}
            Some(Answer::Ended { count: stored, sequence }) if stored == count => return Ok(sequence),
            Some(Answer::Refused { error, .. }) => return Err(BatchError::of_refusal(error)),
            Some(Answer::Ended { .. } | Answer::Lost) => return Err(BatchError::Overtaken),
            Some(Answer::NoResponder) => {
                return Err(BatchError::Unavailable("no server takes messages for the stream".into()));
            }
            None => return Err(BatchError::Unavailable("the connection to NATS has ended".into())),
        }
    }
}

/// A batch was not stored, or not all of it.
#[derive(Debug)]
pub(super) enum BatchError {
    /// The last copy is another one, or a message of the batch did not arrive.
    Overtaken,
    /// It is refused for another reason.
    Refused(async_nats::Error),
    /// NATS is slow or unavailable.
    Unavailable(async_nats::Error),
}

impl BatchError {
    fn of_sending(error: PublishError) -> Self {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => Self::Refused(error.into()),
            _ => Self::Unavailable(error.into()),
        }
    }

    fn of_refusal(error: jetstream::Error) -> Self {
        match error.error_code() {
            // The leader does not know a batch that its predecessor has begun.
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE
            | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT
            | ErrorCode::BATCH_PUBLISH_UNKNOWN_BATCH_ID => Self::Overtaken,
            _ => Self::Refused(error.into()),
        }
    }
}
