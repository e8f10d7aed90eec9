//! Reads a source in order, whatever happens to it.
//!
//! A stream that was deleted and created again is read from its beginning. After a rollback, the messages that survived are
//! older than the last one that was read, and those stored since are younger.

use std::collections::VecDeque;

use async_nats::jetstream;
use async_nats::jetstream::context::GetStreamError;
use async_nats::jetstream::stream::RetentionPolicy;
use bytes::Bytes;
use tidings_model::{Epoch, Position, SourcePosition};
use time::OffsetDateTime;

use crate::nats::{Content, Delivered, OrderedReader, Read, Selection, all_headers, ensure, epoch_of};
use crate::topology::Topology;

/// Which messages of which stream are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStream {
    /// The name of the stream.
    pub stream: String,
    /// The subjects to copy, which may have wildcards; all if empty.
    pub subjects: Vec<String>,
    /// Where the JetStream API of the stream's account or domain is reached; `None` if it is the same as for `EVENTS`.
    pub api_prefix: Option<String>,
}

/// A message of a source.
#[derive(Debug, Clone)]
pub struct SourceMessage {
    /// Its subject.
    pub subject: String,
    /// All headers, in order. Names ignore case.
    pub headers: Vec<(String, String)>,
    /// The payload.
    pub payload: Bytes,
    /// Its place.
    pub place: SourcePosition,
}

impl SourceMessage {
    /// Returns the first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Reads a source.
pub struct SourceReader {
    reader: OrderedReader,
    source: SourceStream,
    /// When the last message that was read was stored. After a rollback, what is not younger was read before.
    last: Option<OffsetDateTime>,
    /// Whether the stream was rolled back, so that it is read from its beginning.
    is_rolled_back: bool,
    /// Read and not yet taken.
    ready: VecDeque<SourceMessage>,
    /// How often reading began again without a message, although some are left.
    silences: u32,
}

/// After so many silences the log says so: a lost delivery, or a slow server, is over by then.
const SILENCES: u32 = 3;

impl SourceStream {
    /// The end of the stream as it is now: the place of its last message, or that before its first.
    pub async fn end(&self, topology: &Topology) -> Result<SourcePosition, SourceError> {
        let stream = self.find(topology).await?;
        let info = stream.cached_info();
        let sequence = info.state.last_sequence;
        let stored_at = if sequence == 0 { info.created } else { info.state.last_timestamp };
        let position = Position { epoch: epoch_of(info), sequence };
        Ok(SourcePosition { stream: self.stream.clone(), position, stored_at })
    }

    /// The messages among so many newest ones of the stream that would be copied.
    pub async fn newest(&self, topology: &Topology, count: u64) -> Result<Vec<SourceMessage>, SourceError> {
        let mut after = self.end(topology).await?;
        after.position.sequence = after.position.sequence.saturating_sub(count);
        let failed = |source| SourceError::Read { stream: self.stream.clone(), source };
        let opened = OrderedReader::open(self.context(topology), self.selection(), after.position).await;
        let mut reader = opened.map_err(failed)?;
        let mut found = Vec::new();
        while let Some(read) = reader.read_pending().await.map_err(failed)? {
            let epoch = reader.position().epoch;
            if let Read::Messages(messages) = read {
                found.extend(messages.into_iter().map(|message| self.message(epoch, message)));
            }
        }
        Ok(found)
    }

    fn selection(&self) -> Selection {
        Selection::new(self.stream.clone(), self.subjects.clone(), Content::Whole)
    }

    fn message(&self, epoch: Epoch, delivered: Delivered) -> SourceMessage {
        let Delivered { message, sequence, time } = delivered;
        let (message, position) = (message.message, Position { epoch, sequence });
        SourceMessage {
            subject: message.subject.to_string(),
            headers: message.headers.as_ref().map(all_headers).unwrap_or_default(),
            payload: message.payload,
            place: SourcePosition { stream: self.stream.clone(), position, stored_at: time },
        }
    }

    fn context(&self, topology: &Topology) -> jetstream::Context {
        match &self.api_prefix {
            None => topology.context().clone(),
            Some(prefix) => jetstream::with_prefix(topology.client(), prefix),
        }
    }

