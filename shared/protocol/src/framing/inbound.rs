//! Reads client frames from the pieces that the socket yields.
//!
//! All connections of a gateway's worker share one read buffer. A connection keeps bytes only of a frame or message
//! that is incomplete when a piece ends, and frees them when it is complete. A frame that lies in one piece is not
//! copied: it is unmasked in place and borrowed.
//!
//! The memory never exceeds the message limit, and grows with the received bytes, not with the announced length. Of a
//! longer message the beginning is kept, and the connection continues after it, unless the length is absurd. A
//! compressed message is kept compressed until it is complete, so that one [`Inflater`] serves all connections.

use std::borrow::Cow;
use std::mem;

use super::header::{Header, parse_close};
use super::partial::{Partial, decompressed};
use super::{Inflater, Opcode, Violation};

/// A message this many times longer than the limit closes the connection: no client sends it by mistake.
const ABSURD: usize = 64;

/// A message from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'b> {
    /// A complete text message.
    Text(Cow<'b, str>),
    /// A complete binary message. The gateway supports none, so its bytes are not kept.
    Binary,
    /// A message longer than the limit.
    TooLong {
        /// Its length in bytes, or the length at which reading was given up.
        length: usize,
        /// The limit in bytes.
        limit: usize,
        /// The first bytes of a text, up to the limit. They may end within a character.
        beginning: Cow<'b, [u8]>,
    },
    /// A Ping of at most 125 bytes. The answer is a Pong with the same payload.
    Ping(Cow<'b, [u8]>),
    /// A Pong: the answer to a Ping, or unsolicited.
    Pong(Cow<'b, [u8]>),
    /// The last message. Everything after it is ignored (RFC 6455, section 1.4).
    Close {
        /// `None` if the client gave none.
        code: Option<u16>,
        /// Empty if the client gave none.
        reason: Cow<'b, str>,
    },
}

/// The reading half of one connection.
#[derive(Debug, Default)]
pub struct Inbound {
    reading: Reading,
    /// The payload of a partly received control frame, otherwise empty.
    control: Box<[u8]>,
    /// The partly received text or binary message.
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
    /// `message_limit` is the longest message in bytes. A message of an absurd length fails as soon as a header
    /// announces it. The iterator must be driven to its end, or to its first error, which is the last item.
    /// [`Messages::rest`] returns the bytes that it has not reached.
    pub fn feed<'r, 'b>(&'r mut self, bytes: &'b mut [u8], message_limit: usize) -> Messages<'r, 'b> {
        Messages { inbound: self, bytes, message_limit, inflater: None, frames: 0 }
    }

    /// Checks that this frame may come now, and that the length of its message is not absurd.
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

    /// Adds a piece of a control frame's payload; `before` is the number of earlier bytes.
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

    /// Adds a piece of a data frame's payload; `before` is the number of earlier bytes.
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

/// Iterates over the messages that a piece completes, and at most one violation, last.
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
    /// Accepts compressed messages and decompresses them, if permessage-deflate was negotiated.
    pub fn inflated_by(self, inflater: Option<&'r mut Inflater>) -> Self {
        Self { inflater, ..self }
    }

    /// The number of frames that have begun so far.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Returns the bytes that were not reached, to be fed later.
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

    /// Takes up to `count` bytes from the front.
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

/// Adds bytes to a partial header. Returns the header, if it is complete, and the number of bytes used.
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

/// Unmasks a piece that begins at `offset` in the payload (section 5.3), four bytes at a time, which the compiler turns
/// into vector instructions.
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
