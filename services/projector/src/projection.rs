//! Projects an event within its trace, keeps what cannot be projected in `REJECTED`, and what is delivered later in `SCHEDULED`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::{Catalogs, Reason, Rejection, read};
use tidings_model::{Delivery, Envelope, Event, Position, RawEvent, headers};
use tidings_runtime::telemetry::propagation;
use tidings_streams::{Kept, Rejections, Retry, ScheduleError, Schedules, Topology, WriteError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::dedup::{Recall, Verdict};
use crate::metrics::ProjectorFigures;
use crate::schedule_repair::{RepairError, say_again};
use crate::sources::{Remap, Sources};

/// How often it is asked whether what is scheduled is all there, as long as the connection lasts.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) struct Projection {
    catalogs: watch::Receiver<Arc<Catalogs>>,
    max_event_bytes: usize,
    rejections: Rejections,
    topology: Topology,
    schedules: Schedules,
    /// Whether something was scheduled, or was due, that is not noted yet.
    has_scheduled: bool,
    /// When it was last known that nothing scheduled is lost, and how many times the client had connected by then.
    looked: Option<(u64, Instant)>,
    recall: Recall,
    remap: Remap,
    figures: Arc<ProjectorFigures>,
}

impl Projection {
    pub(crate) fn new(
        topology: &Topology,
        catalogs: &watch::Receiver<Arc<Catalogs>>,
        max_event_bytes: usize,
        sources: Sources,
        figures: Arc<ProjectorFigures>,
    ) -> Self {
        Self {
            catalogs: catalogs.clone(),
            max_event_bytes,
            rejections: Rejections::new(topology),
            topology: topology.clone(),
            schedules: Schedules::new(topology),
            has_scheduled: false,
            looked: None,
            recall: Recall::new(topology),
            remap: Remap::new(topology, sources),
            figures,
        }
    }

    /// Notes each event that is read; must be called first.
    pub(crate) fn follow(&mut self, tenant: &str, event: Position, is_here: bool) {
        self.recall.follow(tenant, event, is_here);
    }

    /// Projects an event. A repetition has no envelopes; neither has a rejected event, which is kept in `REJECTED`.
    /// Waits while NATS is away.
    pub(crate) async fn envelopes(&mut self, event: &RawEvent) -> Vec<Envelope> {
        match self.project(event).await {
            Ok(envelopes) => envelopes,
            Err(rejection) => {
                self.reject(event, &rejection).await;
                Vec::new()
            }
        }
    }

    /// Rejects an event of a tenant whose placement is unknown.
    pub(crate) async fn reject_unplaced(&self, event: &RawEvent) {
        let text =
            "the tenant's record in the bucket PLACEMENTS cannot be read; restore it, then retry the event";
        self.reject(event, &Rejection::new(Reason::UnreadablePlacement, text)).await;
    }

    /// Projects an event as a part of its trace, which continues with its envelopes.
    async fn project(&mut self, raw: &RawEvent) -> Result<Vec<Envelope>, Rejection> {
        let span = tracing::info_span!(
            target: propagation::TRACES_ONLY,
            "project",
            otel.name = "process EVENTS",
            otel.kind = "consumer",
            messaging.system = "nats",
            messaging.operation.name = "process",
            messaging.operation.r#type = "process",
            messaging.destination.name = raw.subject,
            messaging.message.id = tracing::field::Empty,
            messaging.message.body.size = propagation::number(raw.payload.len()),
            tidings.event = %raw.position,
        );
        let header = |name: &str| raw.header(name).or_else(|| raw.header(&format!("ce-{name}")));
        propagation::continue_trace(&span, header);
        if self.remap.map_again(raw).await? {
            return Ok(Vec::new());
        }
        let catalogs = Arc::clone(&self.catalogs.borrow());
        let (catalog, event) = span.in_scope(|| read(&catalogs, raw, self.max_event_bytes))?;
        span.record("messaging.message.id", &*event.id);
        if let Some(delivery) = event.delivery {
            span.in_scope(|| catalog.project(&event))?;
            return self.schedule(raw, &event, delivery).await.map(|()| Vec::new());
        }
        if event.scheduled.is_some() {
            self.has_scheduled = true;
            if self.is_void(raw, &event).await {
                return Ok(Vec::new());
            }
        }
        let occurrence = match self.judge(raw, &event).await {
            Verdict::New(occurrence) => occurrence,
            Verdict::Repetition => {
                self.figures.repeated();
                return Ok(Vec::new());
            }
            Verdict::Reused(rejection) => return Err(rejection),
        };
        let mut envelopes = span.in_scope(|| catalog.project(&event))?;
        self.recall.accept(&event.tenant, occurrence);
        // Without tracing of our own, the producer's context is passed on unchanged.
        propagation::inject(&span, |name, value| {
            if name == headers::TRACE_PARENT {
                for envelope in &mut envelopes {
                    envelope.trace_parent = Some(value.clone());
                }
            }
        });
        Ok(envelopes)
    }

