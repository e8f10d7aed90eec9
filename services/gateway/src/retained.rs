//! What a gateway keeps of the stream: the mailbox (what lies where), the hot tail (the newest
//! envelopes themselves) and an index of times.
//!
//! One writer, the follower; read by every shard. Locks are held for a page at most, never across
//! an await.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tidings_mailbox::{Delivery, Entry, Found, HotTail, Mailbox, NotCovered, Page, Query};
use tidings_model::{Class, Epoch, Place, Tenant};
use tidings_streams::{Extent, StoredEnvelope};
use time::OffsetDateTime;

use crate::framed::FramedEnvelope;
use crate::generations::Generations;
use crate::standing::View;
use crate::times::TimeIndex;

pub(crate) struct Retained(RwLock<Inner>);

struct Inner {
    epoch: Epoch,
    generations: Generations,
    /// Of all tenants; no envelope is of a later one.
    newest_generation: u32,
    /// The sequence before the first that the stream retains; below the mailbox's own floor where
    /// the mailbox does not reach back so far.
    floor: u64,
    mailbox: Mailbox,
    hot_tail: HotTail<Arc<FramedEnvelope>>,
    hot_tail_bytes: usize,
    /// From how many bytes on envelopes are compressed; `None` if they never are.
    compressed_from: Option<usize>,
    times: TimeIndex,
    /// Up to here, envelopes that were kept for somebody have been removed.
    removed_through: u64,
    /// What the stream was seen to hold, to be acted on when the follower has come to its end: what
    /// a newer envelope has replaced is then known not to matter.
    shrinking: Option<Extent>,
}

/// Part of what lies at some addresses.
pub(crate) struct RetainedPage {
    /// Ascending; without the envelope where only its sequence is known.
    pub(crate) found: Vec<(Found, Option<Arc<FramedEnvelope>>)>,
    /// The page covers everything up to here.
    pub(crate) read_through: u64,
}

/// Why nothing can be read after a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The mailbox does not reach back so far, only to `floor`.
    NotCovered { floor: u64 },
    /// Something that followed may have been removed from the stream, which begins after `floor`.
    Removed { floor: u64 },
    /// The position is from another life of the stream.
    Renewed,
}

impl Retained {
    /// Knows nothing yet of what comes after `reach`, in a stream that retains what comes after
    /// `floor`; keeps envelopes up to so many bytes, those that are compressed among them.
    pub(crate) fn new(
        epoch: Epoch,
        generations: Generations,
        (floor, reach): (u64, u64),
        hot_tail_bytes: usize,
        compressed_from: Option<usize>,
    ) -> Self {
        let bounds = (floor, reach);
        Self(RwLock::new(Inner::new(epoch, generations, bounds, hot_tail_bytes, compressed_from)))
    }

    /// Which generations are and were current.
    pub(crate) fn generations(&self) -> Generations {
        self.read_lock().generations.clone()
    }

    /// The generation of a tenant that is delivered now; `None` if its envelopes are elsewhere.
    pub(crate) fn generation(&self, tenant: &Tenant) -> Option<u32> {
        self.read_lock().generations.current(tenant)
    }

    /// A generation is the current one from this sequence on.
    pub(crate) fn begin(&self, tenant: &Tenant, generation: u32, since: u64) {
        let mut inner = self.write();
        inner.generations.begin(tenant, generation, since);
        inner.mailbox.advance_to(since);
    }

    /// The tenant's envelopes are elsewhere from now on, in this generation.
    pub(crate) fn leave(&self, tenant: &Tenant, generation: u32) {
        self.write().generations.leave(tenant, generation);
    }

    /// Takes the next envelopes, of which only the headers are known.
    pub(crate) fn index(&self, envelopes: &[StoredEnvelope]) {
        let mut inner = self.write();
        for stored in envelopes {
            inner.index(stored);
        }
        inner.shrink();
    }

