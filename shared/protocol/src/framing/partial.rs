//! A message that did not come in one piece.

use std::borrow::Cow;

use super::header::Header;
use super::{Inflater, Message, Opcode, Violation};

/// A text or binary message of which not all has come.
#[derive(Debug)]
pub(super) enum Partial {
    /// The first `valid` bytes are UTF-8; the rest, at most 3, begin a character.
    Text {
        bytes: Vec<u8>,
        valid: usize,
    },
    Binary {
        length: usize,
    },
    /// As it came: what decompresses it is shared, and so takes it whole.
    Compressed {
        opcode: Opcode,
        bytes: Vec<u8>,
    },
}

impl Partial {
    /// The message that a frame with this header begins.
    pub(super) fn new(first: Header) -> Self {
        match first.opcode {
            opcode if first.is_compressed => Self::Compressed { opcode, bytes: Vec::new() },
            Opcode::Text => Self::Text { bytes: Vec::new(), valid: 0 },
            _ => Self::Binary { length: 0 },
        }
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Text { bytes, .. } | Self::Compressed { bytes, .. } => bytes.len(),
            Self::Binary { length } => *length,
        }
    }

    /// Fails at the first piece with a byte that no UTF-8 text has there.
    pub(super) fn append(&mut self, piece: &[u8], limit: usize) -> Result<(), Violation> {
        match self {
            Self::Binary { length } => *length += piece.len(),
            Self::Compressed { bytes, .. } => {
                reserve(bytes, piece.len(), limit);
                bytes.extend_from_slice(piece);
            }
            Self::Text { bytes, valid } => {
                reserve(bytes, piece.len(), limit);
                bytes.extend_from_slice(piece);
                *valid += match std::str::from_utf8(&bytes[*valid..]) {
                    Ok(text) => text.len(),
                    Err(error) if error.error_len().is_none() => error.valid_up_to(),
                    Err(_) => return Err(Violation::TextNotUtf8),
                };
            }
        }
        Ok(())
    }

    /// The message, whose last byte has come.
    pub(super) fn finish<'b>(
        self,
        inflater: Option<&mut Inflater>,
        limit: usize,
    ) -> Result<Message<'b>, Violation> {
        match self {
            Self::Binary { .. } => Ok(Message::Binary),
            Self::Text { bytes, .. } => owned_text(bytes),
            Self::Compressed { opcode, bytes } => decompressed(opcode, &bytes, inflater, limit),
        }
    }
}

/// A compressed message, all of which has come.
pub(super) fn decompressed<'b>(
    opcode: Opcode,
    bytes: &[u8],
    inflater: Option<&mut Inflater>,
    limit: usize,
) -> Result<Message<'b>, Violation> {
    // Only where there is one does a header say that a message is compressed.
    let Some(inflater) = inflater else { return Err(Violation::BrokenDeflate) };
    let inflated = inflater.inflate(bytes, limit)?;
    match opcode {
        Opcode::Text => owned_text(inflated),
        _ => Ok(Message::Binary),
    }
}

fn owned_text<'b>(bytes: Vec<u8>) -> Result<Message<'b>, Violation> {
    String::from_utf8(bytes).map(|text| Message::Text(Cow::Owned(text))).map_err(|_| Violation::TextNotUtf8)
}

/// Doubles like `Vec` does, but never beyond the limit.
fn reserve(bytes: &mut Vec<u8>, additional: usize, limit: usize) {
    const LEAST: usize = 64;
    let needed = bytes.len() + additional;
    if needed > bytes.capacity() {
        let wanted = bytes.capacity().saturating_mul(2).max(LEAST).min(limit).max(needed);
        bytes.reserve_exact(wanted - bytes.len());
    }
}
