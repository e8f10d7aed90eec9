//! permessage-deflate (RFC 7692): each message is compressed by itself.
//!
//! No message refers to an earlier one, in either direction (`server_no_context_takeover`,
//! `client_no_context_takeover`). So an envelope is compressed once for all connections, one [`Deflater`] and one
//! [`Inflater`] serve any number of connections, and connections keep no window. A decompressed message never exceeds
//! the message limit.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::outbound::{join, payload};
use super::{COMPRESSED, Violation};
use crate::extensions::SERVER_WINDOW_BITS;

/// The end of a flush, which is not sent (RFC 7692, section 7.2.1).
const FLUSHED: [u8; 4] = [0, 0, 0xFF, 0xFF];
/// The unsent end of a flush, and an empty last block, which the inflater reaches only after a complete message.
const END: [u8; 6] = [0, 0, 0xFF, 0xFF, 0x03, 0x00];

/// Compresses messages; needs about 300 KB.
#[derive(Debug)]
pub struct Deflater(Compress);

impl Default for Deflater {
    fn default() -> Self {
        Self(Compress::new_with_window_bits(Compression::default(), false, SERVER_WINDOW_BITS))
    }
}

impl Deflater {
    /// Compresses the payload of a message's frame that this module made. Returns `None` unless the result is shorter.
    pub fn compress(&mut self, frame: &[u8]) -> Option<Bytes> {
        let payload = payload(frame);
        self.0.reset();
        // Capacity for a shorter result and one more byte: a flush is complete if it leaves some room.
        let mut output = Vec::with_capacity(payload.len() + FLUSHED.len());
        self.0.compress_vec(payload, &mut output, FlushCompress::Sync).ok()?;
        let is_complete = self.0.total_in() == payload.len() as u64 && output.len() < output.capacity();
        let compressed = output.strip_suffix(&FLUSHED).filter(|_| is_complete)?;
        (compressed.len() < payload.len()).then(|| join(frame[0] | COMPRESSED, &[compressed]))
    }
}

/// Decompresses messages; needs about 50 KB.
#[derive(Debug)]
pub struct Inflater(Decompress);

impl Default for Inflater {
    fn default() -> Self {
        Self(Decompress::new(false))
    }
}

impl Inflater {
    /// Decompresses the payload of a message, given in all of its frames. If the result is longer than `limit` bytes or
    /// the data is broken, `inflated` has the part before, and at most one byte more than the limit.
    pub(super) fn inflate(
        &mut self,
        compressed: &[u8],
        limit: usize,
        inflated: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        self.inflate_all(&[compressed, &END], limit, inflated)
    }

    /// Decompresses the beginning of such a payload, into at most `limit` bytes.
    pub(super) fn inflate_beginning(&mut self, compressed: &[u8], limit: usize) -> Vec<u8> {
        let mut inflated = Vec::new();
        // The data ends in the middle, so an error is expected.
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

/// Makes room for at least one byte: at first for the usual size of such an output, then for twice as much each time,
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
