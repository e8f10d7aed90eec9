//! The engine around the projection: reads, writes, rejects and acknowledges.
//!
//! One queue holds everything to be written: envelopes of events read live, envelopes that were held back and are
//! due, envelopes of a rebuild, and the notices at which tenants switch. So when an entry is stored, all entries
//! before it are.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::Catalogs;
use tidings_model::{Envelope, OriginOrder};
use tidings_streams::{
    EnvelopeWriter, EventReader, Outgoing, Pace, ReadEvent, Resume, Retry, Topology, WriteError, WriteMarkers,
};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::task::AbortOnDropHandle;

use crate::error::ProjectorError;
use crate::metrics::ProjectorFigures;
use crate::placements::{self, ShardPlacements};
use crate::projection::Projection;
use crate::rebuild::{self, RebuildContext, RunningRebuild};
use crate::settings::Settings;
use crate::throttle::Throttle;
use crate::write_queue::WriteQueue;
use crate::write_queue::entry::{Cause, Entry, Item};
use crate::write_trace::WriteTrace;

mod lead;
mod lease;
mod places;
mod recover;
mod refuse;

use self::lease::Leadership;
use self::refuse::refuse;

/// How long publications in flight may take to finish at shutdown; the next projector writes the rest.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// How often the engine checks whether a held envelope is due.
const PULSE: Duration = Duration::from_millis(50);
/// How often an idle projector checks whether another one has left held envelopes behind.
const LOOK: Duration = Duration::from_secs(2);

pub(crate) struct Engine {
    topology: Topology,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    in_flight: usize,
    clock: fn() -> OffsetDateTime,
    reader: EventReader,
    projecting: Projection,
    writer: EnvelopeWriter,
    resume: Resume,
    backlog: WriteQueue<Entry, Item>,
    traced: WriteTrace,
    holding: Throttle,
    next_look: Instant,
    /// The ends of the streams at the last check, if another projector has moved them.
    seen: Option<(u64, u64)>,
    residents: ShardPlacements,
    placements: watch::Receiver<placements::All>,
    _watching: AbortOnDropHandle<()>,
    leadership: Leadership,
    /// Attempts to write the shard's stream of envelopes.
    writing: Retry,
    /// Attempts to read which addresses were purged, before held envelopes are written.
    checking_purges: Retry,
    /// Attempts to bring placements up to date.
    updating_placements: Retry,
    /// The term in which this projector has taken over; `None` while it stands by.
    term: Option<u64>,
    workshop: RebuildContext,
    job: Option<RunningRebuild>,
    /// The sequence of the last envelope that this projector stored.
    stored_last: u64,
    /// Envelopes that the stream refuses, so that no rebuild tries them for ever.
    refused: BTreeSet<OriginOrder>,
    figures: Arc<ProjectorFigures>,
}

impl Engine {
    pub(crate) async fn open(
        topology: Topology,
        catalogs: watch::Receiver<Arc<Catalogs>>,
        settings: Settings,
        clock: fn() -> OffsetDateTime,
        figures: Arc<ProjectorFigures>,
    ) -> Result<Self, ProjectorError> {
        let Settings { consumer, in_flight, max_event_bytes, shard, shards, sources } = settings;
        let pace = Pace { max_ahead: in_flight };
        let leadership = Leadership::open(&topology).await?;
        let reader = EventReader::open(&topology, &shard.name(&consumer), pace).await?;
        let (writer, resume) = EnvelopeWriter::open(&topology).await?;
        let writer = writer.with_window(in_flight);
        let mut residents = ShardPlacements::new(&topology, shards);
        let served = Arc::clone(&catalogs.borrow());
        residents.learn(served.keys()).await?;
        let mut holding = Throttle::new(&topology, &catalogs, max_event_bytes);
        holding.reload(reader.still(resume), reader.position(), &HashMap::new(), &residents, clock()).await?;
        let (placements, watching) = placements::watch_placements(topology.placements().clone());
        Ok(Self {
            projecting: Projection::new(&topology, &catalogs, max_event_bytes, sources, Arc::clone(&figures)),
            workshop: RebuildContext {
                topology: topology.clone(),
                consumer,
                catalogs: catalogs.clone(),
                max_event_bytes,
                clock,
                lease: leadership.lease().clone(),
            },
            topology,
            catalogs,
            in_flight,
            clock,
            reader,
            writer,
            resume,
            backlog: WriteQueue::new(),
            traced: WriteTrace::default(),
            holding,
            next_look: Instant::now() + LOOK,
            seen: None,
            residents,
            placements,
            _watching: watching,
            leadership,
            writing: Retry::to("write envelopes"),
            checking_purges: Retry::to("read which addresses were purged"),
            updating_placements: Retry::to("update placements"),
            term: None,
            job: None,
            stored_last: 0,
            refused: BTreeSet::new(),
            figures,
        })
    }

