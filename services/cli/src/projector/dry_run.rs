//! `tidings projector rebuild --dry-run`: compares what the catalogs would produce with the stored envelopes.
//!
//! Nothing is written. Events and envelopes are both read in order, and only one event's are in memory at a time.

mod purges;
mod report;

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use tidings_catalog::Catalogs;
use tidings_model::{Class, Envelope, Position, RawEvent, Tenant};
use tidings_projector::Dedup;
use tidings_runtime::config::Config;
use tidings_streams::{
    EnvelopeFollower, EventHistory, Followed, Home, Topology, last_event, projected_through,
};
use time::OffsetDateTime;
use tokio::time::timeout;

use self::purges::Purges;
use self::report::Report;
use super::comparison::{Comparison, Pairs, pair};
use crate::catalogs;
use crate::failure::Failure;
use crate::output::{print_json, print_text};

/// How long to wait for messages that the stream reports as present.
const PATIENCE: Duration = Duration::from_secs(5);

/// Compares, and prints the result.
pub(super) async fn run(
    config: &Config,
    topology: &Topology,
    tenant: &Tenant,
    since: Option<OffsetDateTime>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let read = catalogs::read(&config.schemas)?;
    if !read.catalogs.contains_key(tenant) {
        return Err(format!("tenant {tenant} has no catalog; catalogs exist for {}", read.tenants()).into());
    }
    let home = topology.home(tenant).await?;
    let window = home.topology.settings().duplicate_window;
    let consumer = home.topology.shard().name(&config.projector.consumer);
    let dry_run = DryRun {
        catalogs: &read.catalogs,
        max_event_bytes: config.projector.max_event_bytes,
        there: There::open(&home, tenant).await?,
        made: Made::open(&home.topology, tenant, since.map(|since| since - window)).await?,
        since,
        dedup: Dedup::new(window),
        purges: Purges::open(&home, tenant).await?,
        // Without a consumer, the number of waiting events is unknown.
        projected: projected_through(&home.topology, &consumer).await?.unwrap_or(u64::MAX),
        max_age: home.topology.settings().envelopes_max_age,
        comparison: Comparison::default(),
    };
    let comparison = dry_run.compare().await?;
    let report = Report { tenant, place: home.placement.current.place, since, comparison: &comparison };
    if json {
        print_json(&report.json())?;
    } else {
        print_text(&report.text())?;
    }
    Ok(ExitCode::SUCCESS)
}

struct DryRun<'c> {
    catalogs: &'c Catalogs,
    max_event_bytes: usize,
    there: There,
    made: Made,
    /// Events before this time are read as well, because later ones may repeat them.
    since: Option<OffsetDateTime>,
    dedup: Dedup,
    purges: Purges,
    /// The sequence up to which all events are projected.
    projected: u64,
    /// How long envelopes are kept.
    max_age: Duration,
    comparison: Comparison,
}

