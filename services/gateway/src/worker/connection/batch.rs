//! The envelopes that a shard delivers at once.
//!
//! Most of those who receive several of a batch receive the same ones. Who receives what is
//! therefore a few bits, and the frames of a share are joined once for everybody who has it: the
//! cost of a message beyond the first is next to nothing, where a reference and a slice of each
//! frame for each connection would cost more than the system takes to send them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::replica::deflate::Deflate;
use crate::replica::frame::{Form, FramedEnvelope};

/// The longest frames that are joined, in bytes. Copying more costs more than it spares, and no
/// socket takes as much at once.
const MAX_JOINED: usize = 32 * 1024;

pub(in crate::worker) struct Batch {
    envelopes: Box<[Arc<FramedEnvelope>]>,
    deflate: Rc<Deflate>,
    /// What was joined last.
    joined: RefCell<Joined>,
}

/// Some of a batch's envelopes: a bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::worker) struct Share(u64);

#[derive(Default)]
struct Joined {
    of: Option<(Share, Shape)>,
    bytes: Vec<u8>,
}

/// In what shape a connection takes envelopes: all that a frame depends on besides its envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) struct Shape {
    pub(in crate::worker) form: Form,
    pub(in crate::worker) is_compressed: bool,
    /// The longest body, in bytes.
    pub(in crate::worker) most: u32,
}

impl Shape {
    /// The frame of an envelope.
    pub(in crate::worker) fn frame<'f>(
        self,
        framed: &'f FramedEnvelope,
        deflate: &Deflate,
    ) -> Cow<'f, Bytes> {
        let most = usize::try_from(self.most).unwrap_or(usize::MAX);
        framed.frame_within(self.form, most, self.is_compressed.then_some(deflate))
    }
}

impl Batch {
    /// The most envelopes that are delivered at once.
    pub(in crate::worker) const MAX: usize = u64::BITS as usize;

    /// At most [`Batch::MAX`] envelopes.
    pub(in crate::worker) fn new(envelopes: &[Arc<FramedEnvelope>], deflate: &Rc<Deflate>) -> Rc<Self> {
        debug_assert!(envelopes.len() <= Self::MAX);
        let deflate = Rc::clone(deflate);
        Rc::new(Self { envelopes: envelopes.into(), deflate, joined: RefCell::default() })
    }

    pub(in crate::worker) fn envelopes(&self) -> &[Arc<FramedEnvelope>] {
        &self.envelopes
    }

    /// The frames of a share, in order.
    pub(in crate::worker) fn frames(
        &self,
        share: Share,
        shape: Shape,
    ) -> impl Iterator<Item = Cow<'_, Bytes>> {
        let numbered = self.envelopes.iter().enumerate();
        let shared = numbered.filter(move |(index, _)| share.has(*index));
        shared.map(move |(_, framed)| self.frame(framed, shape))
    }

    /// The frame of one of its envelopes.
    pub(in crate::worker) fn frame<'b>(&'b self, framed: &'b FramedEnvelope, shape: Shape) -> Cow<'b, Bytes> {
        shape.frame(framed, &self.deflate)
    }

    /// Hands over the frames of a share in one piece, unless they are too long for that.
    pub(in crate::worker) fn with_joined<T>(
        &self,
        share: Share,
        shape: Shape,
        length: usize,
        write: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let mut frames = self.frames(share, shape);
        if share.count() == 1 {
            return frames.next().map(|frame| write(&frame));
        }
        if length > MAX_JOINED {
            return None;
        }
        let mut joined = self.joined.borrow_mut();
        if joined.of != Some((share, shape)) {
            joined.bytes.clear();
            frames.for_each(|frame| joined.bytes.extend_from_slice(&frame));
            joined.of = Some((share, shape));
        }
        Some(write(&joined.bytes))
    }
}

impl Share {
    /// With the envelope at this index as well.
    pub(in crate::worker) fn with(self, index: usize) -> Self {
        Self(self.0 | 1 << index)
    }

    pub(in crate::worker) fn has(self, index: usize) -> bool {
        self.0 & 1 << index != 0
    }

    pub(in crate::worker) fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}
