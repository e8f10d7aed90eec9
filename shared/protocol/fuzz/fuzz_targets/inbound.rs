//! Any bytes, in pieces of any size, are read as they are in one piece: as frames, and as the payload of a compressed
//! message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidings_protocol::framing::{Inbound, Inflater, Message};

const LIMIT: usize = 1000;

fn read(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut bytes = bytes.to_vec();
    let (mut inbound, mut inflater) = (Inbound::default(), Inflater::default());
    let mut items = Vec::new();
    for piece in bytes.chunks_mut(piece) {
        for item in inbound.feed(piece, LIMIT).inflated_by(Some(&mut inflater)) {
            assert!(!matches!(&item, Ok(Message::Text(text)) if text.len() > LIMIT));
            // The debug form does not tell borrowed from owned.
            items.push(format!("{item:?}"));
        }
    }
    items
}

/// A final frame with text that is compressed, with a mask of zeros.
fn compressed(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut frame = vec![0xC1];
    match u8::try_from(length) {
        Ok(length @ ..=125) => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = input;
    for bytes in [bytes, &compressed(bytes)] {
        let whole = read(bytes, bytes.len().max(1));
        assert_eq!(read(bytes, usize::from(piece).max(1)), whole);
    }
});
