//! Stores events that could not be projected in `REJECTED`, with the reason. Operators list, retry or drop them.

mod rejected_event;
mod retry;

use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tidings_model::{Attempts, Position, RawEvent, Tenant, headers, rejection_subject};

use crate::nats::{Content, Delivered, Scan, append, is_control, is_permanent, leader_get, set};
use crate::topology::{REJECTED, Topology};

/// JetStream accepts 64 KiB of headers; this leaves room for those of the rejection.
const MAX_OWN_HEADER_BYTES: usize = 48 * 1024;
/// Headers of ours that are the event's own.
const KEPT: [&str; 5] = [
    headers::SOURCE_POSITION,
    headers::SOURCE_SUBJECT,
    headers::DELIVER_AT,
    headers::DELAY,
    headers::SCHEDULED,
];
/// A payload of this size is never omitted, and this much of the reason's text is always kept.
const LITTLE: usize = 256;

pub use self::rejected_event::RejectedEvent;
pub use self::retry::RetryError;

/// The stream of rejected events.
#[derive(Debug, Clone)]
pub struct Rejections {
    context: Context,
    events: Arc<Stream>,
    rejected: Arc<Stream>,
}

impl Rejections {
    /// Uses the stream of this topology.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        Self {
            context: topology.context.clone(),
            events: Arc::clone(&topology.events),
            rejected: Arc::clone(&topology.rejected),
        }
    }

    /// Stores the event with its headers and the reason; returns when NATS has stored it.
    ///
    /// A second rejection of an event, also after a retry, replaces the first. If the stream permanently refuses a
    /// rejection, because of its own limits or those of NATS, the same message is never sent again. Instead the payload
    /// is omitted, then the event's headers, then most of the reason, and the header `Tidings-Omitted-Bytes` counts
    /// them; the event is still in `EVENTS`. If even that is refused, the rejection is not stored.
    pub async fn keep(
        &self,
        event: &RawEvent,
        reason: &str,
        text: &str,
        pointer: Option<&str>,
    ) -> Result<Kept, RejectError> {
        let attempts = Attempts::of(event);
        let subject = rejection_subject(&event.subject, attempts.first);
        let mut refusal = None;
        for part in Part::ALL {
            let Some((headers, payload)) = part.of(event, attempts, (reason, text, pointer)) else {
                continue;
            };
            match self.publish(&subject, headers, payload).await {
                Ok(()) if part == Part::Whole => return Ok(Kept::Whole),
                Ok(()) => return Ok(Kept::Partly),
                Err(source) if is_permanent(&source) => refusal = Some(source),
                Err(source) => return Err(RejectError { subject, source }),
            }
        }
        tracing::error!(
            subject,
            refusal = refusal.as_ref().map(|error| error as &dyn std::error::Error),
            "stream REJECTED refuses even the smallest form of the rejection; the event is only in EVENTS"
        );
        Ok(Kept::Nothing)
    }

    /// Lists the rejections of a tenant, in the order in which they were written, without the events' payloads.
    #[must_use]
    pub fn list(&self, tenant: &Tenant) -> BoxStream<'static, Result<RejectedEvent, ReadRejectionError>> {
        self.list_on(format!("rejected.{tenant}.>"))
    }

    /// Like [`Rejections::list`], for all tenants, including those without a catalog.
    #[must_use]
    pub fn list_all(&self) -> BoxStream<'static, Result<RejectedEvent, ReadRejectionError>> {
        self.list_on("rejected.>".to_owned())
    }

    fn list_on(&self, subject: String) -> BoxStream<'static, Result<RejectedEvent, ReadRejectionError>> {
        let scan = Scan::new(self.context.clone(), REJECTED, subject, Content::HeadersOnly);
        stream::try_unfold(scan, |mut scan| async move {
            while let Some(Delivered { message, sequence, time }) =
                scan.next().await.map_err(ReadRejectionError)?
            {
                let (headers, payload) = (message.headers.clone(), message.payload.clone());
                let headers = headers.unwrap_or_default();
                if let Some(found) = RejectedEvent::read(&headers, payload, sequence, time) {
                    return Ok(Some((found, scan)));
                }
            }
            Ok(None)
        })
        .boxed()
    }

    /// The rejection of the event that was first rejected at this position.
    pub async fn get(
        &self,
        tenant: &Tenant,
        first: Position,
    ) -> Result<Option<RejectedEvent>, ReadRejectionError> {
        self.get_on(rejection_subject(&format!("events.{tenant}"), first)).await
    }

    /// Like [`Rejections::get`], for any tenant: a position identifies one event.
    pub async fn find(&self, first: Position) -> Result<Option<RejectedEvent>, ReadRejectionError> {
        self.get_on(format!("rejected.*.{}.{}", first.epoch, first.sequence)).await
    }

    /// The latest position of a rejected event that was first at position `first`. Asks the stream's leader, because a
    /// replica may not know it yet.
    pub async fn rejected_at(
        &self,
        tenant: &Tenant,
        first: Position,
    ) -> Result<Option<Position>, ReadRejectionError> {
        let subject = rejection_subject(&format!("events.{tenant}"), first);
        let found = leader_get::last(&self.rejected, &subject).await;
        let found = found.map_err(|error| ReadRejectionError(error.into()))?;
        Ok(found.and_then(|message| message.headers.get(headers::EVENT_POSITION)?.as_str().parse().ok()))
    }

    async fn get_on(&self, subject: String) -> Result<Option<RejectedEvent>, ReadRejectionError> {
        match self.rejected.direct_get_last_for_subject(subject).await {
            Ok(message) => {
                let StreamMessage { headers, payload, sequence, time, .. } = message;
                Ok(RejectedEvent::read(&headers, payload, sequence, time))
            }
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(ReadRejectionError(error.into())),
        }
    }

    /// Removes a rejection; `false` if it does not exist any more, or was replaced by a newer one.
    pub async fn drop(&self, rejected: &RejectedEvent) -> Result<bool, ReadRejectionError> {
        let Err(error) = self.rejected.delete_message(rejected.revision).await else { return Ok(true) };
        // The server reports "not found" in several ways.
        match self.rejected.direct_get(rejected.revision).await {
            Err(gone) if gone.kind() == DirectGetErrorKind::NotFound => Ok(false),
            _ => Err(ReadRejectionError(error.into())),
        }
    }

    async fn publish(&self, subject: &str, headers: HeaderMap, payload: Bytes) -> Result<(), PublishError> {
        let message = PublishMessage::build().payload(payload).headers(headers);
        self.context.publish_message(message.outbound_message(subject.to_owned())).await?.await?;
        Ok(())
    }
}

