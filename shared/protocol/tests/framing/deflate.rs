//! permessage-deflate: the examples of RFC 7692, and that whatever is compressed comes out as it went in.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use proptest::prelude::*;
use tidings_protocol::extensions::SERVER_WINDOW_BITS;
use tidings_protocol::framing::{self, Deflater, Inflater, Message, Opcode, Violation};

use crate::inbound::{LIMIT, Outcome, read_inflated, split, text};
use crate::masked::{BINARY, CLOSE, COMPRESSED, FINAL, PING, PONG, TEXT, frame};

/// What does not travel of a flush.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

fn read(pieces: &[&[u8]]) -> Outcome {
    read_inflated(pieces, Some(&mut Inflater::default()))
}

/// The payload of a compressed message, as a client makes it.
pub(crate) fn deflated(payload: &[u8]) -> Vec<u8> {
    deflated_with(payload, Compression::default(), 15, payload.len())
}

/// With a flush in between, every so many bytes.
fn deflated_with(payload: &[u8], level: Compression, window_bits: u8, flush_every: usize) -> Vec<u8> {
    let mut state = Compress::new_with_window_bits(level, false, window_bits);
    let mut compressed = Vec::new();
    let mut rest = payload;
    loop {
        let (piece, next) = rest.split_at(flush_every.clamp(1, rest.len().max(1)).min(rest.len()));
        compressed.reserve(2 * piece.len() + 1024);
        state.compress_vec(piece, &mut compressed, FlushCompress::Sync).unwrap();
        rest = next;
        if rest.is_empty() {
            break;
        }
    }
    assert!(compressed.ends_with(&TAIL));
    compressed.truncate(compressed.len() - TAIL.len());
    compressed
}

/// Whole, and in single bytes.
#[track_caller]
fn check(bytes: &[u8], messages: &[Message<'static>], violation: Option<Violation>) {
    let expected = (messages.to_vec(), violation);
    assert_eq!(read(&[bytes]), expected, "in one piece: {bytes:02x?}");
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&single), expected, "in single bytes: {bytes:02x?}");
}

#[track_caller]
fn check_payload(payload: &[u8], expect: Result<&str, Violation>) {
    let bytes = frame(FINAL | COMPRESSED | TEXT, payload);
    match expect {
        Ok(expected) => check(&bytes, &[text(expected)], None),
        Err(violation) => check(&bytes, &[], Some(violation)),
    }
}

/// Section 7.2.3 of RFC 7692.
#[test]
fn the_examples_of_the_rfc_are_read() {
    check_payload(&[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], Ok("Hello"));
    let fragments =
        [frame(COMPRESSED | TEXT, &[0xF2, 0x48, 0xCD]), frame(FINAL, &[0xC9, 0xC9, 0x07, 0x00])].concat();
    check(&fragments, &[text("Hello")], None);
    // Without compression, with a last block, and in two blocks.
    check_payload(&[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00], Ok("Hello"));
    check_payload(&[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00], Ok("Hello"));
    let blocks = [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00];
    check_payload(&blocks, Ok("Hello"));
    // An empty message, in either of two ways.
    check_payload(&[0x00], Ok(""));
    check_payload(&[0x02, 0x00], Ok(""));
}

#[test]
fn messages_do_not_refer_to_those_before() {
    // The second "Hello" of section 7.2.3.2, which takes the context over.
    let bytes = [
        frame(FINAL | COMPRESSED | TEXT, &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]),
        frame(FINAL | TEXT, b"plain"),
        frame(FINAL | COMPRESSED | BINARY, &deflated(&[0xFF; 300])),
        frame(FINAL | COMPRESSED | TEXT, &[0xF2, 0x00, 0x11, 0x00, 0x00]),
    ];
    let expected = [text("Hello"), text("plain"), Message::Binary];
    check(&bytes.concat(), &expected, Some(Violation::BrokenDeflate));
}

#[test]
fn only_the_first_frame_of_a_message_says_that_it_is_compressed() {
    for opcode in [PING, PONG, CLOSE] {
        check(&[FINAL | COMPRESSED | opcode], &[], Some(Violation::ReservedBits(0b100)));
    }
    let continued = [frame(COMPRESSED | TEXT, &[0xF2]), vec![COMPRESSED]].concat();
    check(&continued, &[], Some(Violation::ReservedBits(0b100)));
    check(&[FINAL | 0x60 | TEXT], &[], Some(Violation::ReservedBits(0b010)));
    check(&[FINAL | COMPRESSED | 3], &[], Some(Violation::ReservedBits(0b100)));
    check(&[FINAL | 3], &[], Some(Violation::ReservedOpcode(3)));
    let control_between = [
        frame(COMPRESSED | TEXT, &[0xF2, 0x48, 0xCD]),
        frame(FINAL | PING, b"1"),
        frame(FINAL, &[0xC9, 0xC9, 7, 0]),
    ];
    check(&control_between.concat(), &[Message::Ping(b"1"[..].into()), text("Hello")], None);
}