impl DryRun<'_> {
    async fn compare(mut self) -> Result<Comparison, Failure> {
        let mut first = None;
        while let Some(event) = self.made.next().await? {
            if self.since.is_some_and(|since| event.stored_at < since) {
                // Its outcome does not matter here.
                let _ = self.dedup.project(self.catalogs, &event, self.max_event_bytes);
                continue;
            }
            let first = *first.get_or_insert(event.position);
            let there = self.take_up_to(first, event.position).await?;
            if event.position.sequence > self.projected && there.is_empty() {
                self.comparison.waiting += 1;
            } else {
                self.take(event, there).await?;
            }
        }
        let end = self.made.end;
        while let Some(envelope) = self.there.next().await? {
            let at = envelope.origin.event;
            match first {
                Some(first) if at.epoch == first.epoch && at.sequence >= first.sequence => {
                    // Later events were published since the start.
                    if at.sequence <= end {
                        self.comparison.take_late(envelope);
                    }
                }
                _ => self.comparison.older += 1,
            }
        }
        Ok(self.comparison.finish())
    }

    /// Compares the envelopes that an event would produce with its stored ones.
    async fn take(&mut self, event: RawEvent, there: Vec<Envelope>) -> Result<(), Failure> {
        self.comparison.events += 1;
        let made = self.dedup.project(self.catalogs, &event, self.max_event_bytes);
        let mut made = made.unwrap_or_else(|rejection| {
            self.comparison.reject(event.clone(), rejection);
            Vec::new()
        });
        made.retain(|envelope| envelope.subject.class != Class::Ephemeral);
        let mut pairs = pair(there, made);
        let mut new = Vec::new();
        for envelope in std::mem::take(&mut pairs.new) {
            if self.would_be_written(&event, &envelope).await? {
                new.push(envelope);
            }
        }
        self.comparison.take(Pairs { new, ..pairs });
        Ok(())
    }

    /// Reads the stored envelopes of an event, after all before them.
    async fn take_up_to(&mut self, first: Position, event: Position) -> Result<Vec<Envelope>, Failure> {
        let mut found = Vec::new();
        while let Some(next) = self.there.peek().await? {
            let at = next.origin.event;
            let is_older = at.epoch != first.epoch || at.sequence < first.sequence;
            if !is_older && at.sequence > event.sequence {
                break;
            }
            let Some(envelope) = self.there.next().await? else { break };
            if is_older {
                self.comparison.older += 1;
            } else if at.sequence < event.sequence {
                self.comparison.take_late(envelope);
            } else {
                found.push(envelope);
            }
        }
        Ok(found)
    }

    /// Whether a rebuild would write an envelope that is not stored: it has not expired, was not purged, and is not
    /// held back.
    async fn would_be_written(&mut self, event: &RawEvent, envelope: &Envelope) -> Result<bool, Failure> {
        let (now, subject) = (OffsetDateTime::now_utc(), &envelope.subject);
        let catalog = self.catalogs.get(&subject.tenant).zip(event.name().ok());
        let interval =
            catalog.and_then(|(catalog, (_, name))| catalog.interval(&name, envelope.origin.message));
        let is_held = interval.is_some_and(|interval| event.stored_at + interval > now);
        let is_kept = !has_expired(envelope) && event.stored_at + self.max_age > now;
        Ok(is_kept && !is_held && !self.purges.covers(&subject.address, event.stored_at).await?)
    }
}

fn has_expired(envelope: &Envelope) -> bool {
    envelope.expires_at.is_some_and(|expires_at| expires_at <= OffsetDateTime::now_utc())
}

/// The stored envelopes, in order.
struct There {
    follower: EnvelopeFollower,
    ready: VecDeque<Envelope>,
}

impl There {
    async fn open(home: &Home, tenant: &Tenant) -> Result<Self, Failure> {
        let generation = home.placement.current.place.generation;
        let follower = EnvelopeFollower::of_generation(&home.topology, tenant, generation).await?;
        Ok(Self { follower, ready: VecDeque::new() })
    }

    async fn peek(&mut self) -> Result<Option<&Envelope>, Failure> {
        while self.ready.is_empty() {
            match self.follower.next_pending().await? {
                Some(Followed::Envelopes(envelopes)) => {
                    let envelopes = envelopes.into_iter().map(|stored| stored.envelope);
                    let is_lasting = |envelope: &Envelope| {
                        envelope.subject.class != Class::Ephemeral && !has_expired(envelope)
                    };
                    self.ready.extend(envelopes.filter(is_lasting));
                }
                Some(Followed::Purged(..) | Followed::Placed { .. }) => {}
                Some(Followed::Renewed(_)) => {
                    return Err("the stream of envelopes was replaced meanwhile; try again".into());
                }
                None => return Ok(None),
            }
        }
        Ok(self.ready.front())
    }

    async fn next(&mut self) -> Result<Option<Envelope>, Failure> {
        self.peek().await?;
        Ok(self.ready.pop_front())
    }
}

/// The events that would be projected, in order, up to the last one at the start.
struct Made {
    topology: Topology,
    tenant: Tenant,
    history: EventHistory,
    /// The sequence of the last one; 0 if there was none.
    end: u64,
}

impl Made {
    async fn open(
        topology: &Topology,
        tenant: &Tenant,
        since: Option<OffsetDateTime>,
    ) -> Result<Self, Failure> {
        let end = last_event(topology, tenant).await?.map_or(0, |last| last.sequence);
        let history = EventHistory::open(topology, tenant, None, since).await?;
        Ok(Self { topology: topology.clone(), tenant: tenant.clone(), history, end })
    }

    async fn next(&mut self) -> Result<Option<RawEvent>, Failure> {
        loop {
            if let Some(event) = self.history.take() {
                return Ok(Some(event).filter(|event| event.position.sequence <= self.end));
            }
            if self.history.position().sequence >= self.end || self.history.has_read_all().await? {
                return Ok(None);
            }
            if timeout(PATIENCE, self.history.ready()).await.is_err() {
                // The remaining events may have been removed meanwhile.
                let last = last_event(&self.topology, &self.tenant).await?;
                self.end = self.end.min(last.map_or(0, |last| last.sequence));
            }
        }
    }
}
