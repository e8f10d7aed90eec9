//! Throttle: holds envelopes back because of a catalog's `max_rate`, and finds them again after a fault.
//!
//! The event of a held envelope is acknowledged, so that later events are projected. The envelope is kept in memory;
//! its event is in `EVENTS`. Every written envelope records the oldest event of which something was held then. A
//! projector that starts writing (this one after a fault, its successor or a standby) reads the events of limited
//! messages again: from that event, or else from the last envelope, up to the last event that is done. It holds the
//! newest envelope of each subject again, unless `ENVELOPES` has that one or a newer one. This depends on no clock,
//! so a delay makes it miss nothing.

pub(crate) mod conflation;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::{Catalog, Catalogs, project};
use tidings_model::{Address, Class, Envelope, EnvelopeSubject, Origin, Position, RawEvent, Tenant};
use tidings_streams::{QueryError, Resume, Topology, last_purge, last_written, next_event};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::dedup::dropped;
use crate::error::ProjectorError;
use crate::placements::ShardPlacements;
use crate::throttle::conflation::{Conflation, Held};

pub(crate) struct Throttle {
    topology: Topology,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    max_event_bytes: usize,
    conflation: Conflation,
    /// The conflation may not know envelopes that were written before this time.
    since: OffsetDateTime,
    /// The newest purge notice that was applied.
    purge: u64,
}

impl Throttle {
    pub(crate) fn new(
        topology: &Topology,
        catalogs: &watch::Receiver<Arc<Catalogs>>,
        max_event_bytes: usize,
    ) -> Self {
        Self {
            topology: topology.clone(),
            catalogs: catalogs.clone(),
            max_event_bytes,
            conflation: Conflation::default(),
            since: OffsetDateTime::UNIX_EPOCH,
            purge: 0,
        }
    }

    /// Whether a catalog limits anything now.
    pub(crate) fn is_used(&self) -> bool {
        self.catalogs.borrow().values().any(Catalog::is_limited)
    }

    /// The oldest event of which an envelope is held.
    pub(crate) fn held_from(&self) -> Option<u64> {
        self.conflation.held_from()
    }

    /// Finds the held envelopes: the newest of each subject among the events up to `through`, which are done or
    /// queued, unless it is written or a newer one is queued.
    pub(crate) async fn reload(
        &mut self,
        resume: Resume,
        through: Position,
        in_line: &HashMap<EnvelopeSubject, Origin>,
        residents: &ShardPlacements,
        now: OffsetDateTime,
    ) -> Result<(), ProjectorError> {
        let mut conflation = Conflation::default();
        for (subject, (found, interval)) in self.look_back(resume, through, residents).await? {
            let Held { envelope, stored_at } = &found;
            let line = in_line.get(&subject);
            if line.is_some_and(|origin| !is_younger(envelope.origin, *origin)) || has_expired(envelope, now)
            {
                continue;
            }
            let written = self.last_written(&subject, residents).await?;
            let at = match (line, written) {
                (_, Some((origin, _))) if !is_younger(envelope.origin, origin) => continue,
                (Some(_), _) => now,
                (None, Some((_, at))) => at.min(now),
                // Earlier envelopes have expired. Those that do not expire were removed, and must not return.
                (None, None) if envelope.expires_at.is_some() || resume.after.is_some() => now - interval,
                (None, None) => continue,
            };
            if self.purged_at(&subject.tenant, &subject.address).await?.is_some_and(|at| at > *stored_at) {
                continue;
            }
            conflation.restore(found, interval, at);
        }
        (self.conflation, self.since) = (conflation, now);
        Ok(())
    }

