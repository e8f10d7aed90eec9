//! Placement changes in the engine: runs rebuilds and queues the notices at which tenants switch.

use std::sync::Arc;

use tidings_model::{Place, Tenant};
use tidings_streams::{DiscardError, ExtentError, PlacementError, WriteMarkers, discard_generation};

use super::Engine;
use crate::rebuild::RunningRebuild;
use crate::write_queue::entry::{Cause, Item};

impl Engine {
    /// Applies the placements that were last read from the bucket.
    pub(super) async fn hear(&mut self) {
        let all = Arc::clone(&self.placements.borrow_and_update());
        let updated = self.residents.update(&all).await;
        self.note_update(&updated);
    }

    /// Starts a requested rebuild, advances it, and queues the notices at which tenants switch.
    pub(super) async fn change_places(&mut self) {
        let has_work = self.residents.has_work() || self.job.is_some();
        if !has_work || !self.has_read_what_is_written() {
            return;
        }
        self.job.take_if(|job| job.has_ended());
        while let Some((tenant, place)) = self.residents.has_left() {
            self.holding.take(&tenant, (self.clock)());
            self.announce(&tenant, place);
        }
        let Some(job) = &mut self.job else { return self.begin() };
        if !self.residents.wants(job.tenant(), job.rebuild()) {
            job.cancel();
        }
        if job.is_over() {
            return self.discard().await;
        }
        if job.is_done(self.reader.position()) {
            self.switch().await;
        }
    }

    fn begin(&mut self) {
        let Some(next) = self.residents.rebuild() else { return };
        let share = self.in_flight / 2;
        self.job = Some(RunningRebuild::start(&self.workshop, next, share));
    }

    /// Queues the envelopes of a rebuild.
    pub(super) fn put_rebuilt(&mut self) {
        let live = self.reader.position();
        while let Some((rebuilt, mut envelopes)) = self.job.as_mut().and_then(|job| job.take(live)) {
            let made = envelopes.len();
            envelopes.retain(|envelope| !self.refused.contains(&envelope.origin.order()));
            for _ in envelopes.len()..made {
                self.job.iter_mut().for_each(RunningRebuild::leave_out);
            }
            self.put(Cause::Rebuilt(rebuilt), self.trail(), envelopes.into_iter().map(Item::Envelope));
        }
    }

    /// Ends a complete rebuild: held envelopes belong to the old generation, events read from now on to the new one.
    async fn switch(&mut self) {
        if !self.has_forgotten_purged().await {
            return;
        }
        let Some(job) = &mut self.job else { return };
        job.announce();
        let (tenant, place) = (job.tenant().clone(), job.rebuild().place);
        for (envelope, held_from) in self.holding.take(&tenant, (self.clock)()) {
            let trail = WriteMarkers { held_from, ..self.trail() };
            self.put(Cause::Late, trail, [Item::Envelope(envelope)]);
        }
        self.announce(&tenant, place);
    }

    fn announce(&mut self, tenant: &Tenant, place: Place) {
        self.put(Cause::Notice, self.trail(), [Item::Notice(tenant.clone(), place)]);
        self.residents.put_in_line(tenant, place);
    }

    /// Handles a stored notice.
    pub(super) async fn change_over(&mut self, tenant: &Tenant, place: Place) {
        if self.job.as_ref().is_some_and(|job| job.tenant() == tenant) {
            self.job = None;
        }
        let updated = self.residents.stored(tenant, place).await;
        self.note_update(&updated);
    }

    fn note_update(&mut self, updated: &Result<(), PlacementError>) {
        match updated {
            Ok(()) => self.updating_placements.succeeded(),
            Err(error) => self.updating_placements.failed(error),
        }
    }

    /// Removes the envelopes of a cancelled rebuild, unless its generation became current after all.
    async fn discard(&mut self) {
        let Some(job) = self.job.take() else { return };
        let (tenant, place) = (job.tenant(), job.rebuild().place);
        let discarding = async {
            // In this order: a new rebuild starts behind this sequence.
            let last = self.topology.extent().await?.last;
            if !self.residents.is_in_use(tenant, place).await? {
                discard_generation(&self.topology, tenant, place.generation, last).await?;
            }
            Ok::<_, InVain>(())
        };
        if let Err(error) = discarding.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot remove the cancelled rebuild; trying again"
            );
            self.job = Some(job);
        }
    }
}

/// Why the envelopes of a cancelled rebuild are still in the stream.
#[derive(Debug, thiserror::Error)]
enum InVain {
    #[error("cannot determine whether the generation is in use")]
    Placement(#[from] PlacementError),
    #[error("cannot read the end of the shard's stream")]
    Extent(#[from] ExtentError),
    #[error("cannot remove the generation")]
    Discard(#[from] DiscardError),
}
