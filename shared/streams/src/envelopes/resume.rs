//! Resume points: what each message of a projector states for the next writer, and where that one resumes.

use std::str::FromStr as _;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::RawMessageErrorKind;
use async_nats::{HeaderMap, HeaderValue};
use tidings_model::{EnvelopeSubject, Origin, Position, headers};
use time::OffsetDateTime;

use super::stored_envelope::origin;
use super::write_error::WriteError;
use crate::nats::{leader_get, set};
use crate::topology::Topology;
use crate::topology::subjects::any_place;

/// What an envelope states for the next writer, besides its own origin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteMarkers {
    /// For an envelope that was held back or rebuilt, and for a notice: all envelopes of the events up to this position
    /// were written before it, or are held back.
    pub through: Option<Position>,
    /// The sequence of the oldest event with an envelope held back at the time when this one was queued.
    pub held_from: Option<u64>,
}

impl WriteMarkers {
    pub(super) fn write(self, map: &mut HeaderMap) {
        if let Some(through) = self.through {
            set(map, headers::THROUGH, through.to_string());
        }
        if let Some(held_from) = self.held_from {
            set(map, headers::HELD_FROM, held_from.to_string());
        }
    }
}

/// What the stream already contains.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resume {
    /// Everything up to here was written or is held back; `None` if the stream is empty.
    pub after: Option<Origin>,
    /// The oldest event with an envelope held back.
    pub held_from: Option<u64>,
    /// When the message with these markers was stored.
    pub stored_at: Option<OffsetDateTime>,
}

impl Resume {
    /// Whether an envelope of this origin is still to be written. Origins of another epoch of `EVENTS` cannot be
    /// compared with it.
    #[must_use]
    pub fn wants(&self, origin: Origin) -> bool {
        let Some(after) = self.after else { return true };
        after.event.epoch != origin.event.epoch
            || (origin.event.sequence, origin.part) > (after.event.sequence, after.part)
    }
}

/// The resume point in the headers of an envelope or a notice.
pub(crate) fn resume(headers: &HeaderMap) -> Option<Resume> {
    let text = |name: &str| headers.get(name).map(HeaderValue::as_str);
    let through = text(headers::THROUGH).and_then(|text| Position::from_str(text).ok());
    // Includes all parts of the event.
    let all_of = |event| Origin { event, message: u32::MAX, part: u32::MAX };
    let after = through.map(all_of).or_else(|| origin(headers))?;
    let held_from = text(headers::HELD_FROM).and_then(|text| text.parse().ok());
    Some(Resume { after: Some(after), held_from, stored_at: None })
}

/// The markers of the last message, envelope or notice, that a projector wrote. Skips messages that others put into the
/// stream: if its end were read as empty, existing envelopes would be written again.
pub(super) async fn last_resume(
    topology: &Topology,
    first_sequence: u64,
) -> Result<Option<Resume>, WriteError> {
    let (envelopes, shard) = (&topology.envelopes, topology.shard());
    let envelope = last_on(topology, &EnvelopeSubject::all(shard)).await?;
    let notice = last_on(topology, &any_place(shard)).await?;
    let Some(last) = envelope.into_iter().chain(notice).max_by_key(|message| message.sequence) else {
        return Ok(None);
    };
    if let Some(resume) = resume(&last.headers) {
        return Ok(Some(Resume { stored_at: Some(last.time), ..resume }));
    }
    let mut sequence = last.sequence;
    tracing::warn!(sequence, "stream ENVELOPES ends with a message that no projector wrote");
    while sequence > first_sequence {
        sequence -= 1;
        match envelopes.get_raw_message(sequence).await {
            Ok(message) => {
                if let Some(resume) = resume(&message.headers) {
                    return Ok(Some(Resume { stored_at: Some(message.time), ..resume }));
                }
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => {}
            Err(error) => return Err(WriteError::unavailable(error)),
        }
    }
    Ok(None)
}

async fn last_on(topology: &Topology, subject: &str) -> Result<Option<StreamMessage>, WriteError> {
    leader_get::last(&topology.envelopes, subject).await.map_err(WriteError::unavailable)
}
