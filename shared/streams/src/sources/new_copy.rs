//! What a copy says: the message's own headers, of which message it is the copy, and why it has no event's name.

use async_nats::HeaderMap;
use tidings_model::{EventName, headers};

use super::SourceMessage;
use crate::nats::{append, is_control, set};

/// A message that is to be copied.
#[derive(Debug, Clone, Copy)]
pub struct NewCopy<'m> {
    /// The message.
    pub message: &'m SourceMessage,
    /// The name of its event; without one, the reason why it has none, for `REJECTED`.
    pub name: Result<&'m EventName, &'m str>,
}

impl NewCopy<'_> {
    pub(super) fn headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        append(&mut map, self.message.headers.iter().filter(|(name, _)| !is_control(name)));
        if let Err(reason) = self.name {
            set(&mut map, headers::UNMAPPED, reason);
        }
        map
    }
}

/// Says of which message of the source this is the copy.
pub(super) fn identify(message: &SourceMessage, source: &str, map: &mut HeaderMap) {
    // In contrast to `Nats-Msg-Id`, no version of nats-server deduplicates by it.
    let given = message.header(headers::EVENT_ID).or_else(|| message.header(headers::MESSAGE_ID));
    let id = given.filter(|id| !id.is_empty()).map_or_else(|| message.place.event_id(source), str::to_owned);
    set(map, headers::EVENT_ID, id);
    set(map, headers::SOURCE_POSITION, message.place.to_string());
    set(map, headers::SOURCE_SUBJECT, &message.subject);
}
