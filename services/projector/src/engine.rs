//! The engine around the projection: reading, writing, rejecting, acknowledging.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::{Catalogs, Rejection, project};
use tidings_model::{Envelope, RawEvent, ShardNumber, Tenant, headers};
use tidings_runtime::telemetry::propagation;
use tidings_streams::{
    EnvelopeWriter, EventReader, ExtentError, Outgoing, Pace, PastError, ReadEvent, ReaderError, Rejections,
    Resume, Topology, Trail, WriteError,
};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::backlog::Backlog;
use crate::holding::Holding;
use crate::under_way::UnderWay;

/// How long to wait before NATS is asked again.
const RETRY: Duration = Duration::from_millis(250);
/// How long NATS may be away while a projector starts, before the process ends and says why.
const PATIENCE_AT_START: Duration = Duration::from_secs(30);
/// How long what is under way may take to finish at shutdown; the rest is done again by the next
/// projector.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// How often it is looked whether something that is held back is due.
const PULSE: Duration = Duration::from_millis(50);
/// How often an idle projector looks whether another one has left something held back.
const LOOK: Duration = Duration::from_secs(2);

/// The largest message, with its headers, must fit into one NATS message.
const LEAST_MAX_PAYLOAD: usize = 256 * 1024;

/// How the projector works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the durable consumer, the same for all projectors of a shard.
    pub consumer: String,
    /// Events and envelopes under way at once.
    pub in_flight: usize,
    /// Larger events are rejected.
    pub max_event_bytes: usize,
    /// The shard whose envelopes it writes.
    pub shard: ShardNumber,
    /// The shards of tenants that were never placed and are not in the first.
    pub shards: BTreeMap<Tenant, ShardNumber>,
}

/// Projects until it is cancelled. Faults of NATS are waited out. Each event is projected with the catalogs that the
/// channel holds when it is read.
pub async fn run(
    topology: Topology,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    settings: Settings,
    clock: fn() -> OffsetDateTime,
    cancelled: CancellationToken,
) -> Result<(), ProjectorError> {
    let starting = Box::pin(start(topology, catalogs, settings, clock));
    let Some(engine) = cancelled.run_until_cancelled(starting).await else { return Ok(()) };
    let mut engine = engine?;
    // It may be dropped at any point: what is not confirmed is not acknowledged either.
    cancelled.run_until_cancelled(Box::pin(engine.work())).await;
    Box::pin(engine.finish()).await;
    Ok(())
}

/// Opens the engine. A fault of NATS is waited out here, too; one that lasts is told, as it may be one of settings.
async fn start(
    topology: Topology,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    settings: Settings,
    clock: fn() -> OffsetDateTime,
) -> Result<Engine, ProjectorError> {
    let patience_ends = Instant::now() + PATIENCE_AT_START;
    loop {
        let opening = Engine::open(topology.clone(), catalogs.clone(), settings.clone(), clock);
        match opening.await {
            Err(error) if error.may_pass() && Instant::now() < patience_ends => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the projector starts later");
                tokio::time::sleep(RETRY).await;
            }
            opened => return opened,
        }
    }
}

struct Engine {
    topology: Topology,
    catalogs: watch::Receiver<Arc<Catalogs>>,
    settings: Settings,
    clock: fn() -> OffsetDateTime,
    reader: EventReader,
    writer: EnvelopeWriter,
    resume: Resume,
    rejections: Rejections,
    backlog: Backlog<Job>,
    holding: Holding,
    next_look: Instant,
    /// Where the streams stood at the last look, if that was not this projector's doing.
    seen: Option<(u64, u64)>,
    under_way: UnderWay,
}

/// Something in line.
struct Job {
    /// What is acknowledged after it; nothing for a late envelope, whose event is done.
    read: Option<ReadEvent>,
    trail: Trail,
}

impl Engine {
    async fn open(
        topology: Topology,
        catalogs: watch::Receiver<Arc<Catalogs>>,
        settings: Settings,
        clock: fn() -> OffsetDateTime,
    ) -> Result<Self, ProjectorError> {
        let max_payload = topology.max_payload();
        if max_payload < LEAST_MAX_PAYLOAD {
            return Err(ProjectorError::MaxPayload(max_payload));
        }
        let pace = Pace { max_ahead: settings.in_flight };
        let reader = EventReader::open(&topology, &settings.consumer, pace).await?;
        let (writer, resume) = EnvelopeWriter::open(&topology).await?;
        let mut holding = Holding::new(&topology, &catalogs, settings.max_event_bytes);
        holding.reload(resume, reader.position(), &HashMap::new(), clock()).await?;
        Ok(Self {
            rejections: Rejections::new(&topology),
            topology,
            catalogs,
            settings,
            clock,
            reader,
            writer,
            resume,
            backlog: Backlog::new(),
            holding,
            next_look: Instant::now() + LOOK,
            seen: None,
            under_way: UnderWay::default(),
        })
    }

