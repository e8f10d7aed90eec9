//! Headers of client frames, and the violations of a client.

use super::{COMPRESSED, MAX_CONTROL_PAYLOAD, Opcode};
use crate::close::{self, CloseCode};

/// A violation of RFC 6455 or of the message limit. The connection must be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A reserved bit without a meaning (section 5.2). If permessage-deflate was negotiated, the highest bit has a
    /// meaning in the first frame of a message (RFC 7692, section 6).
    #[error("the frame has the reserved bits {0:03b}, which mean nothing there")]
    ReservedBits(u8),
    /// An undefined opcode (section 5.2).
    #[error("the frame has the reserved opcode {0:#x}")]
    ReservedOpcode(u8),
    /// A frame without a mask. Clients must mask their frames (section 5.1).
    #[error("the frame is not masked")]
    Unmasked,
    /// A fragmented control frame (section 5.5).
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// A control frame of more than 125 bytes (section 5.5).
    #[error("a control frame is longer than 125 bytes")]
    LongControl,
    /// A length whose top bit is set (section 5.2).
    #[error("the frame length {0:#x} has its top bit set")]
    LengthTopBit(u64),
    /// A length in more bytes than it needs: "the minimal number of bytes MUST be used" (section 5.2).
    #[error("the frame length {0} is encoded in more bytes than it needs")]
    LengthNotMinimal(u64),
    /// A continuation frame without a message (section 5.4).
    #[error("a continuation frame without a message to continue")]
    OrphanContinuation,
    /// A new message before the last fragment of the previous one (section 5.4).
    #[error("a new message begins within a fragmented message")]
    InterruptedMessage,
    /// Text that is not UTF-8 (section 8.1).
    #[error("the text is not UTF-8")]
    TextNotUtf8,
    /// A compressed message that cannot be decompressed or is incomplete (RFC 7692, section 7.2.2).
    #[error("the compressed message is no DEFLATE data, or not all of it")]
    BrokenDeflate,
    /// A close reason that is not UTF-8 (section 5.5.1).
    #[error("the close reason is not UTF-8")]
    ReasonNotUtf8,
    /// A close payload of one byte (section 5.5.1).
    #[error("the close frame has 1 byte, expected none or at least 2")]
    HalfCloseCode,
    /// A close code that must not be sent (section 7.4).
    #[error("the close code {0} must not be sent")]
    InvalidCloseCode(u16),
    /// A message of all its fragments is too long, before or after decompression.
    #[error("the message has at least {length} bytes, expected at most {limit}")]
    TooLong {
        /// The length announced so far, in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl Violation {
    /// Returns the close code for this violation.
    #[must_use]
    pub fn close_code(self) -> CloseCode {
        match self {
            Self::TextNotUtf8 | Self::BrokenDeflate | Self::ReasonNotUtf8 => CloseCode::InvalidPayload,
            Self::TooLong { .. } => CloseCode::MessageTooBig,
            Self::ReservedBits(_)
            | Self::ReservedOpcode(_)
            | Self::Unmasked
            | Self::FragmentedControl
            | Self::LongControl
            | Self::LengthTopBit(_)
            | Self::LengthNotMinimal(_)
            | Self::OrphanContinuation
            | Self::InterruptedMessage
            | Self::HalfCloseCode
            | Self::InvalidCloseCode(_) => CloseCode::ProtocolError,
        }
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) is_final: bool,
    pub(super) opcode: Opcode,
    /// Whether it is the first frame of a compressed message.
    pub(super) is_compressed: bool,
    pub(super) mask: [u8; 4],
    /// The length of the payload in bytes.
    pub(super) length: usize,
}

impl Header {
    /// The longest header: two bytes, the length in eight, the mask in four.
    pub(super) const MAX_SIZE: usize = 14;

    /// Parses the header at the beginning of `bytes`. Returns it with its size, or `None` if more bytes are needed.
    /// Fails at the first invalid byte. `deflate` is whether messages may be compressed.
    pub(super) fn parse(bytes: &[u8], deflate: bool) -> Result<Option<(Self, usize)>, Violation> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let First { is_final, opcode, is_compressed } = First::parse(first, deflate)?;
        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        if second & 0x80 == 0 {
            return Err(Violation::Unmasked);
        }
        let short = second & 0x7F;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_PAYLOAD {
            return Err(Violation::LongControl);
        }
        let Some((length, rest)) = parse_length(short, rest)? else {
            return Ok(None);
        };
        let Some((&mask, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        // A length that does not fit into `usize` exceeds every limit.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(Some((Self { is_final, opcode, is_compressed, mask, length }, bytes.len() - rest.len())))
    }
}

/// The contents of the first byte.
struct First {
    is_final: bool,
    opcode: Opcode,
    is_compressed: bool,
}

impl First {
    fn parse(first: u8, deflate: bool) -> Result<Self, Violation> {
        let begins_data = matches!(first & 0x0F, 0x1 | 0x2);
        let claimed = if deflate && begins_data { first & COMPRESSED } else { 0 };
        let reserved = ((first ^ claimed) >> 4) & 0b111;
        if reserved != 0 {
            return Err(Violation::ReservedBits(reserved));
        }
        let opcode = match first & 0x0F {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            other => return Err(Violation::ReservedOpcode(other)),
        };
        let is_final = first & 0x80 != 0;
        if opcode.is_control() && !is_final {
            return Err(Violation::FragmentedControl);
        }
        Ok(Self { is_final, opcode, is_compressed: claimed != 0 })
    }
}

fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, least, rest) = match short {
        126 => {
            let Some((length, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (u64::from(u16::from_be_bytes(*length)), 126, rest)
        }
        127 => {
            let Some((length, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            (u64::from_be_bytes(*length), 65_536, rest)
        }
        _ => (u64::from(short), 0, rest),
    };
    if length >> 63 != 0 {
        return Err(Violation::LengthTopBit(length));
    }
    if length < least {
        return Err(Violation::LengthNotMinimal(length));
    }
    Ok(Some((length, rest)))
}

/// Returns the code and the reason in a Close frame's payload.
pub(super) fn parse_close(payload: &[u8]) -> Result<(Option<u16>, &str), Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok((None, "")) } else { Err(Violation::HalfCloseCode) };
    };
    let code = u16::from_be_bytes(*code);
    if !close::may_be_sent(code) {
        return Err(Violation::InvalidCloseCode(code));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Violation::ReasonNotUtf8)?;
    Ok((Some(code), reason))
}
