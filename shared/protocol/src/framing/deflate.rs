//! permessage-deflate (RFC 7692): compressed messages, each by itself.
//!
//! No message refers to one before it, in either direction (`server_no_context_takeover`,
//! `client_no_context_takeover`). So an envelope is compressed once for everybody, one [`Deflater`] and one
//! [`Inflater`] serve any number of connections, and no connection keeps a window. What a message is decompressed to
//! never exceeds the message limit, however small it came.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::outbound::{join, payload};
use super::{COMPRESSED, Violation};
use crate::extensions::SERVER_WINDOW_BITS;

/// What a flush ends with; it does not travel (RFC 7692, section 7.2.1).
const FLUSHED: [u8; 4] = [0, 0, 0xFF, 0xFF];
/// What did not travel, and an empty last block, which is found to be the last one only behind a whole message.
const END: [u8; 6] = [0, 0, 0xFF, 0xFF, 0x03, 0x00];

/// Compresses messages; about 300 KB.
#[derive(Debug)]
pub struct Deflater(Compress);

impl Default for Deflater {
    fn default() -> Self {
        Self(Compress::new_with_window_bits(Compression::default(), false, SERVER_WINDOW_BITS))
    }
}

impl Deflater {
    /// A frame of this module that holds a message, with its payload compressed; `None` unless that makes it shorter.
    pub fn compress(&mut self, frame: &[u8]) -> Option<Bytes> {
        let payload = payload(frame);
        self.0.reset();
        // Room for what is shorter, and for one byte more: a flush is complete if it leaves some.
        let mut output = Vec::with_capacity(payload.len() + FLUSHED.len());
        self.0.compress_vec(payload, &mut output, FlushCompress::Sync).ok()?;
        let is_complete = self.0.total_in() == payload.len() as u64 && output.len() < output.capacity();
        let compressed = output.strip_suffix(&FLUSHED).filter(|_| is_complete)?;
        (compressed.len() < payload.len()).then(|| join(frame[0] | COMPRESSED, &[compressed]))
    }
}

/// Decompresses messages; about 50 KB.
#[derive(Debug)]
pub struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Self {
        Self(Decompress::new(false))
    }
}

impl Inflater {
    /// What the payload of a compressed message, over all of its frames, was made of. If that is more than `limit`
    /// bytes or cannot be had, `inflated` has what came before, and at most one byte more than the limit.
    pub(super) fn inflate(
        &mut self,
        compressed: &[u8],
        limit: usize,
        inflated: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        self.inflate_all(&[compressed, &END], limit, inflated)
    }

    /// What the beginning of such a payload was made of; at most `limit` bytes.
    pub(super) fn inflate_beginning(&mut self, compressed: &[u8], limit: usize) -> Vec<u8> {
        let mut inflated = Vec::new();
        // It ends in the middle, which is no surprise.
        let _ = self.inflate_all(&[compressed], limit, &mut inflated);
        inflated.truncate(limit);
        inflated
    }

    fn inflate_all(
        &mut self,
        inputs: &[&[u8]],
        limit: usize,
        inflated: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        self.0.reset(false);
        let mut has_ended = false;
        for mut input in inputs.iter().copied() {
            loop {
                if has_ended {
                    // A sender may end its blocks with a last one (RFC 7692, section 7.2.3.4).
                    self.0.reset(false);
                }
                make_room(inflated, input.len(), limit);
                let (consumed, produced) = (self.0.total_in(), self.0.total_out());
                let status = self.0.decompress_vec(input, inflated, FlushDecompress::None);
                has_ended = status.map_err(|_| Violation::BrokenDeflate)? == Status::StreamEnd;
                if inflated.len() > limit {
                    return Err(Violation::TooLong { length: inflated.len(), limit });
                }
                let used = usize::try_from(self.0.total_in() - consumed).unwrap_or(usize::MAX);
                input = input.get(used..).unwrap_or_default();
                let is_drained = inflated.len() < inflated.capacity();
                if input.is_empty() && (is_drained || has_ended) {
                    break;
                }
                let is_stuck = used == 0 && self.0.total_out() == produced;
                if is_stuck && is_drained && !has_ended {
                    return Err(Violation::BrokenDeflate);
                }
            }
        }
        if has_ended { Ok(()) } else { Err(Violation::BrokenDeflate) }
    }
}

/// Room for at least one byte: at first for what such an input usually becomes, then for twice as much each time, and
/// never for more than one byte beyond the limit.
fn make_room(output: &mut Vec<u8>, input: usize, limit: usize) {
    const USUAL_RATIO: usize = 4;
    if output.len() < output.capacity() {
        return;
    }
    let wanted = output.capacity().saturating_mul(2).max(USUAL_RATIO * input);
    let room = wanted.min(limit.saturating_add(1)).max(output.len() + 1);
    output.reserve_exact(room - output.len());
}