    async fn work(&mut self) {
        let mut pulse = tokio::time::interval(PULSE);
        pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if let Err(error) = self.send().await {
                self.recover(error).await;
            }
            let has_room = self.backlog.len() < self.settings.in_flight;
            tokio::select! {
                biased;
                stored = self.under_way.next() => if let Err(error) = self.confirm(stored).await {
                    self.recover(error).await;
                },
                _ = pulse.tick() => self.write_late(has_room).await,
                event = self.reader.next(), if has_room => self.accept(event).await,
            }
        }
    }

    /// Projects an event and puts it in line.
    async fn accept(&mut self, read: ReadEvent) {
        let mut envelopes = match self.project(&read.event) {
            Ok(envelopes) => envelopes,
            Err(rejection) => {
                reject(&self.rejections, &read.event, &rejection).await;
                Vec::new()
            }
        };
        let now = (self.clock)();
        envelopes.retain(|envelope| is_wanted(envelope, self.resume, now));
        let envelopes = self.holding.pass(&read.event, envelopes, now).await;
        let trail = Trail { through: None, held_from: self.holding.held_from() };
        self.backlog.push(Job { read: Some(read), trail }, envelopes);
        self.acknowledge_done().await;
    }

    /// Puts what was held back and is due in line; now and then looks for what another projector has left.
    async fn write_late(&mut self, has_room: bool) {
        let now = (self.clock)();
        if has_room && self.has_read_what_is_written() && self.holding.is_due(now) {
            if let Err(error) = self.holding.forget_purged().await {
                return tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "writing late envelopes later"
                );
            }
            let through = Some(self.reader.position());
            while let Some(envelope) = self.holding.release(now) {
                // As long as this one is not written, those after it that are due count as held.
                let trail = Trail { through, held_from: self.holding.held_from() };
                self.backlog.push(Job { read: None, trail }, vec![envelope]);
            }
        }
        if self.next_look <= Instant::now() && self.holding.is_used() {
            self.next_look = Instant::now() + LOOK;
            if let Err(error) = self.look_for_others().await {
                tracing::debug!(error = &error as &dyn std::error::Error, "looking again later");
            }
        }
    }

    /// Whether the reader is where the predecessor's writing ended. Before that, a late envelope could not say
    /// how far all others were written: its reader's place would have the rest written once more.
    fn has_read_what_is_written(&self) -> bool {
        let position = self.reader.position();
        self.resume.after.is_none_or(|after| {
            after.event.epoch != position.epoch || after.event.sequence <= position.sequence
        })
    }

    /// A projector that has gone may have acknowledged what it held back. If another one has moved the
    /// streams, and does so no more, this one takes up what is left; should both be there, only one of them
    /// can write it.
    async fn look_for_others(&mut self) -> Result<(), ProjectorError> {
        if self.backlog.len() > 0 || !self.under_way.is_empty() {
            return Ok(());
        }
        let last = self.topology.extent().await?.last;
        let acknowledged = self.reader.acknowledged().await?;
        let is_own = self.writer.is_at(last) && acknowledged <= self.reader.position().sequence;
        let standing = (!is_own).then_some((last, acknowledged));
        if standing.is_some() && standing == self.seen {
            self.try_recover().await?;
        }
        self.seen = standing;
        Ok(())
    }

    /// Projects an event as a part of its trace, which goes on with its envelopes.
    fn project(&self, event: &RawEvent) -> Result<Vec<Envelope>, Rejection> {
        let span = tracing::info_span!(
            target: propagation::TRACES_ONLY, "project", subject = event.subject, event = %event.position
        );
        let header = |name: &str| event.header(name).or_else(|| event.header(&format!("ce-{name}")));
        propagation::continue_trace(&span, header);
        let catalogs = Arc::clone(&self.catalogs.borrow());
        let mut envelopes = span.in_scope(|| project(&catalogs, event, self.settings.max_event_bytes))?;
        // Without tracing of our own, the producer's context is passed on as it came.
        propagation::inject(&span, |name, value| {
            if name == headers::TRACE_PARENT {
                for envelope in &mut envelopes {
                    envelope.trace_parent = Some(value.clone());
                }
            }
        });
        Ok(envelopes)
    }

    /// Sends what is in line, as far as the bound allows.
    async fn send(&mut self) -> Result<(), WriteError> {
        while self.under_way.len() < self.settings.in_flight.min(EnvelopeWriter::MAX_PENDING) {
            let Some((job, envelope)) = self.backlog.unsent() else { break };
            let outgoing = Outgoing { trail: job.trail, ..Outgoing::from(envelope) };
            let pending = self.writer.send(outgoing, (self.clock)()).await?;
            self.backlog.mark_sent();
            self.under_way.push(pending);
        }
        Ok(())
    }

    /// Notes what became of a publication, and of those after it as far as that is known, so that one
    /// acknowledgement does for all of their events.
    async fn confirm(&mut self, stored: Result<u64, WriteError>) -> Result<(), WriteError> {
        let mut known = Some(stored);
        while let Some(stored) = known {
            stored?;
            self.backlog.confirm();
            known = self.under_way.next_known();
        }
        self.acknowledge_done().await;
        Ok(())
    }

    async fn acknowledge_done(&mut self) {
        while let Some(job) = self.backlog.pop_done() {
            if let Some(read) = job.read {
                self.reader.done(read);
            }
        }
        self.reader.acknowledge().await;
    }

    /// After a failed publication: learns what the stream holds and sends the rest again.
    async fn recover(&mut self, error: WriteError) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "writing was interrupted; taking it up again"
        );
        self.under_way.abandon();
        // A lost place is found at once. What cannot be stored now, because the stream is full or has no leader,
        // cannot be stored a moment later either.
        if matches!(error, WriteError::Unavailable(_)) {
            tokio::time::sleep(RETRY).await;
        }
        while let Err(error) = self.try_recover().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "trying again");
            tokio::time::sleep(RETRY).await;
        }
        self.acknowledge_done().await;
    }

    async fn try_recover(&mut self) -> Result<(), ProjectorError> {
        self.reader.catch_up().await?;
        let (writer, resume) = EnvelopeWriter::open(&self.topology).await?;
        let now = (self.clock)();
        // What was late, and was not written, is found among what is held back.
        self.backlog.rewind(|job, envelope| job.read.is_some() && is_wanted(envelope, resume, now));
        let in_line = self.backlog.envelopes().map(|envelope| (envelope.subject.clone(), envelope.origin));
        let in_line: HashMap<_, _> = in_line.collect();
        self.holding.reload(resume, self.reader.position(), &in_line, now).await?;
        (self.writer, self.resume) = (writer, resume);
        Ok(())
    }

    /// Waits for what was sent, so that a planned restart leaves nothing to do twice. What is held back is
    /// left to the next projector, which finds it in `EVENTS`: written now, it would come too early.
    async fn finish(mut self) {
        let last_writes = async {
            while !self.under_way.is_empty() {
                let stored = self.under_way.next().await;
                if self.confirm(stored).await.is_err() {
                    break;
                }
            }
            // Acknowledgements are plain publications; they leave with the flush.
            self.topology.client().flush().await
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

/// Keeps a rejected event, however long NATS is away.
async fn reject(rejections: &Rejections, event: &RawEvent, rejection: &Rejection) {
    tracing::warn!(
        subject = event.subject,
        event = %event.position,
        reason = %rejection.reason,
        pointer = rejection.pointer,
        "event rejected: {}", rejection.text
    );
    let (reason, text, pointer) = (rejection.reason.as_str(), &rejection.text, rejection.pointer.as_deref());
    while let Err(error) = rejections.keep(event, reason, text, pointer).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "trying again");
        tokio::time::sleep(RETRY).await;
    }
}

