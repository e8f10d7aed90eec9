//! The local copy of a shard's stream: the mailbox (an index of what lies at which address), the hot tail (the newest
//! envelopes themselves) and an index of times. What is not in memory is read from the stream.
//!
//! One writer, the follower; read by every worker and every handshake. A lock is held for a page of the mailbox at most,
//! or while what retention removed is taken out, and never across an await.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tidings_catalog::StartPolicy;
use tidings_mailbox::{Delivery, Entry, Found, HotTail, Mailbox, NotCovered, Page, Query};
use tidings_model::{Class, Epoch, Place, PlacedPosition, Position, Tenant};
use tidings_protocol::server::GapReason;
use tidings_streams::{Extent, ExtentError, StoredEnvelope, Topology, Translated, translate_position};
use time::OffsetDateTime;

use crate::frame::FramedEnvelope;
use crate::generations::Generations;
use crate::read::{Footprint, ReadError, ReplicaPage};
use crate::resume::{Gap, ResumeError, ResumePoint, Retention};
use crate::time_index::TimeIndex;

/// The local copy of one shard's stream of envelopes.
pub struct Replica {
    topology: Topology,
    log: RwLock<Log>,
}

struct Log {
    epoch: Epoch,
    generations: Generations,
    /// The newest generation of any tenant in the log.
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
    /// Retention has removed envelopes that were kept for a consumer up to here.
    removed_through: u64,
    /// What the stream was seen to hold; applied when the follower has read as far: an envelope that a newer one has
    /// replaced is then known not to matter.
    shrinking: Option<Extent>,
}

impl Replica {
    /// A copy that has nothing yet after `reach`, of a stream that retains what comes after `floor`. It keeps envelopes up
    /// to so many bytes, the compressed ones among them.
    #[must_use]
    pub fn new(
        topology: Topology,
        epoch: Epoch,
        generations: Generations,
        bounds: (u64, u64),
        hot_tail_bytes: usize,
        compressed_from: Option<usize>,
    ) -> Self {
        let log = Log::new(epoch, generations, bounds, hot_tail_bytes, compressed_from);
        Self { topology, log: RwLock::new(log) }
    }

    /// The stream itself.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The generations that are and were current.
    pub fn generations(&self) -> Generations {
        self.read_lock().generations.clone()
    }

    /// A generation is the current one from this sequence on.
    pub fn begin(&self, tenant: &Tenant, generation: u32, since: u64) {
        let mut log = self.write_lock();
        log.generations.begin(tenant, generation, since);
        log.mailbox.advance_to(since);
    }

    /// The tenant's envelopes are in another shard from now on, in this generation.
    pub fn leave(&self, tenant: &Tenant, generation: u32) {
        self.write_lock().generations.leave(tenant, generation);
    }

    /// Adds the next envelopes, of which only the headers were read.
    pub fn index(&self, envelopes: &[StoredEnvelope]) {
        let mut log = self.write_lock();
        for stored in envelopes {
            log.index(stored);
        }
        log.shrink();
    }

    /// Adds the next envelopes, and returns those of a current generation, which are to be delivered.
    pub fn append(&self, mut envelopes: Vec<Arc<FramedEnvelope>>) -> Vec<Arc<FramedEnvelope>> {
        let mut log = self.write_lock();
        for framed in &envelopes {
            log.index(framed.stored());
            let weight = framed.weight(log.compressed_from);
            let pushed = log.hot_tail.push(framed.sequence(), Arc::clone(framed), weight);
            if let Err(error) = pushed {
                tracing::error!(%error, "the hot tail refuses an envelope");
            }
        }
        log.shrink();
        envelopes.retain(|framed| {
            let StoredEnvelope { envelope, generation, .. } = framed.stored();
            log.generations.delivers(&envelope.subject.tenant, *generation)
        });
        envelopes
    }

    /// Empties the copy: the stream was recreated.
    pub fn restart(&self, epoch: Epoch) {
        let mut log = self.write_lock();
        let mut generations = std::mem::take(&mut log.generations);
        generations.renew();
        *log = Log::new(epoch, generations, (0, 0), log.hot_tail_bytes, log.compressed_from);
    }

