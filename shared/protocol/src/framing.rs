//! RFC 6455 framing for a server: [`frame`] and its variants write, [`Inbound`] reads.
//!
//! An envelope is framed once and its bytes are shared by all connections. An idle connection has no read buffer. Both
//! require that no WebSocket library owns the gateway's sockets. The only extension is permessage-deflate (RFC 7692),
//! which [`crate::extensions`] negotiates: [`Deflater`] and [`Inflater`] are shared by connections. Section numbers in
//! this module are those of RFC 6455.

mod deflate;
mod header;
mod inbound;
mod outbound;
mod partial;

pub use deflate::{Deflater, Inflater};
pub use header::Violation;
pub use inbound::{Inbound, Message, Messages};
pub use outbound::{
    NotAnObject, client_text, close, first_frame, frame, front, longest_front, payload, text_with_answered,
    text_with_sequence,
};

/// The longest payload of a control frame, in bytes (section 5.5).
const MAX_CONTROL_PAYLOAD: usize = 125;
/// The reserved bit that marks the first frame of a compressed message (RFC 7692, section 6).
const COMPRESSED: u8 = 0b0100_0000;

/// The type of a frame (section 5.2).
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
