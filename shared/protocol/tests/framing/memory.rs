//! What a connection holds on the heap: nothing between messages, and never more than the limit.

#![expect(unsafe_code, reason = "an allocator that counts cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proptest::prelude::*;
use tidings_protocol::framing::{Inbound, Inflater, Message};

use crate::deflate::deflated;
use crate::masked::{BINARY, COMPRESSED, FINAL, PING, TEXT, frame};

thread_local! {
    /// Bytes that this thread holds; tests run on threads of their own.
    static HELD: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract;
// counting uses a thread-local that is initialised in a constant and so allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get().wrapping_add(layout.size()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        // SAFETY: the caller keeps the contract of `dealloc`; `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LIMIT: usize = 4096;
/// The record of a message in progress, and a control frame of at most 125 bytes.
const SMALL: usize = 256;

/// Feeds the bytes in pieces; returns the most that was held after any of them, and at the end.
fn held(bytes: &[u8], piece: usize) -> (usize, usize) {
    let mut bytes = bytes.to_vec();
    let mut inbound = Inbound::default();
    let before = HELD.get();
    let mut most = 0;
    for piece in bytes.chunks_mut(piece) {
        inbound.feed(piece, LIMIT).for_each(drop);
        most = most.max(HELD.get().wrapping_sub(before));
    }
    (most, HELD.get().wrapping_sub(before))
}

#[test]
fn whole_frames_hold_nothing() {
    let bytes =
        [frame(FINAL | TEXT, &[b'x'; LIMIT]), frame(FINAL | BINARY, &[0; 99]), frame(FINAL | PING, b"1")]
            .concat();
    assert_eq!(held(&bytes, bytes.len()), (0, 0));
}

#[test]
fn a_partial_header_holds_nothing() {
    assert_eq!(held(&frame(FINAL | TEXT, &[b'x'; 200])[..7], 1), (0, 0));
}

#[test]
fn what_is_complete_is_freed() {
    let fragments = [frame(TEXT, &[b'x'; 3000]), frame(FINAL | PING, b"17"), frame(FINAL, &[b'x'; 1096])];
    let bytes = fragments.concat();
    for piece in [1, 7, 1000] {
        let (most, end) = held(&bytes, piece);
        assert!((3000..=LIMIT + SMALL).contains(&most), "{most} bytes in pieces of {piece}");
        assert_eq!(end, 0);
    }
}

#[test]
fn what_was_announced_but_did_not_come_holds_little() {
    let (_, end) = held(&frame(TEXT, &[b'x'; LIMIT])[..20], 5);
    assert!((12..=SMALL).contains(&end), "{end} bytes");
}

#[test]
fn binary_messages_are_not_kept() {
    let (most, end) = held(&frame(BINARY, &[0; LIMIT]), 100);
    assert!(most <= SMALL, "{most} bytes");
    assert!(end > 0, "the message goes on");
}

#[test]
fn a_violation_frees_everything() {
    let bytes = [frame(TEXT, &[b'x'; 3000]), vec![0xFF, 0xFF]].concat();
    assert_eq!(held(&bytes, 100).1, 0);
}

/// What a megabyte of zeros is compressed to is read as far as the limit and not kept; between messages nothing is.
#[test]
fn what_is_compressed_holds_no_more_than_it_may_become() {
    let mut inflater = Inflater::default();
    for length in [LIMIT, 1 << 20] {
        let mut bytes = frame(FINAL | COMPRESSED | TEXT, &deflated(&vec![b'0'; length]));
        let mut inbound = Inbound::default();
        let before = HELD.get();
        for piece in bytes.chunks_mut(50) {
            for item in inbound.feed(piece, LIMIT).inflated_by(Some(&mut inflater)) {
                assert_eq!(matches!(item.unwrap(), Message::TooLong { .. }), length != LIMIT);
                assert!(HELD.get().wrapping_sub(before) <= 2 * LIMIT + SMALL);
            }
            assert!(HELD.get().wrapping_sub(before) <= LIMIT + SMALL);
        }
        assert_eq!(HELD.get(), before);
    }
}

proptest! {
    #[test]
    fn no_bytes_hold_more_than_the_limit(
        frames in prop::collection::vec((0_u8..3, any::<bool>(), 0_usize..3000), 1..6),
        noise in prop::collection::vec(any::<u8>(), 0..200),
        piece in 1_usize..500,
    ) {
        let mut bytes = Vec::new();
        for (opcode, is_final, length) in frames {
            bytes.extend(frame(opcode | if is_final { FINAL } else { 0 }, &vec![b'x'; length]));
        }
        for bytes in [[&bytes[..], &noise].concat(), noise] {
            let (most, _) = held(&bytes, piece);
            prop_assert!(most <= LIMIT + SMALL, "{} bytes", most);
        }
    }
}
