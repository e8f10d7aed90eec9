//! Reads a tenant's envelopes of one generation again, in the order of their events.
//!
//! Envelopes that were held back are stored after envelopes of younger events. In a copy they must not be: positions
//! are translated by bisection, which relies on ascending origins. Therefore the headers are read first; the sequences
//! of envelopes out of order are remembered, and these are fetched when their turn comes. They are few: at most one
//! envelope for each key of a rate-limited message.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use async_nats::HeaderValue;
use async_nats::jetstream::stream::RawMessageError;
use tidings_model::{Class, EnvelopeSubject, OriginOrder, Place, Position, Tenant, headers};
use time::OffsetDateTime;

use super::stored_envelope::StoredEnvelope;
use crate::nats::{Content, Delivered, OrderedReader, Read, Selection, leader_get};
use crate::topology::{ENVELOPES, ExtentError, Topology};

/// Reads the durable and latest envelopes of a generation that exist when the reading begins.
pub struct EnvelopeCopies {
    topology: Topology,
    envelopes: Scan,
    /// The next envelope in order, which waits for earlier ones that are out of order.
    waiting: Option<Copy>,
    /// The sequences of the envelopes out of order.
    strays: HashSet<u64>,
    /// Those of them that were not returned yet, by origin.
    astray: BTreeMap<OriginOrder, u64>,
    before: Position,
}

/// An envelope, and until when its stream keeps it.
#[derive(Debug, Clone)]
pub struct Copy {
    /// The envelope.
    pub stored: StoredEnvelope,
    /// When the stream is to remove it, if that is before its maximum age.
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
            let subjects = [Class::Durable, Class::Latest];
            let subjects = subjects.map(|class| EnvelopeSubject::of_class(tenant, class, place)).into();
            let stream = topology.shard().name(ENVELOPES);
            let selection = Selection::new(stream, subjects, content);
            let start = Position { epoch: extent.epoch, sequence: 0 };
            let reader = OrderedReader::open(topology.context.clone(), selection, start).await;
            Ok::<_, CopyError>(Scan {
                reader: reader.map_err(CopyError::Read)?,
                ready: VecDeque::new(),
                last: extent.last,
            })
        };
        let mut headers: Scan = open(Content::HeadersOnly).await?;
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

    /// Returns the next envelope, in the order of origins.
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
            let fetched = leader_get::certainly_at(&self.topology.envelopes, sequence).await;
            let fetched = fetched.map_err(CopyError::Fetch)?;
            self.astray.pop_first();
            // A newer envelope may have replaced it meanwhile.
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

/// Reads everything up to a sequence once.
struct Scan {
    reader: OrderedReader,
    ready: VecDeque<Copy>,
    last: u64,
}

impl Scan {
    async fn next(&mut self) -> Result<Option<Copy>, CopyError> {
        while self.ready.is_empty() {
            if self.reader.position().sequence >= self.last {
                return Ok(None);
            }
            match self.reader.read_pending().await.map_err(CopyError::Read)? {
                Some(Read::Messages(messages)) => self.take(&messages),
                Some(Read::Renewed(_)) => return Err(CopyError::Renewed),
                None => return Ok(None),
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
    /// The state of its stream cannot be read.
    #[error(transparent)]
    Extent(#[from] ExtentError),
    /// Its stream cannot be read.
    #[error("stream ENVELOPES cannot be read now")]
    Read(#[source] async_nats::Error),
    /// One envelope cannot be read.
    #[error("an envelope out of order cannot be read now")]
    Fetch(#[source] RawMessageError),
    /// Its stream was recreated.
    #[error("stream ENVELOPES was recreated while it was read")]
    Renewed,
}
