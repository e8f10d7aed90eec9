//! RFC 6455 framing for a server: [`frame`] and its kin write, [`Inbound`] reads.
//!
//! Envelopes are framed once and their bytes shared by all connections, and a connection that
//! waits owns no read buffer; that is why the gateway does not let a WebSocket library own its
//! sockets. The one extension is permessage-deflate (RFC 7692), whose offers [`crate::extensions`] answers:
//! [`Deflater`] and [`Inflater`] belong to no connection. Section numbers in this module are those of RFC 6455.

mod deflate;
mod header;
mod inbound;
mod outbound;
mod partial;

pub use deflate::{Deflater, Inflater};
pub use header::Violation;
pub use inbound::{Inbound, Message, Messages};
pub use outbound::{NotAnObject, close, frame, front, longest_front, payload, text_with_sequence};

/// The longest payload of a control frame, in bytes (section 5.5).
const MAX_CONTROL_PAYLOAD: usize = 125;
/// The reserved bit that marks the first frame of a compressed message (RFC 7692, section 6).
const COMPRESSED: u8 = 0b0100_0000;

/// What a frame carries (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// The next part of a fragmented message.
    Continuation = 0x0,
    /// UTF-8 text.
    Text = 0x1,
    /// Any bytes.
    Binary = 0x2,
    /// The last frame of a side.
    Close = 0x8,
    /// Asks for a Pong.
    Ping = 0x9,
    /// Answers a Ping with its payload.
    Pong = 0xA,
}

impl Opcode {
    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}
