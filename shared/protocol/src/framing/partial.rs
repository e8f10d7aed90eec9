//! Messages that are received in several pieces.

use std::borrow::Cow;

use super::header::Header;
use super::{Inflater, Message, Opcode, Violation};

/// An incomplete text or binary message. If it is longer than the limit, the beginning is kept up to the limit, so that
/// the error can name its id. The rest is counted and dropped.
#[derive(Debug)]
pub(super) struct Partial {
    kind: Kind,
    bytes: Vec<u8>,
    /// The number of bytes received.
    length: usize,
}

#[derive(Debug)]
enum Kind {
    /// The first `valid` kept bytes are UTF-8. The others, at most 3, begin a character.
    Text { valid: usize },
    /// No bytes are kept.
    Binary,
    /// Compressed bytes: the shared inflater needs the whole message.
    Compressed(Opcode),
}

impl Partial {
    /// Begins the message of a frame with this header.
    pub(super) fn new(first: Header) -> Self {
        let kind = match first.opcode {
            opcode if first.is_compressed => Kind::Compressed(opcode),
            Opcode::Text => Kind::Text { valid: 0 },
            _ => Kind::Binary,
        };
        Self { kind, bytes: Vec::new(), length: 0 }
    }

    /// The number of bytes so far.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Adds a piece. Fails at the first piece with invalid UTF-8.
    pub(super) fn append(&mut self, piece: &[u8], limit: usize) -> Result<(), Violation> {
        self.length = self.length.saturating_add(piece.len());
        if let Kind::Binary = self.kind {
            return Ok(());
        }
        let room = limit.saturating_sub(self.bytes.len()).min(piece.len());
        reserve(&mut self.bytes, room, limit);
        self.bytes.extend_from_slice(&piece[..room]);
        if let Kind::Text { valid } = &mut self.kind {
            *valid += match std::str::from_utf8(&self.bytes[*valid..]) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => return Err(Violation::TextNotUtf8),
            };
        }
        Ok(())
    }

    /// Returns the complete message.
    pub(super) fn finish<'b>(
        self,
        inflater: Option<&mut Inflater>,
        limit: usize,
    ) -> Result<Message<'b>, Violation> {
        let Self { kind, bytes, length } = self;
        let too_long = |beginning| Message::TooLong { length, limit, beginning: Cow::Owned(beginning) };
        match kind {
            Kind::Compressed(opcode) if length > limit => {
                let inflater = inflater.filter(|_| opcode == Opcode::Text);
                let beginning = inflater.map(|inflater| inflater.inflate_beginning(&bytes, limit));
                Ok(too_long(beginning.unwrap_or_default()))
            }
            Kind::Compressed(opcode) => decompressed(opcode, &bytes, inflater, limit),
            _ if length > limit => Ok(too_long(bytes)),
            Kind::Binary => Ok(Message::Binary),
            Kind::Text { .. } => owned_text(bytes),
        }
    }
}

/// Decompresses the complete message.
pub(super) fn decompressed<'b>(
    opcode: Opcode,
    bytes: &[u8],
    inflater: Option<&mut Inflater>,
    limit: usize,
) -> Result<Message<'b>, Violation> {
    // A header can mark a message as compressed only if there is an inflater.
    let Some(inflater) = inflater else { return Err(Violation::BrokenDeflate) };
    let mut inflated = Vec::new();
    match inflater.inflate(bytes, limit, &mut inflated) {
        Err(Violation::TooLong { length, .. }) => {
            inflated.truncate(if opcode == Opcode::Text { limit } else { 0 });
            Ok(Message::TooLong { length, limit, beginning: Cow::Owned(inflated) })
        }
        Err(violation) => Err(violation),
        Ok(()) if opcode == Opcode::Text => owned_text(inflated),
        Ok(()) => Ok(Message::Binary),
    }
}

fn owned_text<'b>(bytes: Vec<u8>) -> Result<Message<'b>, Violation> {
    String::from_utf8(bytes).map(|text| Message::Text(Cow::Owned(text))).map_err(|_| Violation::TextNotUtf8)
}

/// Doubles the capacity like `Vec`, but never beyond the limit.
fn reserve(bytes: &mut Vec<u8>, additional: usize, limit: usize) {
    const LEAST: usize = 64;
    let needed = bytes.len() + additional;
    if needed > bytes.capacity() {
        let wanted = bytes.capacity().saturating_mul(2).max(LEAST).min(limit).max(needed);
        bytes.reserve_exact(wanted - bytes.len());
    }
}