    /// Removes what the stream has removed below its floor, and what has expired. An extent of another life of the stream
    /// is ignored: the follower restarts the copy.
    pub fn upkeep(&self, extent: &Extent, now: OffsetDateTime) {
        let mut log = self.write_lock();
        log.mailbox.expire(unix_seconds(now));
        if extent.epoch == log.epoch && extent.floor > log.floor {
            log.shrinking.get_or_insert(*extent);
            log.shrink();
        }
    }

    /// No further envelope comes up to this sequence: the rest was removed from the stream.
    pub fn advance_to(&self, sequence: u64) {
        self.write_lock().mailbox.advance_to(sequence);
    }

    /// Removes everything at one address, of every generation.
    pub fn purge(&self, tenant: &Tenant, address: &str) {
        let mut log = self.write_lock();
        for generation in 0..=log.newest_generation {
            let place = Place { generation, ..Place::default() };
            log.mailbox.purge(&place.token(tenant).to_string(), address);
        }
        let capacity = log.hot_tail_bytes;
        let head = log.hot_tail.head();
        // Rare, and the envelopes must not be readable any more: the tail is emptied.
        log.hot_tail = HotTail::new(capacity, head);
    }

    /// What the copy takes in memory.
    pub fn footprint(&self) -> Footprint {
        let log = self.read_lock();
        Footprint {
            indexed: log.mailbox.len(),
            mailbox_bytes: log.mailbox.footprint(),
            hot: log.hot_tail.len(),
            hot_tail_bytes: log.hot_tail.weight(),
        }
    }

    /// The epoch of the stream.
    pub fn epoch(&self) -> Epoch {
        self.read_lock().epoch
    }

    /// Retention has removed envelopes that were kept for a consumer up to here.
    pub fn removed_through(&self) -> u64 {
        self.read_lock().removed_through
    }

    /// The last sequence that was read.
    pub fn head(&self) -> u64 {
        self.read_lock().mailbox.head()
    }

    /// Whether the tenant's envelopes are in this shard, so that new connections are served from here.
    pub fn holds(&self, tenant: &Tenant) -> bool {
        self.retention(tenant).is_some()
    }

    /// What of the stream can be delivered to a tenant; `None` if its envelopes are in another shard.
    fn retention(&self, tenant: &Tenant) -> Option<Retention> {
        self.read_lock().retention(tenant)
    }

    /// The same for a consumer at `position`: if that is ahead of this gateway, as another gateway may be, the stream is
    /// asked how far it goes.
    async fn retention_for(
        &self,
        tenant: &Tenant,
        position: Position,
    ) -> Result<Option<Retention>, ExtentError> {
        let Some(mut retention) = self.retention(tenant) else { return Ok(None) };
        if position.epoch == retention.epoch && position.sequence > retention.head {
            let extent = self.topology.extent_reaching(position.sequence).await?;
            if extent.epoch == self.epoch() {
                retention.head = retention.head.max(extent.last);
            }
        }
        Ok(Some(retention))
    }

    /// Where a consumer of this tenant resumes that has read up to `position`, which may belong to an earlier generation or
    /// another shard. `None` if the tenant is not in this shard, or this gateway has not read as far.
    pub async fn resume(
        &self,
        tenant: &Tenant,
        position: Position,
    ) -> Result<Option<ResumePoint>, ResumeError> {
        let Some(retention) = self.retention(tenant) else { return Ok(None) };
        if retention.epoch == position.epoch {
            let retention = self.retention_for(tenant, position).await?;
            return Ok(retention.map(|retention| ResumePoint::of(position, retention)));
        }
        let placement = self.topology.placements().load(tenant).await?;
        let Some(carried) = translate_position(&self.topology, tenant, &placement, position).await? else {
            return Ok(Some(ResumePoint::of(position, retention)));
        };
        let Translated { position: carried, is_lost: was_lost } = carried;
        // The bucket may be ahead of what was read of the stream, or behind it.
        if carried.epoch != retention.epoch {
            return Ok(None);
        }
        let Some(retention) = self.retention_for(tenant, carried).await? else { return Ok(None) };
        let resume = ResumePoint::of(carried, retention);
        if was_lost {
            // The stream was restored from a backup that is older than what the consumer has received.
            let gap = Gap { from: position, to: resume.after, reason: GapReason::Epoch };
            return Ok(Some(ResumePoint { gap: Some(gap), ..resume }));
        }
        // What follows a position in the same stream may have been removed before the rebuild read it. Sequences of another
        // shard's stream say nothing of this one's.
        let here = self.topology.shard();
        let was_here =
            placement.stay_of(position, |shard| (shard == here).then_some(retention.epoch)).is_some();
        let is_lost = was_here && resume.gap.is_none() && position.sequence < retention.removed_through;
        let gap = Gap { from: position, to: resume.after, reason: GapReason::Retention };
        Ok(Some(if is_lost { ResumePoint { gap: Some(gap), ..resume } } else { resume }))
    }