/// Whether an envelope is still to be written: neither there already nor expired.
fn is_wanted(envelope: &Envelope, resume: Resume, now: OffsetDateTime) -> bool {
    resume.wants(envelope.origin) && envelope.expires_at.is_none_or(|expires_at| expires_at > now)
}

/// Why the projector cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// Messages would not fit.
    #[error(
        "NATS takes messages of {0} bytes; Tidings needs at least {LEAST_MAX_PAYLOAD}: raise `max_payload` in its \
         configuration, or `max_msg_size` of stream ENVELOPES"
    )]
    MaxPayload(usize),
    /// The durable consumer is not to be had.
    #[error("the projector cannot read events")]
    Reader(#[from] ReaderError),
    /// The state of `ENVELOPES` cannot be read.
    #[error("the projector cannot see what others have written")]
    Extent(#[from] ExtentError),
    /// What is held back cannot be found.
    #[error("the projector cannot find what is held back")]
    Past(#[from] PastError),
    /// The end of `ENVELOPES` cannot be read.
    #[error("the projector cannot take up writing")]
    Writer(#[from] WriteError),
}

impl ProjectorError {
    /// Whether it may be otherwise a moment later.
    fn may_pass(&self) -> bool {
        !matches!(self, Self::MaxPayload(_))
    }
}
