//! What a stream has stored since it was saved, up to its end; and of a stream of envelopes, all notices of purges.

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use tidings_model::Position;

use super::{BackupError, Behind, Part, SavedStream, shard_of};
use crate::nats::{Content, Delivered, OrderedReader, Read, Selection, all_headers, append};
use crate::topology::subjects::any_purge;

/// What would have the message refused, as it refers to what was there when it was stored first; or taken for one that
/// was stored already. That a scheduled event is there twice is noticed (`schedules`).
const LEFT_OUT: [&str; 4] = ["nats-expected-", "nats-msg-id", "nats-scheduler", "nats-schedule-next"];

/// A message of a tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedMessage {
    /// Its sequence.
    pub sequence: u64,
    /// Its subject.
    pub subject: String,
    /// Its headers, in order.
    pub headers: Vec<(String, String)>,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl SavedMessage {
    pub(super) fn headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        let is_kept = |name: &str| {
            let name = name.to_ascii_lowercase();
            !LEFT_OUT.iter().any(|left_out| name.starts_with(left_out))
        };
        append(&mut map, self.headers.iter().filter(|(name, _)| is_kept(name)));
        map
    }
}

impl From<Delivered> for SavedMessage {
    fn from(Delivered { message, sequence, .. }: Delivered) -> Self {
        let headers = message.headers.as_ref().map(all_headers).unwrap_or_default();
        Self { sequence, subject: message.subject.to_string(), headers, payload: message.payload.to_vec() }
    }
}

/// Reads a tail, until there is no more.
pub struct Tail {
    stream: String,
    reader: Option<OrderedReader>,
}

impl Tail {
    pub(super) async fn open(
        context: &Context,
        part: &Part,
        saved: &SavedStream,
    ) -> Result<Self, BackupError> {
        let stream = part.name().to_owned();
        let subjects = match part.behind() {
            Behind::Nothing => return Ok(Self { stream, reader: None }),
            Behind::Everything => Vec::new(),
            Behind::Purges => shard_of(&stream).map(any_purge).into_iter().collect(),
        };
        let selection = Selection::new(stream.clone(), subjects, Content::Whole);
        let sequence = if part.behind() == Behind::Purges { 0 } else { saved.end().sequence };
        let after = Position { sequence, ..saved.end() };
        let reader = OrderedReader::open(context.clone(), selection, after).await;
        let reader = reader.map_err(|error| BackupError::failed("read", &stream, error))?;
        Ok(Self { stream, reader: Some(reader) })
    }

    /// The next messages; `None` behind the last.
    pub async fn next(&mut self) -> Result<Option<Vec<SavedMessage>>, BackupError> {
        let Some(reader) = &mut self.reader else { return Ok(None) };
        let read = reader.read_pending().await;
        match read.map_err(|error| BackupError::failed("read", &self.stream, error))? {
            Some(Read::Messages(messages)) => Ok(Some(messages.into_iter().map(Into::into).collect())),
            Some(Read::Renewed(_)) => Err(BackupError::Recreated { stream: self.stream.clone() }),
            None => {
                if let Some(reader) = self.reader.take() {
                    reader.finish().await;
                }
                Ok(None)
            }
        }
    }
}