    /// Schedules or cancels an event. Waits while NATS is away.
    async fn schedule(&mut self, raw: &RawEvent, event: &Event, delivery: Delivery) -> Result<(), Rejection> {
        let mut retry = Retry::to("schedule an event");
        loop {
            let set = self.schedules.set(raw, event, delivery).await;
            if let Some(set) = retry.settled(set, ScheduleError::is_permanent).await {
                self.has_scheduled |= set.is_ok();
                return set.map_err(|error| Rejection::new(Reason::NotScheduled, &describe(&error)));
            }
        }
    }

    /// Notes what was scheduled; must be called before the events are acknowledged that did so. If that fails, it is noted later.
    pub(crate) async fn note_scheduled(&mut self) {
        if std::mem::take(&mut self.has_scheduled) {
            let noted = self.schedules.note().await;
            self.has_scheduled = !noted.is_ok_and(|is_noted| is_noted);
        }
    }

    /// Looks whether what is scheduled came back with less than it had. If that cannot be repaired now, the next look does.
    pub(crate) async fn look_at_schedules(&mut self) {
        if let Err(error) = Box::pin(self.repair_schedules()).await {
            let error = &error as &dyn Error;
            tracing::warn!(error, "cannot say again what is scheduled; trying again");
        }
    }

    async fn repair_schedules(&mut self) -> Result<(), RepairError> {
        let connects = self.topology.connects();
        // A server that came back with less was away.
        let is_known = |(known, at): (u64, Instant)| known == connects && at.elapsed() < LOOK;
        if self.looked.is_some_and(is_known) {
            return Ok(());
        }
        self.looked = None;
        self.say_again_if_lost().await?;
        self.looked = Some((connects, Instant::now()));
        Ok(())
    }

    /// Says again what is scheduled, if the stream came back with less than it had.
    async fn say_again_if_lost(&self) -> Result<(), RepairError> {
        if !self.schedules.has_lost().await? {
            return Ok(());
        }
        tracing::error!(
            "stream SCHEDULED was rolled back to an older state; saying again in it what the events in EVENTS say"
        );
        let catalogs = Arc::clone(&self.catalogs.borrow());
        Box::pin(say_again(&self.topology, &self.schedules, &catalogs, self.max_event_bytes)).await?;
        tracing::info!("stream SCHEDULED has again what the events in EVENTS say");
        Ok(())
    }

    /// Whether an event that was due was replaced or cancelled before. Waits while NATS is away.
    async fn is_void(&mut self, raw: &RawEvent, event: &Event) -> bool {
        let mut retry = Retry::to("check whether an event that is due was cancelled");
        while let Err(error) = Box::pin(self.repair_schedules()).await {
            retry.failed(&error);
            retry.wait().await;
        }
        loop {
            if let Some(is_void) = retry.done(self.schedules.is_void(raw, event).await).await {
                return is_void;
            }
        }
    }

    /// Decides whether the event is a repetition. Waits while NATS is away.
    async fn judge(&mut self, raw: &RawEvent, event: &Event) -> Verdict {
        let mut retry = Retry::to("check whether an event is a repetition");
        loop {
            if let Some(verdict) = retry.done(self.recall.judge(raw, event).await).await {
                return verdict;
            }
        }
    }

    /// Rejects an event because the stream refuses one of its envelopes.
    pub(crate) async fn refused(&mut self, event: &RawEvent, refusal: &WriteError) {
        self.recall.forget(event);
        let source = refusal.source().map_or_else(|| refusal.to_string(), describe);
        let text = format!("stream ENVELOPES refuses a message of the event: {source}");
        self.reject(event, &Rejection { reason: Reason::TooLarge, text, pointer: None }).await;
    }

    async fn reject(&self, event: &RawEvent, rejection: &Rejection) {
        tracing::warn!(
            subject = event.subject,
            event = %event.position,
            reason = %rejection.reason,
            pointer = rejection.pointer,
            "event rejected: {}", rejection.text
        );
        self.figures.rejected(rejection.reason);
        let Rejection { text, pointer, .. } = rejection;
        let reason = rejection.reason.as_str();
        let mut retry = Retry::to("keep a rejected event");
        let kept = loop {
            let kept = self.rejections.keep(event, reason, text, pointer.as_deref()).await;
            if let Some(kept) = retry.done(kept).await {
                break kept;
            }
        };
        if kept != Kept::Whole {
            tracing::warn!(
                subject = event.subject,
                event = %event.position,
                ?kept,
                "the rejection is larger than stream REJECTED allows"
            );
        }
    }
}

/// Formats an error and its causes on one line.
fn describe(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