    /// Reads the newest envelope of each subject among the events of which one may be held.
    async fn look_back(
        &self,
        resume: Resume,
        through: Position,
        residents: &ShardPlacements,
    ) -> Result<HashMap<EnvelopeSubject, (Held, Duration)>, ProjectorError> {
        // Envelopes of another epoch of `EVENTS` are not held.
        let after = resume.after.filter(|after| after.event.epoch == through.epoch);
        let last = after.map_or(0, |after| after.event.sequence);
        let first = resume.held_from.filter(|_| after.is_some()).unwrap_or(last.saturating_add(1));
        let last = last.max(through.sequence);
        let mut newest = HashMap::<EnvelopeSubject, (Held, Duration)>::new();
        if first > last {
            return Ok(newest);
        }
        let catalogs = Arc::clone(&self.catalogs.borrow());
        let own = catalogs.values().filter(|catalog| residents.is_here(catalog.tenant().as_str()));
        for catalog in own {
            let tenant = catalog.tenant();
            let mut dropped = None;
            let events = catalog.replaceable_events();
            for subject in events.flat_map(|event| [event.subject(tenant), event.client_subject(tenant)]) {
                let mut position = Position { sequence: first - 1, ..through };
                while position.sequence < last {
                    let Some(event) = next_event(&self.topology, &subject, position).await? else { break };
                    position = event.position;
                    if position.sequence > last {
                        break;
                    }
                    let dropped = match &mut dropped {
                        Some(dropped) => dropped,
                        none => none.insert(self.dropped(tenant, first, last, through).await?),
                    };
                    if dropped.contains(&position.sequence) {
                        continue;
                    }
                    for (envelope, interval) in self.replaceable_envelopes(&catalogs, &event) {
                        let known = newest.get(&envelope.subject).map(|(known, _)| known.envelope.origin);
                        if known.is_none_or(|known| is_younger(envelope.origin, known)) {
                            let held = Held { envelope, stored_at: event.stored_at };
                            newest.insert(held.envelope.subject.clone(), (held, interval));
                        }
                    }
                }
            }
        }
        Ok(newest)
    }

    /// Finds which of a tenant's events became no envelopes because earlier events have their ids.
    async fn dropped(
        &self,
        tenant: &Tenant,
        first: u64,
        last: u64,
        through: Position,
    ) -> Result<BTreeSet<u64>, ProjectorError> {
        let before = Position { sequence: first - 1, ..through };
        let first = next_event(&self.topology, &format!("events.{tenant}.>"), before).await?;
        let Some(first) = first else { return Ok(BTreeSet::new()) };
        let last = Position { sequence: last, ..through };
        Ok(Box::pin(dropped(&self.topology, tenant, &first, last)).await?)
    }

    fn replaceable_envelopes(
        &self,
        catalogs: &Catalogs,
        event: &RawEvent,
    ) -> impl Iterator<Item = (Envelope, Duration)> {
        // A rejected event became no envelope the first time either.
        let envelopes = project(catalogs, event, self.max_event_bytes).unwrap_or_default();
        let replaceable = envelopes.into_iter().filter(|envelope| envelope.subject.class != Class::Durable);
        // A message that is no longer limited may have been held while it was.
        replaceable.map(|envelope| {
            let interval = interval(catalogs, event, &envelope).unwrap_or_default();
            (envelope, interval)
        })
    }

    /// Holds envelopes that are too early, and returns the rest.
    pub(crate) async fn pass(
        &mut self,
        event: &RawEvent,
        envelopes: Vec<Envelope>,
        residents: &ShardPlacements,
        now: OffsetDateTime,
    ) -> Vec<Envelope> {
        let catalogs = Arc::clone(&self.catalogs.borrow());
        if self.conflation.is_empty() && !catalogs.values().any(Catalog::is_limited) {
            return envelopes;
        }
        let mut passed = Vec::new();
        for envelope in envelopes {
            let interval = interval(&catalogs, event, &envelope);
            if let Some(interval) = interval {
                self.learn(&envelope.subject, interval, residents, now).await;
            }
            let offered = Held { envelope, stored_at: event.stored_at };
            passed.extend(self.conflation.offer(offered, interval, now));
        }
        passed
    }

