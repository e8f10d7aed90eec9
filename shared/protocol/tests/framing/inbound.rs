//! The reader of client frames: every rule of RFC 6455 that a client can break, and that pieces
//! of any size yield the same.

use std::borrow::Cow;

use proptest::prelude::*;
use tidings_protocol::framing::{Inbound, Inflater, Message, Violation};

use crate::masked::{BINARY, CLOSE, FINAL, MASKED_16, MASKED_64, PING, PONG, TEXT, frame};

pub(crate) const LIMIT: usize = 1000;

pub(crate) type Outcome = (Vec<Message<'static>>, Option<Violation>);

fn owned(message: Message<'_>) -> Message<'static> {
    match message {
        Message::Text(text) => Message::Text(Cow::Owned(text.into_owned())),
        Message::Binary => Message::Binary,
        Message::TooLong { length, limit, beginning } => {
            Message::TooLong { length, limit, beginning: Cow::Owned(beginning.into_owned()) }
        }
        Message::Ping(payload) => Message::Ping(Cow::Owned(payload.into_owned())),
        Message::Pong(payload) => Message::Pong(Cow::Owned(payload.into_owned())),
        Message::Close { code, reason } => Message::Close { code, reason: Cow::Owned(reason.into_owned()) },
    }
}

fn read(pieces: &[&[u8]]) -> Outcome {
    read_inflated(pieces, None)
}

/// With an inflater, as where permessage-deflate was negotiated.
pub(crate) fn read_inflated(pieces: &[&[u8]], mut inflater: Option<&mut Inflater>) -> Outcome {
    let mut inbound = Inbound::default();
    let (mut messages, mut violation) = (Vec::new(), None);
    for piece in pieces {
        for item in inbound.feed(&mut piece.to_vec(), LIMIT).inflated_by(inflater.as_deref_mut()) {
            assert_eq!(violation, None, "something follows a violation");
            match item {
                Ok(message) => messages.push(owned(message)),
                Err(error) => violation = Some(error),
            }
        }
    }
    (messages, violation)
}

/// Whole, and in single bytes.
#[track_caller]
fn check(bytes: &[u8], messages: &[Message<'static>], violation: Option<Violation>) {
    let expected = (messages.to_vec(), violation);
    assert_eq!(read(&[bytes]), expected, "in one piece: {bytes:02x?}");
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&single), expected, "in single bytes: {bytes:02x?}");
}

/// The violation shows at the last of these bytes and not before; its code is as given.
#[track_caller]
fn check_violation(bytes: &[u8], violation: Violation, code: u16) {
    check(bytes, &[], Some(violation));
    check(&bytes[..bytes.len() - 1], &[], None);
    assert_eq!(u16::from(violation.close_code()), code);
}

pub(crate) fn text(text: &str) -> Message<'static> {
    Message::Text(Cow::Owned(text.to_owned()))
}

pub(crate) fn too_long(length: usize, beginning: &str) -> Message<'static> {
    Message::TooLong { length, limit: LIMIT, beginning: Cow::Owned(beginning.as_bytes().to_vec()) }
}

/// What is not reached is given back, and read later as if it had come then; frames are counted once.
#[test]
fn what_is_not_reached_is_given_back() {
    let mut bytes =
        [frame(FINAL | TEXT, b"one"), frame(TEXT, b""), frame(0, b""), frame(FINAL, b"two")].concat();
    let mut inbound = Inbound::default();
    let mut messages = inbound.feed(&mut bytes, LIMIT);
    assert_eq!(messages.next(), Some(Ok(text("one"))));
    let (frames, mut rest) = (messages.frames(), messages.rest().to_vec());
    let mut messages = inbound.feed(&mut rest, LIMIT);
    assert_eq!(messages.by_ref().map(|message| owned(message.unwrap())).collect::<Vec<_>>(), [text("two")]);
    assert_eq!((frames, messages.frames()), (1, 3));
    assert!(messages.rest().is_empty());
}