    /// Finds the stream, and checks that it can be a source.
    async fn find(&self, topology: &Topology) -> Result<jetstream::stream::Stream, SourceError> {
        let stream = self.stream.clone();
        let found = self.context(topology).get_stream(&stream).await;
        let found = found.map_err(|source| {
            let stream = stream.clone();
            if ensure::is_not_found(&source) {
                SourceError::Missing { stream }
            } else {
                SourceError::Lookup { stream, source }
            }
        })?;
        match found.cached_info().config.retention {
            RetentionPolicy::Limits => Ok(found),
            _ => Err(SourceError::Retention { stream }),
        }
    }
}

impl SourceReader {
    /// Reads what comes after this place, or everything.
    pub async fn open(
        topology: &Topology,
        source: &SourceStream,
        after: Option<&SourcePosition>,
    ) -> Result<Self, SourceError> {
        source.find(topology).await?;
        let (context, selection) = (source.context(topology), source.selection());
        let reader = match after {
            None => OrderedReader::open_at_start(context, selection).await,
            Some(after) => {
                OrderedReader::open_behind(context, selection, after.position, after.stored_at).await
            }
        };
        let stream = source.stream.clone();
        let reader = reader.map_err(|source| SourceError::Read { stream, source })?;
        let last = after.map(|after| after.stored_at);
        let source = source.clone();
        Ok(Self { reader, source, last, is_rolled_back: false, ready: VecDeque::new(), silences: 0 })
    }

    /// How many messages are left, by the last report of NATS: each message carries the number.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.reader.pending() + self.ready.len() as u64
    }

    /// The next messages, once [`SourceReader::ready`] has returned; [`SourceReader::take`] takes them.
    pub fn next(&self) -> impl Iterator<Item = &SourceMessage> {
        self.ready.iter()
    }

    /// Takes so many of the messages that [`SourceReader::next`] returns.
    pub fn take(&mut self, count: usize) {
        self.ready.drain(..count.min(self.ready.len()));
    }

    /// Reads until there is a message. Waits until faults of NATS have passed, also until a stream that was deleted exists
    /// again. Cancel-safe.
    pub async fn ready(&mut self) {
        while self.ready.is_empty() {
            let before = self.reader.position().epoch;
            match self.reader.read().await {
                Read::Messages(messages) => {
                    self.listen(!messages.is_empty());
                    for message in messages {
                        self.add(message);
                    }
                }
                Read::Renewed(epoch) => {
                    self.is_rolled_back = epoch == before && self.last.is_some();
                    if !self.is_rolled_back {
                        self.last = None;
                        let stream = &self.source.stream;
                        tracing::warn!(stream, %epoch, "the source was created again; copying it from its beginning");
                    }
                }
            }
        }
    }

    /// Notes a silence. Where accounts separate, NATS may let a consumer be made, and not let it be read.
    fn listen(&mut self, has_messages: bool) {
        if has_messages {
            self.silences = 0;
        } else if !self.reader.is_interrupted() && self.reader.pending() > 0 {
            self.silences += 1;
            if self.silences == SILENCES {
                let (stream, left) = (&self.source.stream, self.reader.pending());
                tracing::warn!(
                    stream,
                    left,
                    "NATS sends no messages of the source although some are left; trying again; where accounts separate, the \
                     projector's needs what `nats-accounts.sh --source` imports"
                );
            }
        }
    }

    fn add(&mut self, delivered: Delivered) {
        let time = delivered.time;
        if self.is_rolled_back && self.last.is_some_and(|last| time <= last) {
            return;
        }
        self.is_rolled_back = false;
        self.last = Some(time);
        self.ready.push_back(self.source.message(self.reader.position().epoch, delivered));
    }
}

/// A source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no such stream.
    #[error(
        "there is no stream {stream}; create it, or correct `stream` of the source: it is looked for until it is there"
    )]
    Missing {
        /// The name of the stream.
        stream: String,
    },
    /// The stream cannot be looked up.
    #[error(
        "stream {stream} cannot be looked up; where accounts separate, the projector's needs what \
         `nats-accounts.sh --source` imports"
    )]
    Lookup {
        /// The name of the stream.
        stream: String,
        /// The error of the client.
        #[source]
        source: GetStreamError,
    },
    /// Reading would take messages away from others.
    #[error(
        "stream {stream} is a work queue or keeps messages by interest, so that reading takes them away from others; \
         expected retention `limits`: let producers publish into such a stream, and make the work queue source it"
    )]
    Retention {
        /// The name of the stream.
        stream: String,
    },
    /// The stream cannot be read.
    #[error(
        "stream {stream} cannot be read now; where accounts separate, the projector's needs what \
         `nats-accounts.sh --source` imports"
    )]
    Read {
        /// The name of the stream.
        stream: String,
        /// The error of the client.
        #[source]
        source: async_nats::Error,
    },
}
