//! The engine's part in changing tenants' places: what is to be done, in which order with the rest of the line.

use std::sync::Arc;

use tidings_model::{Place, Tenant};
use tidings_streams::{DiscardError, ExtentError, PlacementError, WriteMarkers, discard_generation};

use super::Engine;
use crate::rebuild::RunningRebuild;
use crate::write_queue::entry::{Cause, Item};

impl Engine {
    /// Takes over where tenants are.
    pub(super) async fn hear(&mut self) {
        let all = Arc::clone(&self.placements.borrow_and_update());
        if let Err(error) = self.residents.update(&all).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the bucket will follow later");
        }
    }

    /// Begins what is to be made anew, goes on with it, and has tenants change over.
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
        let attempt = self.next_attempt();
        self.job = Some(RunningRebuild::start(&self.workshop, next, share, attempt));
    }

    pub(super) fn next_attempt(&self) -> u64 {
        u64::try_from((self.clock)().unix_timestamp_nanos() / 1_000).unwrap_or_default()
    }

    /// Puts what is made anew in line.
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

    /// All is made: what is held back belongs to the old generation, what is read from now on to the new one.
    async fn switch(&mut self) {
        if let Err(error) = self.holding.forget_purged().await {
            return tracing::warn!(error = &error as &dyn std::error::Error, "changing over later");
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

    /// A notice was stored.
    pub(super) async fn change_over(&mut self, tenant: &Tenant, place: Place) {
        if self.job.as_ref().is_some_and(|job| job.tenant() == tenant) {
            self.job = None;
        }
        if let Err(error) = self.residents.stored(tenant, place).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the bucket will follow later");
        }
    }

    /// Removes what was made in vain, unless it became current after all.
    async fn discard(&mut self) {
        let Some(job) = self.job.take() else { return };
        let (tenant, place) = (job.tenant(), job.rebuild().place);
        let discarding = async {
            // In this order: whoever begins anew does so behind this sequence.
            let last = self.topology.extent().await?.last;
            if !self.residents.is_in_use(tenant, place).await? {
                discard_generation(&self.topology, tenant, place.generation, last).await?;
            }
            Ok::<_, InVain>(())
        };
        if let Err(error) = discarding.await {
            tracing::warn!(error = &error as &dyn std::error::Error, "discarding it later");
            self.job = Some(job);
        }
    }
}

/// What was made in vain is still there.
#[derive(Debug, thiserror::Error)]
enum InVain {
    #[error("it is not known whether it is in vain")]
    Placement(#[from] PlacementError),
    #[error("the shard's stream does not say how far it goes")]
    Extent(#[from] ExtentError),
    #[error("what was made in vain is not removed")]
    Discard(#[from] DiscardError),
}
