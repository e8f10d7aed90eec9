//! What has been given to a connection and not yet to its socket. Pure but for the write itself.
//!
//! Bounded: a connection never holds more memory than its window. Everything that leaves on a
//! connection (messages, pongs, close) goes through this one queue, so nothing overtakes.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf as _, Bytes};

/// How many frames one system call takes at most; Linux takes 1,024.
const MAX_SLICES: usize = 64;
/// An empty queue keeps at most this much room, so that a burst does not cost memory for ever.
const IDLE_CAPACITY: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Window {
    frames: VecDeque<Bytes>,
    bytes: usize,
}

/// What a flush came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Everything was taken.
    All,
    /// The socket takes no more for now.
    Blocked,
}

impl Window {
    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(crate) fn messages(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Writes what is pending, in as few calls as possible.
    pub(crate) fn flush(
        &mut self,
        mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<Flushed> {
        while !self.frames.is_empty() {
            let written = match &self.frames {
                frames if frames.len() == 1 => write(&[IoSlice::new(&frames[0])]),
                frames => {
                    let mut slices = [IoSlice::new(&[]); MAX_SLICES];
                    let filled =
                        slices.iter_mut().zip(frames).map(|(slice, frame)| *slice = IoSlice::new(frame));
                    let count = filled.count();
                    write(&slices[..count])
                }
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.frames.capacity() > IDLE_CAPACITY {
            self.frames = VecDeque::new();
        }
        Ok(Flushed::All)
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(front) = self.frames.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.frames.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However little the socket takes at a time, what arrives is what was pushed.
        #[test]
        fn nothing_is_lost_or_reordered(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..100),
            takes in prop::collection::vec(0usize..40, 1..50),
        ) {
            let mut window = Window::default();
            for frame in &frames {
                window.push(Bytes::copy_from_slice(frame));
            }
            let mut arrived = Vec::new();
            let mut takes = takes.into_iter().chain(std::iter::repeat_n(39, 1_000));
            for _ in 0..1_000 {
                let flushed = window.flush(|slices| match takes.next() {
                    Some(0) | None => Err(io::ErrorKind::WouldBlock.into()),
                    Some(room) => {
                        let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                        let taken = room.min(offered.len());
                        arrived.extend_from_slice(&offered[..taken]);
                        Ok(taken)
                    }
                });
                prop_assert_eq!(window.bytes() + arrived.len(), frames.concat().len());
                if flushed.unwrap() == Flushed::All {
                    break;
                }
            }
            prop_assert!(window.is_empty());
            prop_assert_eq!(arrived, frames.concat());
        }
    }
}
