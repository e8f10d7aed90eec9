//! What has been given to a connection and not yet to its socket, and the batches that it is given from. Pure but for the
//! write itself.
//!
//! Bounded: a connection never holds more memory than its queue. Everything that leaves on a connection (messages, Pongs,
//! Close) goes through this one queue, so nothing overtakes.
//!
//! Most connections that receive several envelopes of a batch receive the same ones. What a connection receives is
//! therefore a few bits, and the frames of a share are joined once for all connections that have it: the cost of a message
//! beyond the first is next to nothing, where a reference and a slice of each frame for each connection would cost more
//! than the system takes to send them. Most connections receive all of a run of neighbours and have room for it, so
//! whether that is so is asked once for each connection and not once for each message.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tidings_protocol::server::Form;
use tidings_replica::{Deflate, FramedEnvelope};

/// How many frames one system call takes at most; Linux takes 1,024.
const MAX_SLICES: usize = 64;

#[derive(Default)]
pub(super) struct SendQueue {
    /// A share of one batch, before anything of it is written. Only while there are no frames: a
    /// connection that keeps up has none, and those of a batch belong to all connections.
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
    /// A page has what it is answered with, or is answered.
    Complete,
}

impl SendQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.share.is_none() && self.frames.is_empty()
    }

    /// Whether so many messages or bytes are pending.
    pub(super) fn is_full(&self, (messages, bytes): (usize, usize)) -> bool {
        self.messages() >= messages || self.bytes() >= bytes
    }

    fn messages(&self) -> usize {
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

    /// Adds a whole run to a queue that is empty, unless it is beyond these bounds in messages and bytes, or has to be looked
    /// at one by one. The last envelope, and how many they are.
    pub(super) fn give_whole<'b>(
        &mut self,
        run: &BatchRun<'b>,
        shape: Shape,
        (messages, bytes): (usize, usize),
    ) -> Option<(&'b FramedEnvelope, usize)> {
        if !self.is_empty() {
            return None;
        }
        let (whole, count) = (run.whole_length(shape)?, run.share.count());
        if count > messages || whole > bytes {
            return None;
        }
        self.share = Some((Rc::clone(run.batch), run.share, shape));
        self.bytes = length(whole);
        Some((run.last, count))
    }

    /// Adds an envelope that is of no batch.
    pub(super) fn give_one(&mut self, framed: &FramedEnvelope, shape: Shape, deflate: &Deflate) {
        self.push(shape.frame(framed, deflate).into_owned());
    }

    /// Adds a frame of envelopes that were joined.
    pub(super) fn give_frame(&mut self, frame: Bytes) {
        self.push(frame);
    }

    fn push(&mut self, frame: Bytes) {
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
struct Share(u64);

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
    fn frame<'f>(self, framed: &'f FramedEnvelope, deflate: &Deflate) -> Cow<'f, Bytes> {
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
    fn frames(&self, share: Share, shape: Shape) -> impl Iterator<Item = Cow<'_, Bytes>> {
        let numbered = self.envelopes.iter().enumerate();
        let context = numbered.filter(move |(index, _)| share.has(*index));
        context.map(move |(_, framed)| self.frame(framed, shape))
    }

    /// The frame of one of its envelopes.
    fn frame<'b>(&'b self, framed: &'b FramedEnvelope, shape: Shape) -> Cow<'b, Bytes> {
        shape.frame(framed, &self.deflate)
    }

    /// Hands over the frames of a share in one piece, unless they are too long for that.
    fn with_joined<T>(
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
    fn with(self, index: usize) -> Self {
        Self(self.0 | 1 << index)
    }

    fn has(self, index: usize) -> bool {
        self.0 & 1 << index != 0
    }

    fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}

/// Neighbours in a batch that go to the same connections.
pub(in crate::worker) struct BatchRun<'b> {
    batch: &'b Rc<Batch>,
    first: &'b FramedEnvelope,
    last: &'b FramedEnvelope,
    share: Share,
    range: Range<usize>,
    /// For how long a connection that was given one of them is given nothing else, if its tenant has digests.
    every: Option<Duration>,
    /// Whether a connection that does not have the first of them has none of them.
    is_of_a_piece: bool,
    /// Bytes of the frames in the shape that was asked for last.
    length: Cell<Option<(Shape, usize)>>,
}

impl<'b> BatchRun<'b> {
    /// `None` of an empty range, or of one beyond the batch. If its tenant has digests, they are collected for `every`.
    pub(in crate::worker) fn new(
        batch: &'b Rc<Batch>,
        range: Range<usize>,
        every: Option<Duration>,
    ) -> Option<Self> {
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
            every,
            is_of_a_piece: whole && distinct && every.is_none(),
            length: Cell::default(),
        })
    }

    pub(in crate::worker) fn first(&self) -> &'b FramedEnvelope {
        self.first
    }

    /// The batch, the places of the run's envelopes in it, and for how long its tenant's digests are collected.
    pub(super) fn parts(&self) -> (&'b Rc<Batch>, Range<usize>, Option<Duration>) {
        (self.batch, self.range.clone(), self.every)
    }

    /// The bytes of its frames, unless they have to be looked at one by one.
    fn whole_length(&self, shape: Shape) -> Option<usize> {
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
mod tests;