#[test]
fn whole_messages_are_borrowed_from_the_fed_bytes() {
    let mut bytes = [frame(FINAL | TEXT, b"hello"), frame(FINAL | PING, b"17")].concat();
    let mut inbound = Inbound::default();
    let messages: Vec<_> = inbound.feed(&mut bytes, LIMIT).map(Result::unwrap).collect();
    assert!(matches!(
        &messages[..],
        [Message::Text(Cow::Borrowed("hello")), Message::Ping(Cow::Borrowed(b"17"))]
    ));
}

#[test]
fn every_kind_of_message_is_read() {
    check(&frame(FINAL | TEXT, b""), &[text("")], None);
    check(&frame(FINAL | TEXT, "grüße 🎉".as_bytes()), &[text("grüße 🎉")], None);
    check(&frame(FINAL | BINARY, &[0xFF; 300]), &[Message::Binary], None);
    check(&frame(FINAL | PONG, b""), &[Message::Pong(Cow::Borrowed(b""))], None);
    check(&frame(FINAL | PING, &[7; 125]), &[Message::Ping(vec![7; 125].into())], None);
    let close = |code, reason: &'static str| Message::Close { code, reason: reason.into() };
    check(&frame(FINAL | CLOSE, b""), &[close(None, "")], None);
    check(&frame(FINAL | CLOSE, b"\x03\xE8bye"), &[close(Some(1000), "bye")], None);
}

#[test]
fn control_frames_come_between_fragments() {
    let bytes = [
        frame(TEXT, "gr\u{fc}".as_bytes().split_at(3).0),
        frame(FINAL | PING, b"1"),
        frame(0, "\u{fc}".as_bytes().split_at(1).1),
        frame(0, b""),
        frame(FINAL | PONG, b"2"),
        frame(FINAL, "ße".as_bytes()),
        frame(BINARY, b"12"),
        frame(FINAL, b"34"),
    ];
    let expected = [
        Message::Ping(Cow::Borrowed(b"1")),
        Message::Pong(Cow::Borrowed(b"2")),
        text("grüße"),
        Message::Binary,
    ];
    check(&bytes.concat(), &expected, None);
}

#[test]
fn a_header_may_end_a_piece() {
    let short = frame(FINAL | PING, b"1");
    let long = frame(FINAL | PONG, &[7; 99]);
    let whole = frame(FINAL | TEXT, b"hello");
    let pieces = [&short[..6], &short[6..], &long[..6], &long[6..50], &long[50..]];
    let expected = vec![Message::Ping(b"1"[..].into()), Message::Pong(vec![7; 99].into())];
    assert_eq!(read(&pieces), (expected, None));

    let mut inbound = Inbound::default();
    assert_eq!(inbound.feed(&mut whole[..6].to_vec(), LIMIT).next(), None);
    let mut rest = whole[6..].to_vec();
    let message = inbound.feed(&mut rest, LIMIT).next();
    assert!(matches!(message, Some(Ok(Message::Text(Cow::Borrowed("hello"))))));
}

#[test]
fn what_follows_a_close_is_ignored() {
    let bytes = [frame(FINAL | CLOSE, b""), frame(FINAL | TEXT, b"late"), vec![0xFF; 40]].concat();
    check(&bytes, &[Message::Close { code: None, reason: "".into() }], None);
}

#[test]
fn headers_that_break_a_rule_fail_at_once() {
    for bits in 1..=7 {
        check_violation(&[FINAL | bits << 4 | TEXT], Violation::ReservedBits(bits), 1002);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        check_violation(&[FINAL | opcode], Violation::ReservedOpcode(opcode), 1002);
    }
    for opcode in [CLOSE, PING, PONG] {
        check_violation(&[opcode], Violation::FragmentedControl, 1002);
        check_violation(&[FINAL | opcode, MASKED_16], Violation::LongControl, 1002);
        check_violation(&[FINAL | opcode, MASKED_64], Violation::LongControl, 1002);
    }
    check_violation(&[FINAL | TEXT, 5], Violation::Unmasked, 1002);
}

#[test]
fn lengths_must_be_minimal_and_positive() {
    let short = [FINAL | TEXT, MASKED_16, 0, 125];
    check_violation(&short, Violation::LengthNotMinimal(125), 1002);
    let long = [FINAL | TEXT, MASKED_64, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF];
    check_violation(&long, Violation::LengthNotMinimal(65_535), 1002);
    let top = [FINAL | TEXT, MASKED_64, 0x80, 0, 0, 0, 0, 0, 0, 1];
    check_violation(&top, Violation::LengthTopBit((1 << 63) + 1), 1002);
}