    /// Takes the next envelopes, and gives back those that are to be delivered: of the generations that are given to
    /// who is here.
    pub(crate) fn append(&self, mut envelopes: Vec<Arc<FramedEnvelope>>) -> Vec<Arc<FramedEnvelope>> {
        let mut inner = self.write();
        for framed in &envelopes {
            inner.index(framed.stored());
            let weight = framed.weight(inner.compressed_from);
            let pushed = inner.hot_tail.push(framed.sequence(), Arc::clone(framed), weight);
            if let Err(error) = pushed {
                tracing::error!(%error, "the hot tail refuses an envelope");
            }
        }
        inner.shrink();
        envelopes.retain(|framed| {
            let StoredEnvelope { envelope, generation, .. } = framed.stored();
            inner.generations.delivers(&envelope.subject.tenant, *generation)
        });
        envelopes
    }

    /// Forgets everything: the stream begins anew.
    pub(crate) fn restart(&self, epoch: Epoch) {
        let mut inner = self.write();
        let mut generations = std::mem::take(&mut inner.generations);
        generations.renew();
        *inner = Inner::new(epoch, generations, (0, 0), inner.hot_tail_bytes, inner.compressed_from);
    }

    /// Forgets what the stream has removed below its floor, and what has expired. An extent of
    /// another life of the stream says nothing: the follower tells when it is made anew.
    pub(crate) fn upkeep(&self, extent: &Extent, now: OffsetDateTime) {
        let mut inner = self.write();
        inner.mailbox.expire(unix_seconds(now));
        if extent.epoch == inner.epoch && extent.floor > inner.floor {
            inner.shrinking.get_or_insert(*extent);
            inner.shrink();
        }
    }

    /// Fences lay from this sequence on: nobody has received what they may have replaced.
    pub(crate) fn note_fences(&self, first: u64, stored_at: OffsetDateTime) {
        self.write().times.note(stored_at, first);
    }

    /// Nothing more is to come up to this sequence: the rest was removed from the stream.
    pub(crate) fn advance_to(&self, sequence: u64) {
        self.write().mailbox.advance_to(sequence);
    }

    /// Forgets everything at one address, of whatever generation.
    pub(crate) fn purge(&self, tenant: &Tenant, address: &str) {
        let mut inner = self.write();
        for generation in 0..=inner.newest_generation {
            let place = Place { generation, ..Place::default() };
            inner.mailbox.purge(&place.token(tenant).to_string(), address);
        }
        let capacity = inner.hot_tail_bytes;
        let head = inner.hot_tail.head();
        // Rare, and the envelopes must not be readable any more: the tail starts anew.
        inner.hot_tail = HotTail::new(capacity, head);
    }

    /// Which life of the stream this is.
    pub(crate) fn epoch(&self) -> Epoch {
        self.read_lock().epoch
    }

    /// Up to where retention has removed what was kept for somebody.
    pub(crate) fn removed_through(&self) -> u64 {
        self.read_lock().removed_through
    }

    /// Up to where the stream was read.
    pub(crate) fn head(&self) -> u64 {
        self.read_lock().mailbox.head()
    }

    /// What of the stream can be answered for to a tenant; `None` if its envelopes are elsewhere.
    pub(crate) fn view(&self, tenant: &Tenant) -> Option<View> {
        let inner = self.read_lock();
        let generation = inner.generations.current(tenant)?;
        let place = Place { generation, ..Place::default() };
        Some(View {
            epoch: place.epoch(inner.epoch),
            floor: inner.floor,
            head: inner.mailbox.head(),
            removed_through: inner.removed_through,
        })
    }

    /// The sequence before the first envelope that was stored at this time or, to the minute,
    /// later.
    pub(crate) fn before(&self, time: OffsetDateTime) -> u64 {
        let inner = self.read_lock();
        let found = inner.times.before(time).unwrap_or_else(|| inner.mailbox.head());
        found.max(inner.floor)
    }

