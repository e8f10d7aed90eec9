//! The engine around the projection: reading, writing, rejecting, acknowledging.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tidings_catalog::{Catalogs, Rejection, project};
use tidings_model::{Envelope, RawEvent, headers};
use tidings_runtime::telemetry::propagation;
use tidings_streams::{
    EnvelopeWriter, EventReader, Pace, Pending, ReadEvent, ReaderError, Rejections, Resume, Topology,
    WriteError,
};
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::backlog::Backlog;

/// How long to wait before NATS is asked again.
const RETRY: Duration = Duration::from_millis(250);
/// How long what is under way may take to finish at shutdown; the rest is done again by the next
/// projector.
const LAST_WRITES: Duration = Duration::from_secs(2);

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
    let mut engine = Engine::open(topology, catalogs, settings, clock).await?;
    // It may be dropped at any point: what is not confirmed is not acknowledged either.
    cancelled.run_until_cancelled(Box::pin(engine.work())).await;
    Box::pin(engine.finish()).await;
    Ok(())
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
    backlog: Backlog<ReadEvent>,
    /// In the order in which they were sent.
    under_way: FuturesOrdered<Pending>,
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
            under_way: FuturesOrdered::new(),
        })
    }

    async fn work(&mut self) {
        loop {
            if let Err(error) = self.send().await {
                self.recover(error).await;
            }
            let has_room = self.backlog.len() < self.settings.in_flight;
            tokio::select! {
                biased;
                Some(stored) = self.under_way.next() => match stored {
                    Ok(()) => self.confirm().await,
                    Err(error) => self.recover(error).await,
                },
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
        self.backlog.push(read, envelopes);
        self.acknowledge_done().await;
    }

    /// Projects an event as a part of its trace, which goes on with its envelopes.
    fn project(&self, event: &RawEvent) -> Result<Vec<Envelope>, Rejection> {
        let span = tracing::info_span!("project", subject = event.subject, event = %event.position);
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
            let Some(envelope) = self.backlog.unsent() else { break };
            let pending = self.writer.send(envelope, (self.clock)()).await?;
            self.backlog.mark_sent();
            self.under_way.push_back(pending);
        }
        Ok(())
    }

    async fn confirm(&mut self) {
        self.backlog.confirm();
        self.acknowledge_done().await;
    }

    async fn acknowledge_done(&mut self) {
        while let Some(read) = self.backlog.pop_done() {
            read.acknowledge().await;
            self.reader.done(read.event.position);
        }
    }

    /// After a failed publication: learns what the stream holds and sends the rest again.
    async fn recover(&mut self, error: WriteError) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "writing was interrupted; taking it up again"
        );
        self.under_way = FuturesOrdered::new();
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
        self.backlog.rewind(|envelope| is_wanted(envelope, resume, now));
        (self.writer, self.resume) = (writer, resume);
        Ok(())
    }

    /// Waits for what was sent, so that a planned restart leaves nothing to do twice.
    async fn finish(mut self) {
        let last_writes = async {
            while let Some(Ok(())) = self.under_way.next().await {
                self.confirm().await;
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
    /// The end of `ENVELOPES` cannot be read.
    #[error("the projector cannot take up writing")]
    Writer(#[from] WriteError),
}
