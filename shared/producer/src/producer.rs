//! The producer: it checks events and buffers them.

use std::time::Duration;

use tidings_catalog::{Catalogs, Reason, Rejection, project};
use tidings_model::{CloudEvent, Epoch, EventName, Position, RawEvent, Tenant, headers};
use tidings_streams::OutgoingEvent;
use time::OffsetDateTime;
use tracing::Span;

use crate::error::{ConnectError, Full, PublishError, Unstored};
use crate::event::Event;
use crate::queue::{Queue, Receipt, Slot, Stored};
use crate::settings::Settings;

/// Publishes a tenant's events. One per process is enough, shared behind an `Arc`.
///
/// End it with [`Self::shutdown`]. Dropping it ends it at once; the log then counts the events that are not stored.
#[derive(Debug)]
pub struct Producer {
    tenant: Tenant,
    source: String,
    /// The tenant's catalog, if events are checked.
    catalogs: Option<Catalogs>,
    max_event_bytes: usize,
    queue: Queue,
}

impl Producer {
    /// Connects, so that a wrong address or wrong credentials show at once. Later interruptions of NATS are handled.
    /// Call it on the tokio runtime on which the producer runs.
    pub async fn connect(tenant: &str, mut settings: Settings) -> Result<Self, ConnectError> {
        let tenant = Tenant::parse(tenant)?;
        let catalogs = match settings.catalog.take() {
            Some(catalog) if *catalog.tenant() != tenant => {
                return Err(ConnectError::OtherTenant { found: catalog.tenant().clone(), expected: tenant });
            }
            catalog => catalog.map(|catalog| Catalogs::from([(tenant.clone(), catalog)])),
        };
        let source = settings.source.clone();
        let is_wrong =
            source.len() > tidings_model::Event::MAX_ID_LENGTH || source.chars().any(char::is_control);
        if source.is_empty() || is_wrong {
            return Err(ConnectError::Source(source));
        }
        let prefix = settings.inbox_prefix.take().unwrap_or_else(|| format!("_INBOX_{tenant}_producer"));
        let settings = Settings { options: settings.options.custom_inbox_prefix(prefix), ..settings };
        let max_event_bytes = settings.max_event_bytes;
        Ok(Self { tenant, source, catalogs, max_event_bytes, queue: Queue::open(settings).await? })
    }

    /// Publishes an event and returns when it is stored, however long NATS is unavailable. If the future is dropped,
    /// the result is unknown; publishing the event again with the same id is safe.
    pub async fn publish(&self, event: Event) -> Result<Stored, PublishError> {
        self.enqueue(event).await?.stored().await
    }

    /// Cancels an event of this producer's source that is to be delivered later, and returns when that is stored. Does nothing
    /// if the event was delivered already.
    pub async fn cancel(&self, name: &str, id: &str) -> Result<Stored, PublishError> {
        self.publish(Event::cancellation(name, id)).await
    }

    /// Puts an event into the buffer, after all earlier ones, and returns when there is room for it. The receipt gives
    /// the result.
    pub async fn enqueue(&self, event: Event) -> Result<Receipt, PublishError> {
        // This is checked first, so that the caller does not wait for room for an event that is refused.
        let outgoing = self.prepare(&event)?;
        self.queue.push(self.queue.slot().await?, event.id, outgoing)
    }

    /// Puts an event into the buffer, or returns it if there is no room.
    pub fn try_enqueue(&self, event: Event) -> Result<Receipt, PublishError> {
        let slot = match self.queue.try_slot()? {
            Slot::Free(slot) => slot,
            Slot::Full { limit } => return Err(PublishError::Full(Full { event: Box::new(event), limit })),
        };
        let outgoing = self.prepare(&event)?;
        self.queue.push(slot, event.id, outgoing)
    }

    /// Returns when all events in the buffer are stored or refused.
    pub async fn flush(&self) -> Result<(), PublishError> {
        self.queue.flush().await
    }

    /// Stops accepting events, waits this long until the others are stored, and returns those without a known result.
    pub async fn shutdown(&self, within: Duration) -> Result<(), Unstored> {
        match self.queue.close(within).await {
            events if events.is_empty() => Ok(()),
            events => Err(Unstored { events }),
        }
    }

    /// Returns the event as it is sent, if the projector would accept it.
    fn prepare(&self, event: &Event) -> Result<OutgoingEvent, PublishError> {
        let name = EventName::parse(&event.name).ok_or_else(|| {
            let text = format!("event {:?} is not of the form entity.action", event.name);
            PublishError::Rejected(Rejection::new(Reason::MalformedEvent, &text))
        })?;
        let written = CloudEvent {
            id: &event.id,
            source: &self.source,
            name: &name,
            time: &event.time,
            subject: event.subject.as_deref(),
            deliver_at: event.deliver_at.as_deref(),
            data: event.data.clone(),
        };
        let raw = RawEvent {
            subject: name.subject(&self.tenant),
            headers: vec![(headers::CONTENT_TYPE.to_owned(), CloudEvent::CONTENT_TYPE.to_owned())],
            payload: written.into_json().into(),
            position: Position { epoch: Epoch(0), sequence: 0 },
            stored_at: OffsetDateTime::now_utc(),
        };
        self.check(&raw).map_err(PublishError::Rejected)?;
        Ok(OutgoingEvent {
            // CloudEvents with the same source and id are the same event.
            message_id: format!("{}/{}/{}", self.tenant, self.source, event.id),
            trace_parent: trace_parent(),
            subject: raw.subject,
            cloud_event: raw.payload,
        })
    }

    fn check(&self, raw: &RawEvent) -> Result<(), Rejection> {
        match &self.catalogs {
            Some(catalogs) => project(catalogs, raw, self.max_event_bytes).map(drop),
            None => raw.read().map(drop).map_err(|error| Rejection::malformed(&error)),
        }
    }
}

/// The span in which an event is published. Its messages belong to the same trace.
fn trace_parent() -> Option<String> {
    let mut found = None;
    tidings_propagation::inject(&Span::current(), |name, value| {
        if name == headers::TRACE_PARENT {
            found = Some(value);
        }
    });
    found
}
