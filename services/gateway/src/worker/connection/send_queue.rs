//! What has been given to a connection and not yet to its socket. Pure but for the write itself.
//!
//! Bounded: a connection never holds more memory than its queue. Everything that leaves on a connection (messages, Pongs,
//! Close) goes through this one queue, so nothing overtakes.

use std::borrow::Cow;
use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::{Buf as _, Bytes};

use super::batch::{Batch, Shape, Share};

/// How many frames one system call takes at most; Linux takes 1,024.
const MAX_SLICES: usize = 64;

#[derive(Default)]
pub(super) struct SendQueue {
    /// A share of one batch, before anything of it is written. Only while there are no frames: a
    /// connection that keeps up has none, and those of a batch are everybody's.
    share: Option<(Rc<Batch>, Share, Shape)>,
    frames: Vec<Bytes>,
    bytes: u32,
    /// Bytes of the gateway's own frames among them, until all is written.
    own_bytes: u32,
}

/// What a frame takes in memory besides its bytes.
const FRAME: usize = 64;

/// Bytes of a frame, or of some. A queue is far shorter than what 32 bits can say, and every connection has one.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What a flush came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything was taken.
    All,
    /// The socket takes no more for now.
    Blocked,
}

impl SendQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.share.is_none() && self.frames.is_empty()
    }

    pub(super) fn messages(&self) -> usize {
        self.share.as_ref().map_or(self.frames.len(), |(_, share, _)| share.count())
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Adds an envelope of a batch.
    pub(super) fn give(&mut self, batch: &Rc<Batch>, index: usize, shape: Shape) {
        let Some(framed) = batch.envelopes().get(index) else { return };
        let frame = batch.frame(framed, shape);
        match &mut self.share {
            Some((same, share, _)) if Rc::ptr_eq(same, batch) => *share = share.with(index),
            None if self.frames.is_empty() => {
                self.share = Some((Rc::clone(batch), Share::default().with(index), shape));
            }
            _ => return self.push(frame.into_owned()),
        }
        self.bytes += length(frame.len());
    }

    /// Adds a share of a batch, with frames of so many bytes, to a queue that is empty.
    pub(super) fn give_whole(&mut self, batch: &Rc<Batch>, share: Share, shape: Shape, bytes: usize) {
        debug_assert!(self.is_empty());
        self.share = Some((Rc::clone(batch), share, shape));
        self.bytes = length(bytes);
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        self.bytes += length(frame.len());
        self.frames().push(frame);
    }

    /// Adds a frame of the gateway itself.
    pub(super) fn send(&mut self, frame: Bytes) {
        self.own_bytes = self.own_bytes.saturating_add(length(frame.len() + FRAME));
        self.push(frame);
    }

    /// The most memory that the gateway's own frames take, in bytes.
    pub(super) fn own_bytes(&self) -> usize {
        self.own_bytes as usize
    }

    /// Writes what is pending, in as few calls as possible.
    pub(super) fn flush(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Flushed> {
        while !self.is_empty() {
            match self.write(&mut write) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // A connection that waits for room does not hold the others' envelopes.
                    self.frames();
                    return Ok(Flushed::Blocked);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Flushed::All)
    }

    fn write(&mut self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<usize> {
        if let Some((batch, share, shape)) = &self.share {
            let joined = |bytes: &[u8]| write(&[IoSlice::new(bytes)]);
            if let Some(written) = batch.with_joined(*share, *shape, self.bytes as usize, joined) {
                return written;
            }
        }
        let frames = self.frames();
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let filled = slices.iter_mut().zip(frames).map(|(slice, frame)| *slice = IoSlice::new(frame));
        let count = filled.count();
        write(&slices[..count])
    }

    fn advance(&mut self, mut written: usize) {
        if written >= self.bytes() {
            // An empty queue keeps no room either: a burst costs no memory for ever.
            *self = Self::default();
            return;
        }
        self.bytes -= length(written);
        let frames = self.frames();
        let mut whole = 0;
        while let Some(frame) = frames.get(whole).filter(|frame| frame.len() <= written) {
            written -= frame.len();
            whole += 1;
        }
        frames.drain(..whole);
        if let Some(begun) = frames.first_mut() {
            begun.advance(written);
        }
    }

    /// What is pending, as frames of the connection's own.
    fn frames(&mut self) -> &mut Vec<Bytes> {
        if let Some((batch, share, shape)) = self.share.take() {
            self.frames.extend(batch.frames(share, shape).map(Cow::into_owned));
        }
        &mut self.frames
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::replica::{Deflate, Form, FramedEnvelope};

    /// Everything as it is, but the longest bodies.
    const SHAPE: Shape = Shape { form: Form::Plain, is_compressed: false, most: 1_100 };

    fn batch(framed: &[Arc<FramedEnvelope>]) -> Rc<Batch> {
        Batch::new(framed, &Rc::new(Deflate::new(usize::MAX)))
    }

    fn frame(framed: &FramedEnvelope) -> Bytes {
        SHAPE.frame(framed, &Deflate::new(usize::MAX)).into_owned()
    }

    /// What is put into a queue: a frame, or some envelopes of a batch.
    #[derive(Debug, Clone)]
    enum Put {
        Frame(Vec<u8>),
        Share(Vec<(bool, usize)>),
    }

    fn put() -> impl Strategy<Value = Put> {
        prop_oneof![
            prop::collection::vec(any::<u8>(), 1..20).prop_map(Put::Frame),
            prop::collection::vec((any::<bool>(), 1..1_200usize), 1..=Batch::MAX).prop_map(Put::Share),
        ]
    }

    /// Puts it there; what must arrive because of it.
    fn put_into(send_queue: &mut SendQueue, put: &Put) -> Vec<u8> {
        match put {
            Put::Frame(frame) => {
                send_queue.push(Bytes::copy_from_slice(frame));
                frame.clone()
            }
            Put::Share(envelopes) => {
                let framed = |(index, (_, length)): (usize, &(bool, usize))| {
                    Arc::new(FramedEnvelope::example(index as u64 + 1, &"x".repeat(*length)))
                };
                let framed: Vec<_> = envelopes.iter().enumerate().map(framed).collect();
                let batch = batch(&framed);
                let given = (0..envelopes.len()).filter(|index| envelopes[*index].0);
                given
                    .flat_map(|index| {
                        send_queue.give(&batch, index, SHAPE);
                        frame(&framed[index]).to_vec()
                    })
                    .collect()
            }
        }
    }

    proptest! {
        /// However little the socket takes at a time, what arrives is what was put there.
        #[test]
        fn nothing_is_lost_or_reordered(
            puts in prop::collection::vec(put(), 0..8),
            takes in prop::collection::vec(0usize..3_000, 1..50),
        ) {
            let mut send_queue = SendQueue::default();
            let (mut due, mut arrived) = (Vec::new(), Vec::new());
            let mut takes = takes.into_iter().chain(std::iter::repeat_n(3_000, 2_000));
            let mut flush = |send_queue: &mut SendQueue, arrived: &mut Vec<u8>| {
                send_queue.flush(|slices| match takes.next() {
                    Some(0) | None => Err(io::ErrorKind::WouldBlock.into()),
                    Some(room) => {
                        let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                        let taken = room.min(offered.len());
                        arrived.extend_from_slice(&offered[..taken]);
                        Ok(taken)
                    }
                })
            };
            for put in &puts {
                due.extend(put_into(&mut send_queue, put));
                prop_assert_eq!(send_queue.bytes() + arrived.len(), due.len());
                if due.len() % 3 == 0 {
                    flush(&mut send_queue, &mut arrived).unwrap();
                    prop_assert_eq!(send_queue.bytes() + arrived.len(), due.len());
                }
                prop_assert_eq!(send_queue.is_empty(), send_queue.bytes() == 0);
                prop_assert_eq!(send_queue.is_empty(), send_queue.messages() == 0);
            }
            while flush(&mut send_queue, &mut arrived).unwrap() == Flushed::Blocked {}
            prop_assert!(send_queue.is_empty());
            prop_assert_eq!(send_queue.frames.capacity(), 0, "an idle queue costs nothing");
            prop_assert_eq!(arrived, due);
        }
    }

    #[test]
    fn a_blocked_connection_does_not_hold_the_others_envelopes() {
        let framed = [1, 2].map(|sequence| Arc::new(FramedEnvelope::example(sequence, "{}")));
        let batch = batch(&framed);
        let mut send_queue = SendQueue::default();
        send_queue.give(&batch, 1, SHAPE);
        let flushed = send_queue.flush(|_| Err(io::ErrorKind::WouldBlock.into()));
        assert_eq!(flushed.unwrap(), Flushed::Blocked);
        assert_eq!(Rc::strong_count(&batch), 1);
        assert_eq!((send_queue.messages(), send_queue.bytes()), (1, frame(&framed[1]).len()));
    }
}