/// How much of a rejection was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The complete event.
    Whole,
    /// Only a part of the event; the header `Tidings-Omitted-Bytes` counts the rest.
    Partly,
    /// Nothing: the stream refused it.
    Nothing,
}

/// How much of a rejected event to store, in descending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Headers,
    Reason,
    Outline,
}

impl Part {
    const ALL: [Self; 4] = [Self::Whole, Self::Headers, Self::Reason, Self::Outline];

    /// Headers and payload of the rejection; `None` if it would equal [`Part::Whole`].
    fn of(
        self,
        event: &RawEvent,
        attempts: Attempts,
        (reason, text, pointer): (&str, &str, Option<&str>),
    ) -> Option<(HeaderMap, Bytes)> {
        let (text, pointer) = if self == Self::Outline { (beginning(text), None) } else { (text, pointer) };
        let mut headers = reason_headers(event, attempts, reason, text, pointer);
        let own: usize = event.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let has_own = matches!(self, Self::Whole | Self::Headers);
        let has_payload = self == Self::Whole || (event.payload.len() <= LITTLE && self != Self::Outline);
        let fits = own <= MAX_OWN_HEADER_BYTES;
        if has_own && fits {
            add_own(&mut headers, &event.headers);
        }
        let left_out = if has_own && fits { 0 } else { own };
        let omitted = left_out + if has_payload { 0 } else { event.payload.len() };
        if omitted > 0 {
            set(&mut headers, headers::OMITTED_BYTES, omitted.to_string());
        }
        let is_new = self == Self::Whole || omitted > 0 || self == Self::Outline;
        is_new.then(|| (headers, if has_payload { event.payload.clone() } else { Bytes::new() }))
    }
}

/// The beginning of a text, which always fits.
fn beginning(text: &str) -> &str {
    let end = (0..=LITTLE.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

/// Adds the event's own headers, except those that instruct JetStream and those that the rejection sets itself.
fn add_own(map: &mut HeaderMap, own: &[(String, String)]) {
    append(map, own.iter().filter(|(name, _)| !is_reserved(name)));
}

/// Whether a rejection or a retry sets the header itself, or JetStream interprets it. A copy stays one, so that it is still
/// mapped and deduplicated as such; and when an event is to be delivered goes along with it.
fn is_reserved(name: &str) -> bool {
    let is_kept = KEPT.iter().any(|own| name.eq_ignore_ascii_case(own));
    is_control(name) && !is_kept
}

fn reason_headers(
    event: &RawEvent,
    attempts: Attempts,
    reason: &str,
    text: &str,
    pointer: Option<&str>,
) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in attempts.headers() {
        set(&mut map, name, &value);
    }
    set(&mut map, headers::EVENT_ID, event.own_id());
    set(&mut map, headers::REASON, reason);
    set(&mut map, headers::REASON_TEXT, text);
    if let Some(pointer) = pointer {
        set(&mut map, headers::REASON_POINTER, pointer);
    }
    set(&mut map, headers::EVENT_SUBJECT, &event.subject);
    set(&mut map, headers::EVENT_POSITION, event.position.to_string());
    map
}

/// NATS did not store a rejected event.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the rejected event on {subject}")]
pub struct RejectError {
    subject: String,
    #[source]
    source: PublishError,
}

/// Rejections cannot be read or removed.
#[derive(Debug, thiserror::Error)]
#[error("stream REJECTED cannot be used now")]
pub struct ReadRejectionError(#[source] async_nats::Error);