#[test]
fn what_is_no_deflate_data_or_not_all_of_it_is_broken() {
    let broken = Err(Violation::BrokenDeflate);
    check_payload(&[], broken);
    check_payload(&[0xFF], broken);
    check_payload(b"plain text", broken);
    let whole = deflated(b"whole, whole, whole and nothing but whole");
    for end in 0..whole.len() {
        check_payload(&whole[..end], broken);
    }
    check_payload(&[&whole[..], b"more"].concat(), broken);
    check_payload(&deflated(&[b'a', 0xE2, 0x82]), Err(Violation::TextNotUtf8));
    let binary = frame(FINAL | COMPRESSED | BINARY, &whole[1..]);
    check(&binary, &[], Some(Violation::BrokenDeflate));
}

#[test]
fn what_becomes_too_long_is_passed_over_however_short_it_is() {
    let exact = "x".repeat(LIMIT);
    check_payload(&deflated(exact.as_bytes()), Ok(&exact));
    let next = frame(FINAL | TEXT, b"next");
    for length in [LIMIT + 1, 5 * LIMIT, 900 * LIMIT] {
        let bytes = deflated(&vec![b'x'; length]);
        assert!(bytes.len() < LIMIT);
        for (opcode, beginning) in [(TEXT, &exact[..]), (BINARY, "")] {
            let frames = [frame(FINAL | COMPRESSED | opcode, &bytes), next.clone()].concat();
            let expected = [crate::inbound::too_long(LIMIT + 1, beginning), crate::inbound::text("next")];
            check(&frames, &expected, None);
        }
    }
    // Each empty block that says that it is the last one begins anew.
    let endless = [&[0x03, 0x00].repeat(LIMIT / 2 - 1)[..], &[0x00]].concat();
    check_payload(&endless, Ok(""));
}

#[test]
fn what_does_not_get_shorter_stays_as_it_is() {
    let mut deflater = Deflater::default();
    let mut compress = |text: &str| deflater.compress(&framing::frame(Opcode::Text, text.as_bytes()));
    assert_eq!(compress(""), None);
    assert_eq!(compress("a"), None);
    assert_eq!(compress(r#"{"id":"42"}"#), None);
    let shorter = compress(&"a".repeat(70_000)).unwrap();
    assert_eq!(shorter[0], FINAL | COMPRESSED | TEXT);
    assert!(shorter.len() < 200);
}

/// Text that compression finds something in, or bytes in which it does not.
fn any_payload() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..LIMIT);
    let words = prop::collection::vec("[a-z]{1,4}", 1..6);
    let repeated = (words, prop::collection::vec(any::<prop::sample::Index>(), 0..150))
        .prop_map(|(words, order)| order.iter().flat_map(|at| at.get(&words).bytes()).collect::<Vec<u8>>());
    prop_oneof![noise, repeated]
}

proptest! {
    #[test]
    fn what_is_compressed_is_what_a_client_reads(payload in any_payload(), times in 1_usize..100) {
        let payload = payload.repeat(times);
        let plain = framing::frame(Opcode::Text, &payload);
        let mut deflater = Deflater::default();
        let first = deflater.compress(&plain);
        prop_assert_eq!(&first, &deflater.compress(&plain), "each message by itself");
        if let Some(compressed) = first {
            prop_assert!(compressed.len() < plain.len());
            let header = match compressed[1] { 126 => 4, 127 => 10, _ => 2 };
            let received = [&compressed[header..], &TAIL].concat();
            // A client with no more memory than was agreed on.
            let mut client = Decompress::new_with_window_bits(false, SERVER_WINDOW_BITS);
            let mut read = Vec::with_capacity(payload.len() + 1);
            client.decompress_vec(&received, &mut read, FlushDecompress::Sync).unwrap();
            prop_assert!(read == payload);
        }
    }

    #[test]
    fn what_a_client_compresses_is_read_however_it_comes(
        text in "\\PC{0,300}",
        level in 0_u32..=9,
        window_bits in 9_u8..=15,
        flush_every in 1_usize..400,
        fragments in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let compressed =
            deflated_with(text.as_bytes(), Compression::new(level), window_bits, flush_every);
        let mut frames = Vec::new();
        let parts = split(&compressed, &fragments);
        for (number, part) in parts.iter().enumerate() {
            let first = if number == 0 { COMPRESSED | TEXT } else { 0 };
            let last = if number + 1 == parts.len() { FINAL } else { 0 };
            frames.extend(frame(first | last, part));
        }
        let is_short = text.len() <= LIMIT && compressed.len() <= LIMIT;
        let outcome = read(&split(&frames, &cuts));
        if is_short {
            prop_assert_eq!(outcome, (vec![crate::inbound::text(&text)], None));
        } else {
            let [Message::TooLong { beginning, .. }] = &outcome.0[..] else {
                return Err(TestCaseError::fail(format!("{outcome:?}")));
            };
            prop_assert_eq!(outcome.1, None);
            prop_assert!(text.as_bytes().starts_with(beginning));
        }
    }

    #[test]
    fn any_bytes_are_read_the_same_in_any_pieces(
        payload in any_payload(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        is_compressed: bool,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut payload = if is_compressed { deflated(&payload) } else { payload };
        for (at, byte) in flips {
            if !payload.is_empty() {
                *at.get_mut(&mut payload) ^= byte;
            }
        }
        let bytes = [frame(FINAL | COMPRESSED | TEXT, &payload), frame(FINAL | TEXT, b"next")].concat();
        prop_assert_eq!(read(&split(&bytes, &cuts)), read(&[&bytes]));
    }
}
