//! Frames of a client, read from whatever pieces the socket yields.
//!
//! A gateway reads into one buffer that all of its connections share, so a connection keeps bytes
//! only of a frame or message that is incomplete when a piece ends, and frees them when it is
//! complete. What lies whole in one piece is never copied: it is unmasked in place and borrowed.
//! The memory held never exceeds the message limit, and grows with the bytes that came, not with
//! those announced: of a message that is longer, the beginning is kept, and the connection goes on behind it, unless its
//! length is absurd. A compressed message is kept as it came until it is whole, so that one [`Inflater`]
//! serves all connections.

use std::borrow::Cow;
use std::mem;

use super::header::{Header, parse_close};
use super::partial::{Partial, decompressed};
use super::{Inflater, Opcode, Violation};

/// So many times the message limit is an absurd length: no client comes to that by mistake, and none is waited for.
const ABSURD: usize = 64;

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'b> {
    /// A whole text, over all of its fragments.
    Text(Cow<'b, str>),
    /// A whole binary message; nothing understands one, so its bytes are not kept.
    Binary,
    /// A message that is longer than the limit.
    TooLong {
        /// Bytes that it has, or had when it was given up.
        length: usize,
        /// The greatest length in bytes.
        limit: usize,
        /// Of a text, its first bytes, as many as the limit allows; they may end within a character.
        beginning: Cow<'b, [u8]>,
    },
    /// To be answered with a Pong of the same payload, at most 125 bytes.
    Ping(Cow<'b, [u8]>),
    /// The answer to a Ping, or unasked for.
    Pong(Cow<'b, [u8]>),
    /// The last message: whatever follows is ignored (RFC 6455, section 1.4).
    Close {
        /// `None` if the client gave none.
        code: Option<u16>,
        /// Empty if the client gave none.
        reason: Cow<'b, str>,
    },
}

/// The reading side of one connection.
#[derive(Debug, Default)]
pub struct Inbound {
    reading: Reading,
    /// The payload of a control frame that did not come in one piece; else empty.
    control: Box<[u8]>,
    /// The text or binary message that did not come in one piece.
    message: Option<Box<Partial>>,
}

const _: () = assert!(size_of::<Inbound>() <= 48, "every idle connection holds one");

#[derive(Debug)]
enum Reading {
    Header {
        bytes: [u8; Header::MAX_SIZE],
        length: u8,
    },
    Payload {
        header: Header,
        received: usize,
    },
    /// After a Close frame or a violation.
    Over,
}

impl Default for Reading {
    fn default() -> Self {
        Self::Header { bytes: [0; Header::MAX_SIZE], length: 0 }
    }
}

impl Inbound {
    /// Reads the messages that these bytes complete. Payloads are unmasked in place.
    ///
    /// `message_limit` is the greatest length of a message in bytes; one of an absurd length fails as soon
    /// as a header announces it. The iterator must be driven to its end, or to its first error,
    /// which is the last item: bytes that it has not reached are what [`Messages::rest`] gives back.
    pub fn feed<'r, 'b>(&'r mut self, bytes: &'b mut [u8], message_limit: usize) -> Messages<'r, 'b> {
        Messages { inbound: self, bytes, message_limit, inflater: None, frames: 0 }
    }

    /// Whether this frame may come now, and whether the length of its message is not absurd.
    fn admit(&self, header: Header, limit: usize) -> Result<(), Violation> {
        let before = match (header.opcode, &self.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
            (Opcode::Continuation, None) => return Err(Violation::OrphanContinuation),
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Violation::InterruptedMessage),
            (Opcode::Text | Opcode::Binary, None) => 0,
            (Opcode::Continuation, Some(message)) => message.length(),
        };
        let length = before.saturating_add(header.length);
        if length > limit.saturating_mul(ABSURD) { Err(Violation::TooLong { length, limit }) } else { Ok(()) }
    }

    /// The next piece of a control frame's payload, of which `before` bytes came before.
    fn control<'b>(
        &mut self,
        header: Header,
        before: usize,
        piece: &'b [u8],
    ) -> Result<Option<Message<'b>>, Violation> {
        if piece.len() == header.length {
            return self.controlled(header.opcode, Cow::Borrowed(piece)).map(Some);
        }
        if self.control.is_empty() {
            self.control = vec![0; header.length].into();
        }
        let end = before + piece.len();
        self.control[before..end].copy_from_slice(piece);
        if end < header.length {
            return Ok(None);
        }
        let payload = mem::take(&mut self.control).into_vec();
        self.controlled(header.opcode, Cow::Owned(payload)).map(Some)
    }

    fn controlled<'b>(&mut self, opcode: Opcode, payload: Cow<'b, [u8]>) -> Result<Message<'b>, Violation> {
        Ok(match opcode {
            Opcode::Ping => Message::Ping(payload),
            Opcode::Pong => Message::Pong(payload),
            _ => {
                self.end();
                let (code, reason) = match payload {
                    Cow::Borrowed(payload) => {
                        let (code, reason) = parse_close(payload)?;
                        (code, Cow::Borrowed(reason))
                    }
                    Cow::Owned(payload) => {
                        let (code, reason) = parse_close(&payload)?;
                        (code, Cow::Owned(reason.to_owned()))
                    }
                };
                Message::Close { code, reason }
            }
        })
    }

    /// The next piece of a data frame's payload, of which `before` bytes came before.
    fn data<'b>(
        &mut self,
        header: Header,
        before: usize,
        piece: &'b [u8],
        limit: usize,
        inflater: Option<&mut Inflater>,
    ) -> Result<Option<Message<'b>>, Violation> {
        let is_whole = self.message.is_none() && header.is_final && piece.len() == header.length;
        if is_whole && header.length <= limit {
            return Ok(Some(match header.opcode {
                opcode if header.is_compressed => decompressed(opcode, piece, inflater, limit)?,
                Opcode::Text => {
                    let text = std::str::from_utf8(piece).map_err(|_| Violation::TextNotUtf8)?;
                    Message::Text(Cow::Borrowed(text))
                }
                _ => Message::Binary,
            }));
        }
        let message = self.message.get_or_insert_with(|| Box::new(Partial::new(header)));
        message.append(piece, limit)?;
        if before + piece.len() < header.length || !header.is_final {
            return Ok(None);
        }
        self.message.take().map(|message| message.finish(inflater, limit)).transpose()
    }

    fn end(&mut self) {
        *self = Self { reading: Reading::Over, ..Self::default() };
    }
}

