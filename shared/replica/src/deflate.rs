//! permessage-deflate for all connections of a worker. No connection has a state of its own, because each message is
//! compressed by itself.

use std::cell::{RefCell, RefMut};

use bytes::Bytes;
use tidings_protocol::framing::{Deflater, Inflater};

/// Compresses and decompresses messages.
pub struct Deflate {
    /// Shorter messages, in bytes, go out as they are.
    threshold: usize,
    deflater: RefCell<Deflater>,
    inflater: RefCell<Inflater>,
}

impl Deflate {
    /// With a threshold in bytes; shorter messages go out as they are.
    #[must_use]
    pub fn new(threshold: usize) -> Self {
        Self { threshold, deflater: RefCell::default(), inflater: RefCell::default() }
    }

    pub(crate) fn threshold(&self) -> usize {
        self.threshold
    }

    /// The frame with its message compressed, or as it is if that does not make it shorter.
    pub(crate) fn compress(&self, frame: Bytes) -> Bytes {
        self.deflater.borrow_mut().compress(&frame).unwrap_or(frame)
    }

    /// Decompresses clients' messages.
    pub fn inflater(&self) -> RefMut<'_, Inflater> {
        self.inflater.borrow_mut()
    }
}
