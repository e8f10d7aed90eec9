//! What is held back because of a catalog's `max_rate`, and how it is found again.
//!
//! The event of a held envelope is acknowledged, so that those behind it flow; the envelope lives in memory,
//! and in `EVENTS` as its event. Every envelope that is written says from which event on something was held
//! back then. So whoever takes up writing, be it this projector after a fault, its successor or a standby,
//! reads the events of limited messages again: from there, or else from the last envelope, up to what is
//! done. The newest of each subject is held anew unless `ENVELOPES` has it, or a younger one. No clock takes
//! part in that, so no delay makes it miss anything.

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
use crate::placements::ShardPlacements;
use crate::start::ProjectorError;
use crate::throttle::conflation::{Conflation, Held};

pub(crate) struct Throttle {
    topology: Topology,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    max_event_bytes: usize,
    conflation: Conflation,
    /// What was written before this, the conflation may not know.
    since: OffsetDateTime,
    /// The newest notice of a purge that was heeded.
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

    /// Whether anything is limited now.
    pub(crate) fn is_used(&self) -> bool {
        self.catalogs.borrow().values().any(Catalog::is_limited)
    }

    /// The oldest event of which something is held.
    pub(crate) fn held_from(&self) -> Option<u64> {
        self.conflation.held_from()
    }

    /// Finds what is held back: the newest on each subject among the events up to `through`, which
    /// are done or in line, unless it is written or a younger one is in line.
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
                // What came before it has expired; what does not expire was removed, and this is not to bring
                // it back.
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

    /// The newest on each subject among the events of which something may be held back.
    async fn look_back(
        &self,
        resume: Resume,
        through: Position,
        residents: &ShardPlacements,
    ) -> Result<HashMap<EnvelopeSubject, (Held, Duration)>, ProjectorError> {
        // Of another life of `EVENTS`, nothing is held.
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

    /// Which of a tenant's events became no envelopes because others have their ids.
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
        // What is rejected became no envelope the first time either.
        let envelopes = project(catalogs, event, self.max_event_bytes).unwrap_or_default();
        let replaceable = envelopes.into_iter().filter(|envelope| envelope.subject.class != Class::Durable);
        // What is not limited any more may have been held back when it was.
        replaceable.map(|envelope| {
            let interval = interval(catalogs, event, &envelope).unwrap_or_default();
            (envelope, interval)
        })
    }

    /// Keeps back what comes too soon, and returns the rest.
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

    /// In its first interval, a projector does not know by itself what was written just before.
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
                tracing::debug!(error = &error as &dyn std::error::Error, "taken as written just now");
                Some(now)
            }
        };
        if let Some(at) = written.filter(|at| *at + interval > now) {
            self.conflation.written(subject, interval, at);
        }
    }

    /// What was written last on a subject. What is due when a generation becomes current is written in the one before.
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

    /// Takes out what is held of a tenant, the oldest first, each with the oldest event of which something is held
    /// behind it still.
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

    /// The next envelope whose turn has come, unless it has expired meanwhile.
    pub(crate) fn release(&mut self, now: OffsetDateTime) -> Option<Envelope> {
        std::iter::from_fn(|| self.conflation.release(now)).find(|envelope| !has_expired(envelope, now))
    }

    /// Drops what is held for somebody whose envelopes were removed since it was looked last.
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

/// The least time between two such envelopes.
fn interval(catalogs: &Catalogs, event: &RawEvent, envelope: &Envelope) -> Option<Duration> {
    let EnvelopeSubject { tenant, class, .. } = &envelope.subject;
    // Of these every one matters, whatever a catalog says that has just come.
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
