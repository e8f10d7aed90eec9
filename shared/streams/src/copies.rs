//! Reading a tenant's envelopes of one generation once more, in the order of their events.
//!
//! What was held back lies behind envelopes of younger events. In a copy it must not: positions are carried over by
//! halving, which relies on ascending origins. So the headers are read first; what lies out of its turn is remembered,
//! and fetched when its turn has come. That is little: at most one envelope for each key of a limited message.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use async_nats::HeaderValue;
use async_nats::jetstream::stream::{RawMessageError, RawMessageErrorKind};
use tidings_model::{Class, EnvelopeSubject, OriginOrder, Place, Position, Tenant, headers};
use time::OffsetDateTime;

use crate::convert::StoredEnvelope;
use crate::ordered::{Content, Delivered, OrderedReader, Read, Selection};
use crate::topology::{ENVELOPES, ExtentError, Topology};

/// How long to wait for what is said to be there.
const PATIENCE: Duration = Duration::from_secs(1);

/// The durable and latest envelopes of a generation, as far as they are there when the reading begins.
pub struct EnvelopeCopies {
    topology: Topology,
    envelopes: Pass,
    /// The next in its turn, which waits for those that lay out of theirs.
    waiting: Option<Copy>,
    /// The sequences of those that lie out of their turn.
    strays: HashSet<u64>,
    /// Those of them whose turn has not come, by origin.
    astray: BTreeMap<OriginOrder, u64>,
    before: Position,
}

/// An envelope, and until when it is kept where it lies.
#[derive(Debug, Clone)]
pub struct Copy {
    /// The envelope.
    pub stored: StoredEnvelope,
    /// When its stream was told to remove it, before its age would have it removed.
    pub kept_until: Option<OffsetDateTime>,
}

impl EnvelopeCopies {
    /// Reads the envelopes of events before a position.
    pub async fn open(
        topology: &Topology,
        tenant: &Tenant,
        generation: u32,
        before: Position,
    ) -> Result<Self, CopyError> {
        let place = Place { shard: topology.shard(), generation };
        let extent = topology.extent().await?;
        let open = async |content| {
            let selection = Selection {
                stream: topology.shard().name(ENVELOPES),
                subjects: [Class::Durable, Class::Latest]
                    .map(|class| EnvelopeSubject::of_class(tenant, class, place))
                    .into(),
                content,
                fences: Some(topology.shard()),
                since: None,
            };
            let start = Position { epoch: extent.epoch, sequence: 0 };
            let reader = OrderedReader::open(topology.context.clone(), selection, start).await;
            Ok::<_, CopyError>(Pass {
                reader: reader.map_err(CopyError::Read)?,
                ready: VecDeque::new(),
                last: extent.last,
            })
        };
        let mut headers: Pass = open(Content::HeadersOnly).await?;
        let (mut astray, mut newest) = (BTreeMap::new(), None);
        while let Some(Copy { stored, .. }) = headers.next().await? {
            let key = stored.envelope.origin.order();
            if newest.is_some_and(|newest| key < newest) {
                astray.insert(key, stored.sequence);
            } else {
                newest = Some(key);
            }
        }
        let envelopes = open(Content::Whole).await?;
        let strays = astray.values().copied().collect();
        Ok(Self { topology: topology.clone(), envelopes, waiting: None, strays, astray, before })
    }

    /// The next envelope, in the order of origins.
    pub async fn next(&mut self) -> Result<Option<Copy>, CopyError> {
        while self.waiting.is_none() {
            let Some(copy) = self.envelopes.next().await? else { break };
            let (origin, sequence) = (copy.stored.envelope.origin, copy.stored.sequence);
            if !self.strays.contains(&sequence) && !origin.event.is_at_or_behind(self.before) {
                self.waiting = Some(copy);
            }
        }
        let turn = self.waiting.as_ref().map(|copy| copy.stored.envelope.origin.order());
        while let Some(stray) = self.astray.first_entry() {
            if turn.is_some_and(|turn| *stray.key() > turn) {
                break;
            }
            let sequence = *stray.get();
            // Of the leader: a replica may not have it yet.
            let fetched = match self.topology.envelopes.get_raw_message(sequence).await {
                Ok(message) => Some(message),
                Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => None,
                Err(error) => return Err(CopyError::Fetch(error)),
            };
            self.astray.pop_first();
            // It may have given way to a younger one meanwhile.
            let copy = fetched.and_then(|message| {
                let stored = StoredEnvelope::from_stream(&message)?;
                Some(Copy::new(stored, message.headers.get(headers::TIME_TO_LIVE).map(HeaderValue::as_str)))
            });
            if let Some(copy) =
                copy.filter(|copy| !copy.stored.envelope.origin.event.is_at_or_behind(self.before))
            {
                return Ok(Some(copy));
            }
        }
        Ok(self.waiting.take())
    }
}

impl Copy {
    fn new(stored: StoredEnvelope, time_to_live: Option<&str>) -> Self {
        let seconds = time_to_live.and_then(|text| text.strip_suffix('s')?.parse().ok());
        let kept_until = seconds.map(|seconds| stored.stored_at + Duration::from_secs(seconds));
        Self { stored, kept_until }
    }
}

/// Everything up to a sequence, once.
struct Pass {
    reader: OrderedReader,
    ready: VecDeque<Copy>,
    last: u64,
}

impl Pass {
    async fn next(&mut self) -> Result<Option<Copy>, CopyError> {
        while self.ready.is_empty() {
            if self.reader.position().sequence >= self.last || self.reader.pending() == 0 {
                return Ok(None);
            }
            match tokio::time::timeout(PATIENCE, self.reader.read()).await {
                Ok(Read::Messages(messages)) => self.take(&messages),
                Ok(Read::Renewed(_)) => return Err(CopyError::Renewed),
                // What was pending may have been removed meanwhile; a new consumer knows.
                Err(_) => self.reader.reopen().await.map_err(CopyError::Read)?,
            }
        }
        Ok(self.ready.pop_front())
    }

    fn take(&mut self, messages: &[Delivered]) {
        for Delivered { message, sequence, time } in messages {
            let time_to_live = message.headers.as_ref().and_then(|map| map.get(headers::TIME_TO_LIVE));
            let stored = StoredEnvelope::from_message(message, *sequence, *time);
            if let Some(stored) = stored.filter(|_| *sequence <= self.last) {
                self.ready.push_back(Copy::new(stored, time_to_live.map(HeaderValue::as_str)));
            }
        }
    }
}

/// A generation cannot be read now.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Its stream does not tell how far it goes.
    #[error(transparent)]
    Extent(#[from] ExtentError),
    /// Its stream cannot be read.
    #[error("stream ENVELOPES cannot be read now")]
    Read(#[source] async_nats::Error),
    /// One envelope cannot be read.
    #[error("an envelope that lies out of its turn cannot be read now")]
    Fetch(#[source] RawMessageError),
    /// Its stream is another one now.
    #[error("stream ENVELOPES was made anew while it was read")]
    Renewed,
}
