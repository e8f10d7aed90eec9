//! A message that did not come in one piece.

use std::borrow::Cow;

use super::header::Header;
use super::{Inflater, Message, Opcode, Violation};

/// A text or binary message of which not all has come. Of a message that is longer than the limit the beginning is kept,
/// up to the limit, so that the answer can name it; the rest is counted and dropped.
#[derive(Debug)]
pub(super) struct Partial {
    kind: Kind,
    bytes: Vec<u8>,
    /// Bytes that have come.
    length: usize,
}

#[derive(Debug)]
enum Kind {
    /// The first `valid` of the bytes that are kept are UTF-8; the rest, at most 3, begin a character.
    Text { valid: usize },
    /// Nothing of it is kept.
    Binary,
    /// Kept as it came: what decompresses it is shared, and so takes it whole.
    Compressed(Opcode),
}

impl Partial {
    /// The message that a frame with this header begins.
    pub(super) fn new(first: Header) -> Self {
        let kind = match first.opcode {
            opcode if first.is_compressed => Kind::Compressed(opcode),
            Opcode::Text => Kind::Text { valid: 0 },
            _ => Kind::Binary,
        };
        Self { kind, bytes: Vec::new(), length: 0 }
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Fails at the first piece with a byte that no UTF-8 text has there.
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

    /// The message, whose last byte has come.
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

/// A compressed message, all of which has come.
pub(super) fn decompressed<'b>(
    opcode: Opcode,
    bytes: &[u8],
    inflater: Option<&mut Inflater>,
    limit: usize,
) -> Result<Message<'b>, Violation> {
    // Only where there is one does a header say that a message is compressed.
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

/// Doubles like `Vec` does, but never beyond the limit.
fn reserve(bytes: &mut Vec<u8>, additional: usize, limit: usize) {
    const LEAST: usize = 64;
    let needed = bytes.len() + additional;
    if needed > bytes.capacity() {
        let wanted = bytes.capacity().saturating_mul(2).max(LEAST).min(limit).max(needed);
        bytes.reserve_exact(wanted - bytes.len());
    }
}
