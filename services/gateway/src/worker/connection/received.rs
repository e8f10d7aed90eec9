//! What counts of what a client sends. Pure: from a phase and a message to what there is to act on, if anything.

use std::borrow::Cow;

use tidings_protocol::client::{ClientMessage, Limits, Refused, Request, id_in_beginning};
use tidings_protocol::error::MessageId;
use tidings_protocol::framing::{Message, Violation};

use crate::worker::connection::phase::{Phase, Received};

/// What a client said, and counts.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::worker) enum Heard<'b> {
    Message(Result<Request, Refused>),
    Binary,
    /// With the id, if it can be read.
    TooLong {
        limit: usize,
        id: Option<MessageId>,
    },
    Ping(Cow<'b, [u8]>),
    Pong(Cow<'b, [u8]>),
    Close(Option<u16>),
    Violation(Violation),
}

impl<'b> Heard<'b> {
    /// `None` of what is passed over in this phase. Nothing is parsed in vain: where not even an acknowledgement counts,
    /// no text does.
    pub(in crate::worker) fn of(
        phase: Phase,
        received: Result<Message<'b>, Violation>,
        read: impl FnOnce(&str) -> Result<Request, Refused>,
    ) -> Option<Self> {
        let (kind, heard) = match received {
            Ok(Message::Text(text)) => {
                if !phase.obeys(Received::Acknowledgement) {
                    return None;
                }
                let read = read(&text);
                let is_ack = matches!(&read, Ok(Request { message: ClientMessage::Ack { .. }, .. }));
                (if is_ack { Received::Acknowledgement } else { Received::Request }, Self::Message(read))
            }
            Ok(Message::Binary) => (Received::Request, Self::Binary),
            Ok(Message::TooLong { limit, beginning, .. }) => {
                let id =
                    phase.obeys(Received::Request).then(|| id_in_beginning(&beginning, &Limits::default()));
                (Received::Request, Self::TooLong { limit, id: id.flatten() })
            }
            Ok(Message::Ping(payload)) => (Received::Ping, Self::Ping(payload)),
            Ok(Message::Pong(payload)) => (Received::Acknowledgement, Self::Pong(payload)),
            Ok(Message::Close { code, .. }) => (Received::Close, Self::Close(code)),
            Err(violation) => (Received::Violation, Self::Violation(violation)),
        };
        phase.obeys(kind).then_some(heard)
    }

    /// Whether it is a message, of which a client may send only so many.
    pub(in crate::worker) fn is_message(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Binary | Self::TooLong { .. })
    }

    /// The id that an answer names.
    pub(in crate::worker) fn id(&self) -> Option<MessageId> {
        match self {
            Self::Message(Ok(request)) => request.id.clone(),
            Self::Message(Err(refused)) => refused.id.clone(),
            Self::TooLong { id, .. } => id.clone(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
