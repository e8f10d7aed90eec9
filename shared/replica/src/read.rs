//! What a reader of the local copy is given. Plain types.

use std::sync::Arc;

use tidings_mailbox::Found;

use crate::frame::FramedEnvelope;

/// Part of what lies at some addresses.
pub struct ReplicaPage {
    /// Ascending; without the envelope where only its sequence is known.
    pub found: Vec<(Found, Option<Arc<FramedEnvelope>>)>,
    /// The page covers everything up to here.
    pub read_through: u64,
}

/// Why a position cannot be read after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// The mailbox does not reach back so far, only to `floor`.
    NotCovered {
        /// Nothing at or below this sequence is known.
        floor: u64,
    },
    /// An envelope that followed may have been removed from the stream.
    Removed {
        /// The stream begins after this sequence.
        floor: u64,
    },
    /// The position belongs to another life of the stream.
    Renewed,
}

/// What a copy takes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Envelopes in the mailbox.
    pub indexed: usize,
    /// Bytes of the mailbox.
    pub mailbox_bytes: usize,
    /// Envelopes in the hot tail.
    pub hot: usize,
    /// Bytes of the hot tail.
    pub hot_tail_bytes: usize,
}
