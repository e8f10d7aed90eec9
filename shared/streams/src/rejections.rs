//! What could not be projected is kept, with the reason, in `REJECTED`.

use async_nats::HeaderMap;
use async_nats::HeaderName;
use async_nats::HeaderValue;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::{Context, context::traits::Publisher as _};
use bytes::Bytes;
use std::str::FromStr as _;
use tidings_model::{RawEvent, headers, rejection_subject};

use crate::convert::set;
use crate::topology::Topology;

/// JetStream takes 64 KiB of headers; this leaves room for the reason's.
const MAX_OWN_HEADER_BYTES: usize = 48 * 1024;

/// Writes rejected events.
#[derive(Debug, Clone)]
pub struct Rejections {
    context: Context,
}

impl Rejections {
    /// Into the stream of this topology.
    #[must_use]
    pub fn new(topology: &Topology) -> Self {
        Self { context: topology.context.clone() }
    }

    /// Keeps the event whole, with its headers and the reason; returns when NATS has it.
    ///
    /// Rejecting an event again replaces the first rejection. An event that fills NATS's limits to
    /// the last byte leaves no room for the reason: of that one the headers, or the payload too,
    /// are left out, and the header `Tidings-Omitted-Bytes` says so; it is still in `EVENTS`.
    pub async fn keep(
        &self,
        event: &RawEvent,
        reason: &str,
        text: &str,
        pointer: Option<&str>,
    ) -> Result<(), RejectError> {
        let subject = rejection_subject(event);
        let own_bytes: usize = event.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let mut headers = reason_headers(event, reason, text, pointer);
        let omitted = if own_bytes > MAX_OWN_HEADER_BYTES {
            set(&mut headers, headers::OMITTED_BYTES, &own_bytes.to_string());
            own_bytes
        } else {
            add_own(&mut headers, event);
            0
        };
        let published = self.publish(&subject, headers.clone(), event.payload.clone()).await;
        let too_large = |error: &PublishError| error.kind() == PublishErrorKind::MaxPayloadExceeded;
        let published = match published {
            Err(error) if too_large(&error) => {
                let mut headers = headers;
                set(&mut headers, headers::OMITTED_BYTES, &(omitted + event.payload.len()).to_string());
                self.publish(&subject, headers, Bytes::new()).await
            }
            other => other,
        };
        published.map_err(|source| RejectError { subject, source })
    }

    async fn publish(&self, subject: &str, headers: HeaderMap, payload: Bytes) -> Result<(), PublishError> {
        let message =
            async_nats::jetstream::message::PublishMessage::build().payload(payload).headers(headers);
        self.context.publish_message(message.outbound_message(subject.to_owned())).await?.await?;
        Ok(())
    }
}

/// The event's own headers, but for those that tell JetStream what to do with it and those that
/// the rejection has of its own.
fn add_own(map: &mut HeaderMap, event: &RawEvent) {
    let is_reserved = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("nats-") || name.starts_with("tidings-")
    };
    for (name, value) in event.headers.iter().filter(|(name, _)| !is_reserved(name)) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_str(name), HeaderValue::from_str(value)) {
            map.append(name, value);
        }
    }
}

fn reason_headers(event: &RawEvent, reason: &str, text: &str, pointer: Option<&str>) -> HeaderMap {
    let mut map = HeaderMap::new();
    set(&mut map, headers::REASON, reason);
    set(&mut map, headers::REASON_TEXT, text);
    if let Some(pointer) = pointer {
        set(&mut map, headers::REASON_POINTER, pointer);
    }
    set(&mut map, headers::EVENT_SUBJECT, &event.subject);
    set(&mut map, headers::EVENT_POSITION, &event.position.to_string());
    map
}

/// NATS did not keep a rejected event.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the rejected event on {subject}")]
pub struct RejectError {
    subject: String,
    #[source]
    source: PublishError,
}