/// The messages that a fed piece completes, and at most one violation, last.
#[derive(Debug)]
#[must_use = "nothing is read until the iterator is driven"]
pub struct Messages<'r, 'b> {
    inbound: &'r mut Inbound,
    bytes: &'b mut [u8],
    message_limit: usize,
    inflater: Option<&'r mut Inflater>,
    frames: usize,
}

impl<'r, 'b> Messages<'r, 'b> {
    /// Takes compressed messages, too, and decompresses them: where permessage-deflate was negotiated.
    pub fn inflated_by(self, inflater: Option<&'r mut Inflater>) -> Self {
        Self { inflater, ..self }
    }

    /// Frames that have begun so far.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// What was not reached, to be fed later.
    #[must_use]
    pub fn rest(self) -> &'b mut [u8] {
        self.bytes
    }

    fn advance(&mut self) -> Result<Option<Message<'b>>, Violation> {
        loop {
            match &mut self.inbound.reading {
                Reading::Over => return Ok(None),
                Reading::Header { bytes: partial, length } => {
                    let (header, used) =
                        complete_header(partial, length, self.bytes, self.inflater.is_some())?;
                    self.take(used);
                    let Some(header) = header else {
                        return Ok(None);
                    };
                    self.frames += 1;
                    self.inbound.admit(header, self.message_limit)?;
                    self.inbound.reading = Reading::Payload { header, received: 0 };
                }
                Reading::Payload { header, received } => {
                    let (header, before) = (*header, *received);
                    if self.bytes.is_empty() && before < header.length {
                        return Ok(None);
                    }
                    let piece = self.take(header.length - before);
                    unmask(piece, header.mask, before);
                    let after = before + piece.len();
                    self.inbound.reading = if after == header.length {
                        Reading::default()
                    } else {
                        Reading::Payload { header, received: after }
                    };
                    let message = if header.opcode.is_control() {
                        self.inbound.control(header, before, piece)?
                    } else {
                        let inflater = self.inflater.as_deref_mut();
                        self.inbound.data(header, before, piece, self.message_limit, inflater)?
                    };
                    if message.is_some() || after < header.length {
                        return Ok(message);
                    }
                }
            }
        }
    }

    /// Up to `count` bytes off the front.
    fn take(&mut self, count: usize) -> &'b mut [u8] {
        let count = count.min(self.bytes.len());
        let (taken, rest) = mem::take(&mut self.bytes).split_at_mut(count);
        self.bytes = rest;
        taken
    }
}

impl<'b> Iterator for Messages<'_, 'b> {
    type Item = Result<Message<'b>, Violation>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.advance().transpose();
        if let Some(Err(_)) = item {
            self.inbound.end();
        }
        item
    }
}

/// Adds bytes to a partial header; returns the header, if it is complete, and how many bytes
/// were used.
fn complete_header(
    partial: &mut [u8; Header::MAX_SIZE],
    length: &mut u8,
    bytes: &[u8],
    deflate: bool,
) -> Result<(Option<Header>, usize), Violation> {
    let before = usize::from(*length);
    let copied = bytes.len().min(Header::MAX_SIZE - before);
    let end = before + copied;
    partial[before..end].copy_from_slice(&bytes[..copied]);
    if let Some((header, size)) = Header::parse(&partial[..end], deflate)? {
        return Ok((Some(header), size - before));
    }
    *length = u8::try_from(end).unwrap_or(u8::MAX);
    Ok((None, copied))
}

/// Section 5.3, for a piece that begins at `offset` in the payload. Four bytes at a time, which
/// the compiler turns into vector instructions.
fn unmask(piece: &mut [u8], mut mask: [u8; 4], offset: usize) {
    mask.rotate_left(offset % 4);
    let word = u32::from_ne_bytes(mask);
    let (words, rest) = piece.as_chunks_mut();
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}
