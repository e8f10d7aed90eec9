//! Which of the frames that a client sends count, by the phase of its connection. Pure.

use std::borrow::Cow;

use tidings_protocol::client::{ClientMessage, Limits, Refused, Request, id_in_beginning};
use tidings_protocol::error::MessageId;
use tidings_protocol::framing::{Message, Violation};

/// The kind of a frame, as far as it matters whether it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum FrameKind {
    /// A message, whether it was understood or not.
    Request,
    /// `ack`, or the Pong that answers a Ping.
    Acknowledgement,
    Ping,
    Close,
    /// What the protocol forbids, and ends the connection.
    Violation,
}

/// A frame that counts.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::worker) enum ReceivedFrame<'b> {
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

impl<'b> ReceivedFrame<'b> {
    /// `None` for a frame that is ignored. Nothing is parsed in vain: where not even an acknowledgement counts, no text
    /// does.
    pub(in crate::worker) fn of(
        obeys: impl Fn(FrameKind) -> bool,
        received: Result<Message<'b>, Violation>,
        read: impl FnOnce(&str) -> Result<Request, Refused>,
    ) -> Option<Self> {
        let (kind, frame) = match received {
            Ok(Message::Text(text)) => {
                if !obeys(FrameKind::Acknowledgement) {
                    return None;
                }
                let read = read(&text);
                let is_ack = matches!(&read, Ok(Request { message: ClientMessage::Ack { .. }, .. }));
                (if is_ack { FrameKind::Acknowledgement } else { FrameKind::Request }, Self::Message(read))
            }
            Ok(Message::Binary) => (FrameKind::Request, Self::Binary),
            Ok(Message::TooLong { limit, beginning, .. }) => {
                let id = obeys(FrameKind::Request).then(|| id_in_beginning(&beginning, &Limits::default()));
                (FrameKind::Request, Self::TooLong { limit, id: id.flatten() })
            }
            Ok(Message::Ping(payload)) => (FrameKind::Ping, Self::Ping(payload)),
            Ok(Message::Pong(payload)) => (FrameKind::Acknowledgement, Self::Pong(payload)),
            Ok(Message::Close { code, .. }) => (FrameKind::Close, Self::Close(code)),
            Err(violation) => (FrameKind::Violation, Self::Violation(violation)),
        };
        obeys(kind).then_some(frame)
    }

    /// Whether it is a message, whose rate is limited.
    pub(in crate::worker) fn is_message(&self) -> bool {
        matches!(self, Self::Message(_) | Self::Binary | Self::TooLong { .. })
    }

    /// The id of the message, for the answer.
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
