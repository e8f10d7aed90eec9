//! A message that did not come in one piece.

use std::borrow::Cow;

use super::{Message, Opcode, Violation};

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
}

impl Partial {
    pub(super) fn new(opcode: Opcode) -> Self {
        match opcode {
            Opcode::Text => Self::Text { bytes: Vec::new(), valid: 0 },
            _ => Self::Binary { length: 0 },
        }
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Text { bytes, .. } => bytes.len(),
            Self::Binary { length } => *length,
        }
    }

    /// Fails at the first piece with a byte that no UTF-8 text has there.
    pub(super) fn append(&mut self, piece: &[u8], limit: usize) -> Result<(), Violation> {
        match self {
            Self::Binary { length } => *length += piece.len(),
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
    pub(super) fn finish<'b>(self) -> Result<Message<'b>, Violation> {
        match self {
            Self::Binary { .. } => Ok(Message::Binary),
            Self::Text { bytes, .. } => match String::from_utf8(bytes) {
                Ok(text) => Ok(Message::Text(Cow::Owned(text))),
                Err(_) => Err(Violation::TextNotUtf8),
            },
        }
    }
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