    /// One page of what a query opens in this life of the stream, and of each envelope found the
    /// frames, if they are still in memory.
    pub(crate) fn read<A: AsRef<str>>(
        &self,
        query: &Query<'_, A>,
        epoch: Epoch,
        through: u64,
        limit: usize,
    ) -> Result<RetainedPage, Unreadable> {
        let inner = self.read_lock();
        if inner.epoch != epoch {
            return Err(Unreadable::Renewed);
        }
        if query.after < inner.removed_through {
            return Err(Unreadable::Removed { floor: inner.floor });
        }
        // Nothing lies below the stream's floor, so nothing is skipped.
        let query = Query { after: query.after.max(inner.floor), ..*query };
        let page = inner.mailbox.merge(&query, through, limit);
        let Page { found, read_through } =
            page.map_err(|NotCovered { floor, .. }| Unreadable::NotCovered { floor })?;
        let held = |found: Found| (found, inner.hot_tail.get(found.sequence).cloned());
        Ok(RetainedPage { found: found.into_iter().map(held).collect(), read_through })
    }

    /// An envelope that is still in memory.
    pub(crate) fn held(&self, sequence: u64) -> Option<Arc<FramedEnvelope>> {
        self.read_lock().hot_tail.get(sequence).cloned()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock of the mailbox.
pub(crate) fn unix_seconds(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp()).unwrap_or_default()
}

impl Inner {
    fn new(
        epoch: Epoch,
        generations: Generations,
        (floor, reach): (u64, u64),
        hot_tail_bytes: usize,
        compressed_from: Option<usize>,
    ) -> Self {
        Self {
            epoch,
            generations,
            newest_generation: 0,
            floor,
            mailbox: Mailbox::new(reach),
            hot_tail: HotTail::new(hot_tail_bytes, reach),
            hot_tail_bytes,
            compressed_from,
            times: TimeIndex::default(),
            // What was removed before this gateway knew the stream is not known.
            removed_through: floor,
            shrinking: None,
        }
    }

    /// Forgets what the stream has removed below its floor.
    fn shrink(&mut self) {
        let head = self.mailbox.head();
        let Some(Extent { floor, .. }) = self.shrinking.take_if(|extent| extent.last <= head) else { return };
        // What lay below the mailbox is not known; it may have mattered.
        let unknown = (self.floor < self.mailbox.floor()).then(|| floor.min(self.mailbox.floor()));
        self.floor = floor;
        let removed = self.mailbox.retain_from(floor.saturating_add(1));
        self.hot_tail.retain_from(floor.saturating_add(1));
        self.times.retain_from(floor.saturating_add(1));
        self.removed_through = removed.or(unknown).unwrap_or(self.removed_through);
    }

    fn index(&mut self, stored: &StoredEnvelope) {
        let sequence = stored.sequence;
        self.times.note(stored.stored_at, sequence);
        let subject = &stored.envelope.subject;
        let latest_key = subject.key.as_ref().map(|key| format!("{}\0{key}", subject.slot));
        let delivery = match (subject.class, &latest_key) {
            (Class::Ephemeral, _) => return self.mailbox.advance_to(sequence),
            (Class::Latest, Some(key)) => Delivery::Latest { key },
            (Class::Latest | Class::Durable, _) => Delivery::Durable,
        };
        let place = Place { generation: stored.generation, ..Place::default() };
        self.newest_generation = self.newest_generation.max(place.generation);
        let token = (place.generation > 0).then(|| place.token(&subject.tenant).to_string());
        let appended = self.mailbox.append(Entry {
            tenant: token.as_deref().unwrap_or(subject.tenant.as_str()),
            address: subject.address.as_str(),
            sequence,
            delivery,
            expires_at: stored.envelope.expires_at.map(unix_seconds),
        });
        if let Err(error) = appended {
            tracing::error!(%error, sequence, "the mailbox refuses an envelope");
        }
    }
}