#[test]
fn fragments_must_follow_their_message() {
    check_violation(&frame(FINAL, b""), Violation::OrphanContinuation, 1002);
    check_violation(&frame(0, b""), Violation::OrphanContinuation, 1002);
    let after_whole = [frame(FINAL | TEXT, b"a"), frame(FINAL, b"")].concat();
    check(&after_whole, &[text("a")], Some(Violation::OrphanContinuation));
    for (first, second) in [(TEXT, TEXT), (TEXT, BINARY), (BINARY, BINARY), (BINARY, TEXT)] {
        let bytes = [frame(first, b"a"), frame(FINAL | second, b"")].concat();
        check_violation(&bytes, Violation::InterruptedMessage, 1002);
    }
}

#[test]
fn long_messages_are_passed_over_and_absurd_ones_fail_when_they_are_announced() {
    const MOST: usize = 64 * LIMIT;
    let header = |first, length| frame(first, &vec![b'x'; length])[..8].to_vec();
    let next = frame(FINAL | TEXT, b"next");
    for (opcode, kept) in [(TEXT, LIMIT), (BINARY, 0)] {
        let beginning = "x".repeat(kept);
        for length in [LIMIT + 1, MOST] {
            let expected = [too_long(length, &beginning), text("next")];
            let whole = frame(FINAL | opcode, &vec![b'x'; length]);
            check(&[whole, next.clone()].concat(), &expected, None);
            let (first, last) = (vec![b'x'; 600], vec![b'x'; length - 600]);
            let parts = [frame(opcode, &first), frame(0, b""), frame(FINAL, &last), next.clone()];
            check(&parts.concat(), &expected, None);
        }
        let violation = Violation::TooLong { length: MOST + 1, limit: LIMIT };
        check_violation(&header(FINAL | opcode, MOST + 1), violation, 1009);
        let begun = [frame(opcode, &[b'x'; 600]), header(0, MOST - 599)].concat();
        check_violation(&begun, violation, 1009);
    }
    // What comes after the limit is not looked at; what comes before is.
    let wrong = [frame(TEXT, &vec![b'x'; LIMIT]), frame(FINAL, &[0xFF])].concat();
    check(&wrong, &[too_long(LIMIT + 1, &"x".repeat(LIMIT))], None);
    let endless = [FINAL | TEXT, MASKED_64, 0x7F, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4];
    let length = usize::try_from(u64::MAX >> 1).unwrap_or(usize::MAX);
    check_violation(&endless, Violation::TooLong { length, limit: LIMIT }, 1009);
    let whole = "x".repeat(LIMIT);
    check(&frame(FINAL | TEXT, whole.as_bytes()), &[text(&whole)], None);
    let exact = [frame(TEXT, &whole.as_bytes()[..600]), frame(FINAL, &whole.as_bytes()[600..])];
    check(&exact.concat(), &[text(&whole)], None);
}

#[test]
fn text_that_cannot_become_utf8_fails_at_the_first_wrong_byte() {
    // An overlong form, a surrogate, beyond U+10FFFF, a lone continuation, and a broken sequence.
    for wrong in [&[0xC0][..], &[0xED, 0xA0], &[0xF4, 0x90], &[0x80], &[0xE2, 0x82, b'x']] {
        let announced = frame(TEXT, &[b"ab", wrong, b"rest"].concat());
        let upto = 2 + 4 + 2 + wrong.len();
        check_violation(&announced[..upto], Violation::TextNotUtf8, 1007);
        let split = [frame(TEXT, &[0xE2]), frame(0, &[0x82, 0xAC]), frame(FINAL, wrong)].concat();
        let upto = split.len();
        check_violation(&split[..upto], Violation::TextNotUtf8, 1007);
    }
    check_violation(&frame(FINAL | TEXT, &[b'a', 0xE2, 0x82]), Violation::TextNotUtf8, 1007);
    let cut = [frame(TEXT, &[0xE2, 0x82]), frame(FINAL, b"")].concat();
    check_violation(&cut, Violation::TextNotUtf8, 1007);
}