    pub(crate) async fn work(&mut self) {
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.follow_leader().await;
            if self.leads() {
                self.change_places().await;
                if let Err(error) = self.send().await {
                    self.recover(error).await;
                }
            }
            let rebuilt = self.job.as_ref().map_or(0, RunningRebuild::in_line);
            let has_room = self.backlog.len().saturating_sub(rebuilt) < self.in_flight;
            let (live, is_caught_up) = (self.reader.position(), self.has_read_what_is_written());
            let leads = self.leads();
            tokio::select! {
                biased;
                stored = self.writer.stored() => match stored {
                    Ok(sequences) => self.confirm(sequences).await,
                    Err(error) => self.recover(error).await,
                },
                () = self.leadership.changed() => {}
                _ = pulse.tick() => {
                    if leads {
                        self.write_late(has_room).await;
                        self.projecting.note_scheduled().await;
                        self.reader.acknowledge_rest().await;
                    }
                    self.show();
                },
                Ok(()) = self.placements.changed() => self.hear().await,
                event = self.reader.next(), if leads && has_room => self.accept(event).await,
                () = rebuild::ready(self.job.as_mut(), live), if leads && is_caught_up => self.put_rebuilt(),
            }
        }
    }

    /// Shows what is under way to those who ask for figures.
    fn show(&self) {
        let (in_flight, queued) = (self.writer.unconfirmed(), self.backlog.len());
        self.figures.look(self.leads(), self.reader.done_through(), in_flight, queued);
        self.figures.look_at_rebuild(self.job.as_ref().map(RunningRebuild::progress));
    }

    /// Projects an event and queues its envelopes.
    async fn accept(&mut self, read: ReadEvent) {
        self.figures.read();
        let tenant = read.event.tenant().unwrap_or_default();
        if let Some(job) = self.job.as_mut().filter(|job| job.tenant().as_str() == tenant) {
            job.read(read.event.position);
        }
        let mut envelopes = Vec::new();
        if self.residents.is_lost(tenant) && !self.is_written(&read) {
            self.projecting.reject_unplaced(&read.event).await;
        }
        let is_here = self.residents.is_here(tenant);
        self.projecting.follow(tenant, read.event.position, is_here);
        if is_here {
            let now = (self.clock)();
            envelopes = self.projecting.envelopes(&read.event).await;
            envelopes.retain(|envelope| is_wanted(envelope, self.resume, now));
            envelopes = self.holding.pass(&read.event, envelopes, &self.residents, now).await;
        }
        let trail = WriteMarkers { through: None, held_from: self.holding.held_from() };
        self.put(Cause::Event(read), trail, envelopes.into_iter().map(Item::Envelope));
        self.acknowledge_done().await;
    }

    /// Whether all envelopes of this event were written before this projector took over.
    fn is_written(&self, read: &ReadEvent) -> bool {
        self.resume.after.is_some_and(|after| after.event.is_at_or_behind(read.event.position))
    }

    fn put(&mut self, cause: Cause, trail: WriteMarkers, items: impl IntoIterator<Item = Item>) {
        self.backlog.push(Entry { cause, trail }, items.into_iter().collect::<Vec<_>>());
    }

    /// The markers for an entry that is queued now: how far everything before it is written.
    fn trail(&self) -> WriteMarkers {
        WriteMarkers { through: Some(self.reader.position()), held_from: self.holding.held_from() }
    }

    /// Queues held envelopes that are due; from time to time looks for what another projector has left.
    async fn write_late(&mut self, has_room: bool) {
        let now = (self.clock)();
        if has_room && self.has_read_what_is_written() && self.holding.is_due(now) {
            if !self.has_forgotten_purged().await {
                return;
            }
            while let Some(envelope) = self.holding.release(now) {
                // Until this one is written, the due envelopes after it count as held.
                self.put(Cause::Late, self.trail(), [Item::Envelope(envelope)]);
            }
        }
        if self.next_look <= Instant::now() {
            self.next_look = Instant::now() + LOOK;
            if self.residents.is_ahead() {
                self.hear().await;
            }
            self.projecting.look_at_schedules().await;
            if let Err(error) = self.look_for_others().await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot check for another projector's writes; trying again"
                );
            }
        }
    }

    /// Drops the held envelopes of addresses that were purged; returns whether NATS could say which those are.
    async fn has_forgotten_purged(&mut self) -> bool {
        match self.holding.forget_purged().await {
            Ok(()) => self.checking_purges.succeeded(),
            Err(ref error) => {
                self.checking_purges.failed(error);
                return false;
            }
        }
        true
    }

    /// Whether the reader has reached the end of the predecessor's writing. Before that, an envelope that is not
    /// written in its event's turn could not mark how far all others were written: marked with this reader's
    /// position, it would have the rest written once more.
    fn has_read_what_is_written(&self) -> bool {
        let position = self.reader.position();
        self.resume.after.is_none_or(|after| {
            after.event.epoch != position.epoch
                || after.event.sequence <= position.sequence
                || !self.reader.holds(after.event)
        })
    }

    /// Sends queued items up to the limit in flight.
    async fn send(&mut self) -> Result<(), WriteError> {
        while self.writer.has_room() {
            let Some((entry, item)) = self.backlog.unsent() else { break };
            match item {
                Item::Envelope(envelope) => {
                    let outgoing = outgoing(entry, envelope, &self.residents);
                    match self.writer.send(outgoing, (self.clock)()).await {
                        Err(error @ WriteError::Refused(_)) => {
                            let refused = self.backlog.take_unsent();
                            refuse(&mut self.projecting, &mut self.refused, refused, &error).await;
                            continue;
                        }
                        sent => sent?,
                    };
                    self.traced.sent(envelope);
                }
                Item::Notice(tenant, place) => {
                    self.writer.announce(tenant, *place, entry.trail).await?;
                    self.residents.sent(tenant, *place);
                    // The tenant switches when this is stored.
                    self.writer.ask().await?;
                }
            }
            self.backlog.mark_sent();
        }
        Ok(())
    }

    /// Takes what is stored from the queue.
    async fn confirm(&mut self, sequences: RangeInclusive<u64>) {
        self.stored_last = *sequences.end();
        self.writing.succeeded();
        for _ in sequences {
            let Some((entry, item)) = self.backlog.confirm() else { break };
            self.figures.stored(&entry.cause);
            let is_rebuilt = matches!(entry.cause, Cause::Rebuilt(_));
            match item {
                Item::Notice(tenant, place) => self.change_over(&tenant, place).await,
                Item::Envelope(envelope) => {
                    self.traced.stored(&envelope);
                    if is_rebuilt {
                        self.job.iter_mut().for_each(RunningRebuild::confirm);
                    }
                }
            }
        }
        self.acknowledge_done().await;
    }

    /// Takes events that are done from the queue; they are acknowledged now or a little later.
    async fn acknowledge_done(&mut self) {
        while let Some(entry) = self.backlog.pop_done() {
            if let Cause::Event(read) = entry.cause {
                let delay = (self.clock)() - read.event.stored_at;
                self.figures.done(delay.try_into().unwrap_or_default());
                self.reader.done(read);
            }
        }
        if self.reader.owes_many() {
            self.projecting.note_scheduled().await;
            self.reader.acknowledge().await;
        }
    }

    /// Waits for publications in flight, so that nothing is repeated after a planned restart. Held envelopes are left
    /// to the next projector, which finds them in `EVENTS`: written now, they would be too early.
    pub(crate) async fn finish(mut self) {
        let last_writes = async {
            if self.writer.ask().await.is_ok() {
                while self.writer.unconfirmed() > 0 {
                    let Ok(sequences) = self.writer.stored().await else { break };
                    self.confirm(sequences).await;
                }
            }
            self.projecting.note_scheduled().await;
            self.reader.acknowledge().await;
            // Acknowledgements are plain publications; the flush sends them.
            let flushed = self.topology.client().flush().await;
            self.leadership.give_back().await;
            flushed
        };
        match tokio::time::timeout(LAST_WRITES, last_writes).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last acknowledgements may be lost"),
            Err(_) => tracing::warn!(
                "NATS did not confirm the last envelopes in time; they will be checked at the next start"
            ),
        }
    }
}

/// Builds the publication of an envelope. The tenant's placement at the time of sending counts: a notice may lie
/// between that and the reading of the event.
fn outgoing<'e>(entry: &Entry, envelope: &'e Envelope, residents: &ShardPlacements) -> Outgoing<'e> {
    let outgoing = Outgoing { trail: entry.trail, ..Outgoing::from(envelope) };
    match entry.cause {
        Cause::Rebuilt(rebuilt) => {
            Outgoing { generation: rebuilt.generation, kept_until: Some(rebuilt.kept_until), ..outgoing }
        }
        _ => Outgoing { generation: residents.generation(&envelope.subject.tenant), ..outgoing },
    }
}

/// Whether an envelope is still to be written: it is neither stored nor expired.
fn is_wanted(envelope: &Envelope, resume: Resume, now: OffsetDateTime) -> bool {
    resume.wants(envelope.origin) && envelope.expires_at.is_none_or(|expires_at| expires_at > now)
}