    /// Reads from the stream when the subject was last written: during its first interval, a projector has not seen
    /// that itself.
    async fn learn(
        &mut self,
        subject: &EnvelopeSubject,
        interval: Duration,
        residents: &ShardPlacements,
        now: OffsetDateTime,
    ) {
        if now >= self.since + interval || self.conflation.knows(subject) {
            return;
        }
        let written = match self.last_written(subject, residents).await {
            Ok(written) => written.map(|(_, at)| at.min(now)),
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot read when the subject was last written; assuming now"
                );
                Some(now)
            }
        };
        if let Some(at) = written.filter(|at| *at + interval > now) {
            self.conflation.written(subject, interval, at);
        }
    }

    /// Reads when a subject was last written. An envelope that is due when a generation becomes current is written in
    /// the generation before.
    async fn last_written(
        &self,
        subject: &EnvelopeSubject,
        residents: &ShardPlacements,
    ) -> Result<Option<(Origin, OffsetDateTime)>, QueryError> {
        for generation in residents.live_generations(&subject.tenant) {
            if let Some(written) = last_written(&self.topology, subject, generation).await? {
                return Ok(Some(written));
            }
        }
        Ok(None)
    }

    /// Removes the held envelopes of a tenant, oldest first, each with the oldest event of which one is still held
    /// behind it.
    pub(crate) fn take(&mut self, tenant: &Tenant, now: OffsetDateTime) -> Vec<(Envelope, Option<u64>)> {
        let mut taken = self.conflation.take_held(|held| held.envelope.subject.tenant == *tenant);
        taken.retain(|held| !has_expired(&held.envelope, now));
        let next = taken.iter().skip(1).map(|held| Some(held.envelope.origin.event.sequence));
        let next: Vec<_> = next.chain([None]).collect();
        let rest = self.conflation.held_from();
        let with_rest = |next: Option<u64>| next.into_iter().chain(rest).min();
        taken.into_iter().zip(next).map(|(held, next)| (held.envelope, with_rest(next))).collect()
    }

    pub(crate) fn is_due(&self, now: OffsetDateTime) -> bool {
        self.conflation.is_due(now)
    }

    /// The next due envelope that has not expired.
    pub(crate) fn release(&mut self, now: OffsetDateTime) -> Option<Envelope> {
        std::iter::from_fn(|| self.conflation.release(now)).find(|envelope| !has_expired(envelope, now))
    }

    /// Drops the held envelopes of addresses that were purged since the last check.
    pub(crate) async fn forget_purged(&mut self) -> Result<(), QueryError> {
        if self.conflation.held_from().is_none() {
            return Ok(());
        }
        let newest = last_purge(&self.topology, None).await?.map_or(0, |(sequence, _)| sequence);
        if newest == self.purge {
            return Ok(());
        }
        let subjects = self.conflation.held().map(|held| &held.envelope.subject);
        let addresses: HashSet<_> =
            subjects.map(|subject| (subject.tenant.clone(), subject.address.clone())).collect();
        for (tenant, address) in addresses {
            if let Some(at) = self.purged_at(&tenant, &address).await? {
                self.conflation.take_held(|Held { envelope, stored_at }| {
                    *stored_at < at
                        && (&envelope.subject.tenant, &envelope.subject.address) == (&tenant, &address)
                });
            }
        }
        self.purge = newest;
        Ok(())
    }

    async fn purged_at(
        &self,
        tenant: &Tenant,
        address: &Address,
    ) -> Result<Option<OffsetDateTime>, QueryError> {
        Ok(last_purge(&self.topology, Some((tenant, address))).await?.map(|(_, at)| at))
    }
}

/// The minimum time between two such envelopes.
fn interval(catalogs: &Catalogs, event: &RawEvent, envelope: &Envelope) -> Option<Duration> {
    let EnvelopeSubject { tenant, class, .. } = &envelope.subject;
    // Every durable envelope matters, whatever a newly loaded catalog says.
    if *class == Class::Durable {
        return None;
    }
    catalogs.get(tenant)?.interval(&event.name().ok()?.1, envelope.origin.message)
}

fn has_expired(envelope: &Envelope, now: OffsetDateTime) -> bool {
    envelope.expires_at.is_some_and(|expires_at| expires_at <= now)
}

/// Whether an envelope is from a later event, or a later part of the same one.
fn is_younger(one: Origin, other: Origin) -> bool {
    one.event.epoch != other.event.epoch
        || (one.event.sequence, one.part) > (other.event.sequence, other.part)
}