#[test]
fn close_frames_are_checked() {
    let close = |payload: &[u8]| frame(FINAL | CLOSE, payload);
    check_violation(&close(&[3]), Violation::HalfCloseCode, 1002);
    check_violation(&close(b"\x03\xE8\xFF"), Violation::ReasonNotUtf8, 1007);
    for code in (0..=999).chain([1004, 1005, 1006]).chain(1015..=2999).chain(5000..=u16::MAX) {
        let bytes = close(&code.to_be_bytes());
        assert_eq!(read(&[&bytes]), (vec![], Some(Violation::InvalidCloseCode(code))));
    }
    assert_eq!(u16::from(Violation::InvalidCloseCode(1005).close_code()), 1002);
    for code in (1000_u16..=1003).chain(1007..=1014).chain(3000..=4999) {
        let bytes = close(&code.to_be_bytes());
        let expected = Message::Close { code: Some(code), reason: "".into() };
        assert_eq!(read(&[&bytes]), (vec![expected], None));
    }
}

/// A text or binary message in fragments with control frames between them, or a control frame.
fn any_message() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<Message<'static>>)> {
    let control = prop_oneof![Just(PING), Just(PONG)];
    let control = (control, prop::collection::vec(any::<u8>(), 0..=125)).prop_map(|(opcode, payload)| {
        let bytes = frame(FINAL | opcode, &payload);
        let payload = Cow::Owned(payload);
        (bytes, if opcode == PING { Message::Ping(payload) } else { Message::Pong(payload) })
    });
    let payload = "\\PC{0,120}";
    let cuts = prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(control)), 0..4);
    (payload, cuts, any::<bool>()).prop_map(|(payload, cuts, is_text)| {
        let bytes = payload.as_bytes();
        let mut cuts: Vec<_> =
            cuts.into_iter().map(|(at, control)| (at.index(bytes.len() + 1), control)).collect();
        cuts.sort_by_key(|(at, _)| *at);
        let (mut frames, mut messages, mut from) = (Vec::new(), Vec::new(), 0);
        let mut opcode = if is_text { TEXT } else { BINARY };
        for (at, control) in cuts {
            frames.push(frame(opcode, &bytes[from..at]));
            (opcode, from) = (0, at);
            if let Some((bytes, message)) = control {
                frames.push(bytes);
                messages.push(message);
            }
        }
        frames.push(frame(FINAL | opcode, &bytes[from..]));
        messages.push(if is_text { text(&payload) } else { Message::Binary });
        (frames, messages)
    })
}

pub(crate) fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn any_split_of_valid_frames_yields_the_same_messages(
        messages in prop::collection::vec(any_message(), 0..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let (frames, expected): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let bytes = frames.into_iter().flatten().flatten().collect::<Vec<u8>>();
        let expected = (expected.into_iter().flatten().collect::<Vec<_>>(), None);
        prop_assert_eq!(&read(&[&bytes]), &expected);
        prop_assert_eq!(&read(&split(&bytes, &cuts)), &expected);
    }

    #[test]
    fn any_split_of_any_bytes_yields_the_same_outcome(
        bytes in likely_frames(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        prop_assert_eq!(read(&split(&bytes, &cuts)), read(&[&bytes]));
    }
}

/// Bytes that get far: headers with any bits and lengths, before payloads that need not fit them.
fn likely_frames() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![4 => Just(FINAL | TEXT), 4 => Just(TEXT), 4 => Just(0_u8),
        2 => Just(FINAL), 2 => Just(FINAL | PING), 1 => Just(FINAL | CLOSE), 1 => any::<u8>()];
    let parts = (first, prop::collection::vec(any::<u8>(), 0..140), any::<bool>(), 0_usize..8);
    let masked = parts.prop_map(|(first, mut payload, is_ascii, noise)| {
        if is_ascii {
            for byte in &mut payload {
                *byte &= 0x7F;
            }
        }
        let mut bytes = frame(first, &payload);
        if noise == 0 {
            bytes.pop();
        }
        bytes
    });
    prop::collection::vec(masked, 0..8).prop_map(|frames| frames.concat())
}
