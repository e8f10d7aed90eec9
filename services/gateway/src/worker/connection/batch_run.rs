//! Neighbours in a batch that go to the same connections.
//!
//! Most connections take all of a run and have room for it, so whether that is so is asked once for
//! each connection and not once for each message; everything else about it is the same for all.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;

use crate::replica::frame::FramedEnvelope;
use crate::worker::connection::batch::{Batch, Shape, Share};

pub(in crate::worker) struct Run<'b> {
    pub(in crate::worker) batch: &'b Rc<Batch>,
    pub(in crate::worker) first: &'b FramedEnvelope,
    pub(in crate::worker) last: &'b FramedEnvelope,
    pub(in crate::worker) share: Share,
    range: Range<usize>,
    /// Whether who has not had the first of them has had none of them.
    is_of_a_piece: bool,
    /// Bytes of the frames in the shape that was asked for last.
    length: Cell<Option<(Shape, usize)>>,
}

impl<'b> Run<'b> {
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
    pub(in crate::worker) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The bytes of its frames, unless they have to be looked at one by one.
    pub(in crate::worker) fn whole_length(&self, shape: Shape) -> Option<usize> {
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
    use std::sync::Arc;

    use super::*;
    use crate::replica::deflate::Deflate;
    use crate::replica::frame::Form;

    #[test]
    fn parts_of_a_message_are_looked_at_one_by_one() {
        let shape = Shape { form: Form::Plain, is_compressed: false, most: 100 };
        let deflate = Rc::new(Deflate::new(usize::MAX));
        let length = |examples: [(u64, u32); 2]| {
            let framed = examples
                .map(|(event, part)| Arc::new(FramedEnvelope::example(event, "{}").of_event(event, part)));
            let batch = Batch::new(&framed, &deflate);
            Run::new(&batch, 0..2).unwrap().whole_length(shape)
        };
        assert_eq!(length([(1, 0), (2, 0)]), Some(2 * 4));
        assert_eq!(length([(1, 0), (1, 0)]), None, "one message twice");
        assert_eq!(length([(1, 0), (2, 1)]), None, "a part that may have come before");
    }

    #[test]
    fn a_run_lies_within_its_batch() {
        let framed = [1, 2, 3].map(|sequence| Arc::new(FramedEnvelope::example(sequence, "{}")));
        let batch = Batch::new(&framed, &Rc::new(Deflate::new(usize::MAX)));
        let run = Run::new(&batch, 1..3).unwrap();
        assert_eq!((run.first.sequence(), run.last.sequence(), run.share.count()), (2, 3, 2));
        assert!(!run.share.has(0));
        assert!(Run::new(&batch, 1..1).is_none() && Run::new(&batch, 2..4).is_none());
    }
}
