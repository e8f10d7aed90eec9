//! Reads the envelopes of a shard in order, and schedules the fallbacks of those that have some.
//!
//! How far they were read is noted behind what was scheduled, in the same stream. So after the end of a process, or after NATS
//! came back with an older state, the rest is read again; what is scheduled already is not scheduled twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tidings_catalog::Fallback;
use tidings_model::{DeliveryName, Place, Position, ShardNumber};
use tidings_streams::consumers::ConsumerStoreError;
use tidings_streams::deliveries::{Pending, Through};
use tidings_streams::{Content, EnvelopeFollower, Followed, PlacementError, Retry, StoredEnvelope, Topology};
use time::OffsetDateTime;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::addressed::Addressed;
use crate::error::DispatcherError;
use crate::generations::Generations;
use crate::metrics::DispatcherFigures;
use crate::parts::Parts;

/// How often it is noted how far envelopes were read, and checked whether NATS still has that note.
const NOTE: Duration = Duration::from_secs(1);
/// How many deliveries are scheduled at once.
const AT_ONCE: usize = 128;
/// How many are gathered from envelopes that were read together.
const BATCH: usize = 1_024;

/// A delivery, and when it is due.
type ScheduledStep = (DeliveryName, Pending, OffsetDateTime);

/// Schedules until it is dropped; waits while NATS is away.
pub(crate) async fn schedule(topology: &Topology, parts: &Parts, figures: &DispatcherFigures) {
    let mut retry = Retry::to("read envelopes for their fallbacks");
    // How far this process has read: what counts if the stream of deliveries was recreated.
    let mut own = None;
    loop {
        let error = match Scheduler::open(topology, (parts, figures), own).await {
            Ok(mut scheduler) => {
                retry.succeeded();
                let error = scheduler.run().await;
                own = Some(scheduler.through);
                error
            }
            Err(error) => error,
        };
        retry.failed(&error);
        retry.wait().await;
    }
}

struct Scheduler<'p> {
    topology: &'p Topology,
    parts: &'p Parts,
    figures: &'p DispatcherFigures,
    follower: EnvelopeFollower,
    generations: Generations,
    through: Through,
    /// The sequence of the last note of that, and whether something was read since.
    noted: u64,
    is_behind: bool,
    note: Interval,
}

impl<'p> Scheduler<'p> {
    async fn open(
        topology: &'p Topology,
        (parts, figures): (&'p Parts, &'p DispatcherFigures),
        own: Option<Through>,
    ) -> Result<Self, DispatcherError> {
        let (shard, deliveries) = (topology.shard(), &parts.deliveries);
        let (found, noted) = deliveries.through(shard).await?;
        let extent = topology.extent().await?;
        let (through, noted) = if let Some(through) = found {
            (through, noted)
        } else {
            // What was there before the first dispatcher is not sent.
            let end = Position { epoch: extent.epoch, sequence: extent.last };
            let through = own.unwrap_or(Through { position: end, stored_at: None });
            let noted = deliveries.note_through(shard, &through, noted).await?;
            (through, noted.ok_or(DispatcherError::Overtaken)?)
        };
        let follower = match through.stored_at {
            Some(stored_at) => EnvelopeFollower::behind(topology, through.position, stored_at).await?,
            None => EnvelopeFollower::after(topology, through.position, Content::HeadersOnly).await?,
        };
        let mut note = interval(NOTE);
        note.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let generations = Generations::new(shard, extent.epoch);
        Ok(Self { topology, parts, figures, follower, generations, through, noted, is_behind: false, note })
    }

    /// Schedules until something fails, and returns that.
    async fn run(&mut self) -> DispatcherError {
        loop {
            let done = tokio::select! {
                biased;
                _ = self.note.tick() => self.note_through().await,
                followed = self.follower.next() => self.take(followed).await,
            };
            if let Err(error) = done {
                return error;
            }
            self.figures.read_through(self.follower.position().sequence);
        }
    }

    async fn note_through(&mut self) -> Result<(), DispatcherError> {
        let (shard, deliveries) = (self.topology.shard(), &self.parts.deliveries);
        if !self.is_behind {
            let (_, noted) = deliveries.through(shard).await?;
            return if noted == self.noted { Ok(()) } else { Err(DispatcherError::Overtaken) };
        }
        let noted = deliveries.note_through(shard, &self.through, self.noted).await?;
        self.noted = noted.ok_or(DispatcherError::Overtaken)?;
        self.is_behind = false;
        Ok(())
    }

