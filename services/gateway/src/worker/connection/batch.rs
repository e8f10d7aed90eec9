//! The envelopes that a worker delivers at once.
//!
//! Most connections that receive several of a batch receive the same ones. What a connection receives is
//! therefore a few bits, and the frames of a share are joined once for all connections that have it: the
//! cost of a message beyond the first is next to nothing, where a reference and a slice of each
//! frame for each connection would cost more than the system takes to send them.
//!
//! Most connections receive all of a run of neighbours and have room for it, so whether that is so is asked once for
//! each connection and not once for each message; everything else about a run is the same for all.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::replica::{Deflate, Form, FramedEnvelope};

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
pub(super) struct Share(u64);

#[derive(Default)]
struct Joined {
    of: Option<(Share, Shape)>,
    bytes: Vec<u8>,
}

/// In what shape a connection takes envelopes: all that a frame depends on besides its envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) form: Form,
    pub(super) is_compressed: bool,
    /// The longest body, in bytes.
    pub(super) most: u32,
}

impl Shape {
    /// The frame of an envelope.
    pub(super) fn frame<'f>(self, framed: &'f FramedEnvelope, deflate: &Deflate) -> Cow<'f, Bytes> {
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
    pub(super) fn frames(&self, share: Share, shape: Shape) -> impl Iterator<Item = Cow<'_, Bytes>> {
        let numbered = self.envelopes.iter().enumerate();
        let context = numbered.filter(move |(index, _)| share.has(*index));
        context.map(move |(_, framed)| self.frame(framed, shape))
    }

    /// The frame of one of its envelopes.
    pub(super) fn frame<'b>(&'b self, framed: &'b FramedEnvelope, shape: Shape) -> Cow<'b, Bytes> {
        shape.frame(framed, &self.deflate)
    }

    /// Hands over the frames of a share in one piece, unless they are too long for that.
    pub(super) fn with_joined<T>(
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
    pub(super) fn with(self, index: usize) -> Self {
        Self(self.0 | 1 << index)
    }

    fn has(self, index: usize) -> bool {
        self.0 & 1 << index != 0
    }

    pub(super) fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}

/// Neighbours in a batch that go to the same connections.
pub(in crate::worker) struct BatchRun<'b> {
    pub(super) batch: &'b Rc<Batch>,
    pub(in crate::worker) first: &'b FramedEnvelope,
    pub(super) last: &'b FramedEnvelope,
    pub(super) share: Share,
    range: Range<usize>,
    /// Whether a connection that does not have the first of them has none of them.
    is_of_a_piece: bool,
    /// Bytes of the frames in the shape that was asked for last.
    length: Cell<Option<(Shape, usize)>>,
}

impl<'b> BatchRun<'b> {
    /// `None` of an empty range, or of one beyond the batch.
    pub(in crate::worker) fn new(batch: &'b Rc<Batch>, range: Range<usize>) -> Option<Self> {
        let envelopes = batch.envelopes().get(range.clone())?;
        let (first, last) = (envelopes.first()?, envelopes.last()?);
        // A part behind the first may have come before, through another address.
        let whole = envelopes.iter().all(|framed| framed.envelope().origin.part == 0);
        let distinct = envelopes.windows(2).all(|pair| pair[0].identity() != pair[1].identity());
        let share = range.clone().fold(Share::default(), Share::with);
        Some(Self {
            batch,
            first,
            last,
            share,
            range,
            is_of_a_piece: whole && distinct,
            length: Cell::default(),
        })
    }

    /// The places of its envelopes in the batch.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The bytes of its frames, unless they have to be looked at one by one.
    pub(super) fn whole_length(&self, shape: Shape) -> Option<usize> {
        if !self.is_of_a_piece {
            return None;
        }
        if let Some((same, length)) = self.length.get()
            && same == shape
        {
            return Some(length);
        }
        let length = self.batch.frames(self.share, shape).map(|frame| frame.len()).sum();
        self.length.set(Some((shape, length)));
        Some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_message_are_looked_at_one_by_one() {
        let shape = Shape { form: Form::Plain, is_compressed: false, most: 100 };
        let deflate = Rc::new(Deflate::new(usize::MAX));
        let length = |examples: [(u64, u32); 2]| {
            let framed = examples
                .map(|(event, part)| Arc::new(FramedEnvelope::example(event, "{}").of_event(event, part)));
            let batch = Batch::new(&framed, &deflate);
            BatchRun::new(&batch, 0..2).unwrap().whole_length(shape)
        };
        assert_eq!(length([(1, 0), (2, 0)]), Some(2 * 4));
        assert_eq!(length([(1, 0), (1, 0)]), None, "one message twice");
        assert_eq!(length([(1, 0), (2, 1)]), None, "a part that may have come before");
    }

    #[test]
    fn a_run_lies_within_its_batch() {
        let framed = [1, 2, 3].map(|sequence| Arc::new(FramedEnvelope::example(sequence, "{}")));
        let batch = Batch::new(&framed, &Rc::new(Deflate::new(usize::MAX)));
        let run = BatchRun::new(&batch, 1..3).unwrap();
        assert_eq!((run.first.sequence(), run.last.sequence(), run.share.count()), (2, 3, 2));
        assert!(!run.share.has(0));
        assert!(BatchRun::new(&batch, 1..1).is_none() && BatchRun::new(&batch, 2..4).is_none());
    }
}
