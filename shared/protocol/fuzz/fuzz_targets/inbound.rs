//! Any bytes, in pieces of any size, are read as they are in one piece.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidings_protocol::framing::Inbound;

const LIMIT: usize = 1000;

fn read(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut bytes = bytes.to_vec();
    let mut inbound = Inbound::default();
    let mut items = Vec::new();
    for piece in bytes.chunks_mut(piece) {
        // The debug form does not tell borrowed from owned.
        items.extend(inbound.feed(piece, LIMIT).map(|item| format!("{item:?}")));
    }
    items
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, usize::from(piece).max(1)), whole);
});
