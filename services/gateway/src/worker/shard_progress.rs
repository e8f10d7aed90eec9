//! How far a worker has come in a shard. Pure, but for the replica that it leads to.
//!
//! The fan-out moves the cursor in the same step in which it offers the envelopes, so a connection never sees one without
//! the other.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use tidings_model::{Epoch, Place, PlacedPosition, Position, ShardNumber, Tenant};
use tidings_protocol::server::GapReason;
use tidings_replica::{Gap, Generations, Replica, ResumePoint};

use super::interest::{Cursor, Interest, ShardUpdate};

/// One worker's progress in one shard.
pub(super) struct ShardProgress {
    shard: ShardNumber,
    replica: Arc<Replica>,
    /// Of the shard's tenants, as far as everything was delivered.
    generations: RefCell<Generations>,
    epoch: Cell<Epoch>,
    cursor: Cursor,
}

impl ShardProgress {
    /// The worker of this number has everything up to `position`.
    pub(super) fn new(
        (shard, replica): (ShardNumber, Arc<Replica>),
        position: Position,
        (interest, worker): (Arc<Interest>, usize),
    ) -> Self {
        Self {
            shard,
            generations: RefCell::new(replica.generations()),
            replica,
            epoch: Cell::new(position.epoch),
            cursor: Cursor::new(interest, worker, position.sequence),
        }
    }

    pub(super) fn shard(&self) -> ShardNumber {
        self.shard
    }

    pub(super) fn replica(&self) -> &Replica {
        &self.replica
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch.get()
    }

    /// Everything up to this sequence was offered to the live connections.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor.get()
    }

    /// The worker's place, which the cursor is read from.
    pub(super) fn place(&self) -> &Cursor {
        &self.cursor
    }

    /// Notes what is new, but for envelopes, with which the fan-out moves the cursor.
    pub(super) fn note(&self, update: &ShardUpdate) {
        let mut generations = self.generations.borrow_mut();
        match update {
            ShardUpdate::Envelopes(_) => {}
            ShardUpdate::Began { tenant, generation, since } => {
                generations.begin(tenant, *generation, *since);
                self.cursor.advance_to(*since);
            }
            ShardUpdate::Left { tenant, generation } => generations.leave(tenant, *generation),
            ShardUpdate::Restarted(epoch) => {
                self.epoch.set(*epoch);
                self.cursor.restart();
                generations.renew();
            }
        }
    }

    /// The tenant's current generation; `None` if its envelopes are in another shard.
    pub(super) fn current(&self, tenant: &Tenant) -> Option<u32> {
        self.generations.borrow().current(tenant)
    }

    /// Whether the notice of this generation lies ahead.
    pub(super) fn is_to_come(&self, tenant: &Tenant, generation: u32) -> bool {
        self.generations.borrow().is_to_come(tenant, generation)
    }

    /// Whether the tenant was in another shard since this generation began, and is back.
    pub(super) fn has_come_back(&self, tenant: &Tenant, generation: u32) -> bool {
        self.generations.borrow().has_come_back(tenant, generation)
    }

    /// The generation of a sequence for a connection that began in `first`, and up to which sequence that is so.
    pub(super) fn generation_at(&self, tenant: &Tenant, first: u32, sequence: u64) -> (u32, u64) {
        self.generations.borrow().at(tenant, first, sequence)
    }

    /// A sequence as a position of a connection that began in the generation `first`.
    pub(super) fn position(&self, tenant: &Tenant, first: u32, sequence: u64) -> PlacedPosition {
        self.generations.borrow().position(tenant, first, self.epoch.get(), sequence)
    }

    /// Where a new connection begins, and in which generation: the stream may have been recreated since its handshake.
    pub(super) fn begin_at(&self, tenant: &Tenant, resume: ResumePoint) -> (ResumePoint, u32) {
        // The worker may not have come to the notice yet that the handshake knew.
        if let Some(generation) = Place::generation_of(resume.after.epoch, self.epoch.get(), u32::MAX) {
            return (resume, generation);
        }
        let current = self.current(tenant).unwrap_or_default();
        let after = self.position(tenant, current, 0).position;
        let gap = Gap { from: resume.after, to: after, reason: GapReason::Epoch };
        (ResumePoint { after, gap: resume.gap.or(Some(gap)) }, current)
    }
}
