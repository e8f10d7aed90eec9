//! From an event to its envelopes, as a part of the event's trace; what cannot be projected is kept with the reason.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tidings_catalog::{Catalogs, Reason, Rejection, read};
use tidings_model::{Envelope, Event, Position, RawEvent, headers};
use tidings_runtime::telemetry::propagation;
use tidings_streams::{Kept, Rejections, Topology, WriteError};
use tokio::sync::watch;

use crate::dedup::{Recall, Verdict};

/// How long to wait before NATS is asked again.
const RETRY: Duration = Duration::from_millis(250);

pub(crate) struct Projection {
    catalogs: watch::Receiver<Arc<Catalogs>>,
    max_event_bytes: usize,
    rejections: Rejections,
    recall: Recall,
}

impl Projection {
    pub(crate) fn new(
        topology: &Topology,
        catalogs: &watch::Receiver<Arc<Catalogs>>,
        max_event_bytes: usize,
    ) -> Self {
        Self {
            catalogs: catalogs.clone(),
            max_event_bytes,
            rejections: Rejections::new(topology),
            recall: Recall::new(topology),
        }
    }

    /// Is told of every event that is read, before anything else.
    pub(crate) fn follow(&mut self, tenant: &str, event: Position, is_here: bool) {
        self.recall.follow(tenant, event, is_here);
    }

    /// The envelopes of an event; none of a repetition, and none of one that is rejected, which is kept, however long NATS
    /// is away.
    pub(crate) async fn envelopes(&mut self, event: &RawEvent) -> Vec<Envelope> {
        match self.project(event).await {
            Ok(envelopes) => envelopes,
            Err(rejection) => {
                self.reject(event, &rejection).await;
                Vec::new()
            }
        }
    }

    /// Keeps an event of a tenant of whom it is not known where its envelopes belong.
    pub(crate) async fn reject_unplaced(&self, event: &RawEvent) {
        let text =
            "the tenant's record in the bucket PLACEMENTS cannot be read; restore it, then retry the event";
        self.reject(event, &Rejection::new(Reason::UnreadablePlacement, text)).await;
    }

    /// Projects an event as a part of its trace, which goes on with its envelopes.
    async fn project(&mut self, raw: &RawEvent) -> Result<Vec<Envelope>, Rejection> {
        let span = tracing::info_span!(
            target: propagation::TRACES_ONLY, "project", subject = raw.subject, event = %raw.position
        );
        let header = |name: &str| raw.header(name).or_else(|| raw.header(&format!("ce-{name}")));
        propagation::continue_trace(&span, header);
        let catalogs = Arc::clone(&self.catalogs.borrow());
        let (catalog, event) = span.in_scope(|| read(&catalogs, raw, self.max_event_bytes))?;
        let occurrence = match self.judge(raw, &event).await {
            Verdict::New(occurrence) => occurrence,
            Verdict::Repetition => return Ok(Vec::new()),
            Verdict::Reused(rejection) => return Err(rejection),
        };
        let mut envelopes = span.in_scope(|| catalog.project(&event))?;
        self.recall.accept(&event.tenant, occurrence);
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

    /// Whether the event came before, however long NATS is away.
    async fn judge(&mut self, raw: &RawEvent, event: &Event) -> Verdict {
        loop {
            match self.recall.judge(raw, event).await {
                Ok(verdict) => return verdict,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn Error, event = %raw.position, "trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Keeps an event of which the stream does not take an envelope.
    pub(crate) async fn refused(&mut self, event: &RawEvent, refusal: &WriteError) {
        self.recall.forget(event);
        let source = refusal.source().map_or_else(|| refusal.to_string(), describe);
        let text = format!("stream ENVELOPES does not take a message made of the event: {source}");
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
        let Rejection { text, pointer, .. } = rejection;
        let reason = rejection.reason.as_str();
        loop {
            match self.rejections.keep(event, reason, text, pointer.as_deref()).await {
                Ok(Kept::Whole) => return,
                Ok(kept) => {
                    return tracing::warn!(
                        subject = event.subject,
                        event = %event.position,
                        ?kept,
                        "the rejection is larger than stream REJECTED takes"
                    );
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

/// An error and what it came from, on one line.
fn describe(error: &(dyn Error + 'static)) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