    /// Where a device of this tenant resumes whose position cannot be of what the stream holds now: that was stored after
    /// the device was last seen.
    pub fn resume_from_lost_state(
        &self,
        tenant: &Tenant,
        position: Position,
        (last_seen, not_seen): (OffsetDateTime, OffsetDateTime),
    ) -> Option<ResumePoint> {
        let log = self.read_lock();
        let bounds = (log.before(last_seen), log.before(not_seen));
        ResumePoint::of_lost_state(position, log.retention(tenant)?, bounds)
    }

    /// Where a consumer of this tenant begins that has never been here.
    pub fn first_position(
        &self,
        tenant: &Tenant,
        policy: StartPolicy,
        now: OffsetDateTime,
    ) -> PlacedPosition {
        let log = self.read_lock();
        let sequence = match policy {
            StartPolicy::New => log.mailbox.head(),
            StartPolicy::All => log.floor,
            StartPolicy::Since(span) => log.before(now - span),
        };
        let generation = log.generations.current(tenant).unwrap_or_default();
        let epoch = Place { generation, ..Place::default() }.epoch(log.epoch);
        PlacedPosition { generation, position: Position { epoch, sequence } }
    }

    /// A position with the generation that its epoch says; `None` if it is of another life of the stream.
    pub fn placed(&self, position: Position) -> Option<PlacedPosition> {
        let generation = Place::generation_of(position.epoch, self.epoch(), u32::MAX)?;
        Some(PlacedPosition { generation, position })
    }

    /// One page of what a query finds in this life of the stream, with each envelope that is still in memory.
    pub fn read<A: AsRef<str>>(
        &self,
        query: &Query<'_, A>,
        epoch: Epoch,
        through: u64,
        limit: usize,
    ) -> Result<ReplicaPage, ReadError> {
        let log = self.read_lock();
        if log.epoch != epoch {
            return Err(ReadError::Renewed);
        }
        if query.after < log.removed_through {
            return Err(ReadError::Removed { floor: log.floor });
        }
        // Nothing lies below the stream's floor, so nothing is skipped.
        let query = Query { after: query.after.max(log.floor), ..*query };
        let page = log.mailbox.merge(&query, through, limit);
        let Page { found, read_through } =
            page.map_err(|NotCovered { floor, .. }| ReadError::NotCovered { floor })?;
        let held = |found: Found| (found, log.hot_tail.get(found.sequence).cloned());
        Ok(ReplicaPage { found: found.into_iter().map(held).collect(), read_through })
    }

    /// An envelope that is still in memory.
    pub fn held(&self, sequence: u64) -> Option<Arc<FramedEnvelope>> {
        self.read_lock().hot_tail.get(sequence).cloned()
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, Log> {
        self.log.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, Log> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
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

    fn retention(&self, tenant: &Tenant) -> Option<Retention> {
        let generation = self.generations.current(tenant)?;
        let place = Place { generation, ..Place::default() };
        Some(Retention {
            epoch: place.epoch(self.epoch),
            floor: self.floor,
            head: self.mailbox.head(),
            removed_through: self.removed_through,
        })
    }

    /// The sequence before the first envelope that was stored at this time or later.
    fn before(&self, time: OffsetDateTime) -> u64 {
        self.times.before(time).unwrap_or_else(|| self.mailbox.head()).max(self.floor)
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

/// Seconds since 1970; 0 for an earlier time.
fn unix_seconds(time: OffsetDateTime) -> u64 {
    u64::try_from(time.unix_timestamp()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