    async fn take(&mut self, followed: Followed) -> Result<(), DispatcherError> {
        match followed {
            Followed::Envelopes(envelopes) => {
                let (mut steps, epoch) = (Vec::new(), self.follower.position().epoch);
                for (stored, left) in envelopes.iter().zip((0..envelopes.len()).rev()) {
                    steps.extend(self.steps(stored).await?);
                    if steps.len() < BATCH && left > 0 {
                        continue;
                    }
                    self.schedule(std::mem::take(&mut steps)).await?;
                    let position = Position { sequence: stored.sequence, epoch };
                    self.through = Through { position, stored_at: Some(stored.stored_at) };
                    self.is_behind = true;
                }
            }
            Followed::Placed { tenant, place, sequence } => self.generations.placed(&tenant, place, sequence),
            Followed::Renewed(epoch) => {
                self.generations = Generations::new(self.topology.shard(), epoch);
                self.through = Through { position: Position { epoch, sequence: 0 }, stored_at: None };
                self.is_behind = true;
            }
            // What is due and not there any more is not sent.
            Followed::Purged(..) => {}
        }
        Ok(())
    }

    /// What is to be scheduled for an envelope.
    async fn steps(&mut self, stored: &StoredEnvelope) -> Result<Vec<ScheduledStep>, DispatcherError> {
        let subject = &stored.envelope.subject;
        let catalogs = Arc::clone(&self.parts.catalogs.borrow());
        let Some(catalog) = catalogs.get(&subject.tenant) else { return Ok(Vec::new()) };
        let fallbacks = catalog.fallbacks(&subject.slot);
        if fallbacks.is_empty() {
            return Ok(Vec::new());
        }
        if !self.generations.knows(&subject.tenant) {
            let placement = match self.topology.placements().load(&subject.tenant).await {
                Ok(placement) => Some(placement),
                // It is logged where it is read.
                Err(PlacementError::Damaged { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            self.generations.learn(&subject.tenant, placement.as_ref());
        }
        if !self.generations.is_new(stored) {
            return Ok(Vec::new());
        }
        let audience = self.audience(stored).await?;
        let shard = self.topology.shard();
        let steps = audience.into_iter().flat_map(|user| {
            let of = move |(number, fallback): (u32, &Fallback)| {
                let at = stored.stored_at + fallback.after();
                (name(stored, &user, number), pending(stored, shard, fallback), at)
            };
            (0..).zip(fallbacks).map(of).collect::<Vec<_>>()
        });
        Ok(steps.collect())
    }

    async fn schedule(&self, steps: Vec<ScheduledStep>) -> Result<(), DispatcherError> {
        let scheduling = stream::iter(steps).map(async |(name, pending, at)| {
            self.parts.deliveries.schedule(&name, &pending, at).await?;
            self.figures.scheduled();
            Ok(())
        });
        scheduling.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Who is meant: the user of the address, or those with a device that receives the envelope.
    async fn audience(&self, stored: &StoredEnvelope) -> Result<BTreeSet<String>, DispatcherError> {
        let (envelope, sequence) = (&stored.envelope, stored.sequence);
        let (tenant, address) = (&envelope.subject.tenant, &envelope.subject.address);
        let addressed = Addressed { address, attributes: &envelope.attributes, sequence };
        if let Some(user) = addressed.user() {
            return Ok(BTreeSet::from([user.to_owned()]));
        }
        let mut audience = BTreeSet::new();
        let place = Place { shard: self.topology.shard(), generation: stored.generation };
        let epoch = place.epoch(self.follower.position().epoch);
        let mut listed = self.parts.consumers.list(tenant, None);
        loop {
            match listed.try_next().await {
                Ok(Some((name, stored))) => {
                    let is_in_place = stored.state.position.epoch == epoch;
                    if addressed.reaches(name.user(), &stored.state, is_in_place) {
                        audience.insert(name.user().to_owned());
                    }
                }
                Ok(None) => return Ok(audience),
                Err(error @ ConsumerStoreError::Unavailable { .. }) => return Err(error.into()),
                // One whose record cannot be read is not served either.
                Err(_) => {}
            }
        }
    }
}

fn name(stored: &StoredEnvelope, user: &str, fallback: u32) -> DeliveryName {
    let (envelope, origin) = (&stored.envelope, stored.envelope.origin);
    let tenant = envelope.subject.tenant.clone();
    DeliveryName { tenant, user: user.to_owned(), event: origin.event, message: origin.message, fallback }
}

fn pending(stored: &StoredEnvelope, shard: ShardNumber, fallback: &Fallback) -> Pending {
    let envelope = &stored.envelope;
    Pending {
        subject: envelope.subject.written_in(Place { shard, generation: stored.generation }),
        sequence: stored.sequence,
        origin: envelope.origin.to_string(),
        event: envelope.event_id.clone(),
        source: envelope.event_source.clone(),
        channel: fallback.channel().as_str().to_owned(),
        attempts: 0,
        retry: None,
    }
}
