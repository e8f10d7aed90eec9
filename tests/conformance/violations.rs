//! Whatever breaks a rule ends the connection with the code for it, and no other one.

use harness::{BOUND, Setup, System};
use serde_json::json;
use tidings_protocol::framing::Violation;

use crate::compression::{OFFER, deflated};
use crate::raw::{BINARY, CLOSE, COMPRESSED, FINAL, PING, PONG, Raw, TEXT, frame};

/// What `gateway.max_frame_bytes` is.
const LIMIT: usize = 16 * 1024;
/// Beyond this length no message is passed over.
const MOST: usize = 64 * LIMIT;

/// Frames that break a rule, the code that the connection is closed with, and the next rule: a chain through all
/// variants, in which a new one must find its place for this to be compiled.
fn example(violation: Violation) -> (Vec<u8>, u16, Option<Violation>) {
    use Violation as V;
    // A header with a length in 64 bits, and nothing behind it.
    let long = |length: u64| [&[FINAL | TEXT, 0xFF][..], &length.to_be_bytes()].concat();
    match violation {
        V::ReservedBits(bits) => (vec![FINAL | bits << 4 | TEXT], 1002, Some(V::ReservedOpcode(3))),
        V::ReservedOpcode(opcode) => (vec![FINAL | opcode], 1002, Some(V::Unmasked)),
        V::Unmasked => (vec![FINAL | TEXT, 2, b'{', b'}'], 1002, Some(V::FragmentedControl)),
        V::FragmentedControl => (frame(PING, b"1"), 1002, Some(V::LongControl)),
        V::LongControl => (frame(FINAL | PONG, &[0; 126]), 1002, Some(V::LengthTopBit(1 << 63))),
        V::LengthTopBit(length) => (long(length), 1002, Some(V::LengthNotMinimal(7))),
        V::LengthNotMinimal(length) => (long(length), 1002, Some(V::OrphanContinuation)),
        V::OrphanContinuation => (frame(FINAL, b"{}"), 1002, Some(V::InterruptedMessage)),
        V::InterruptedMessage => {
            let frames = [frame(TEXT, b"{"), frame(FINAL | TEXT, b"}")];
            (frames.concat(), 1002, Some(V::TextNotUtf8))
        }
        V::TextNotUtf8 => (frame(FINAL | TEXT, b"{\"\xFF"), 1007, Some(V::BrokenDeflate)),
        V::BrokenDeflate => (frame(FINAL | COMPRESSED | TEXT, b"{}"), 1007, Some(V::ReasonNotUtf8)),
        V::ReasonNotUtf8 => (frame(FINAL | CLOSE, b"\x03\xE8\xFF"), 1007, Some(V::HalfCloseCode)),
        V::HalfCloseCode => (frame(FINAL | CLOSE, &[3]), 1002, Some(V::InvalidCloseCode(1005))),
        V::InvalidCloseCode(code) => {
            let next = V::TooLong { length: MOST + 1, limit: LIMIT };
            (frame(FINAL | CLOSE, &code.to_be_bytes()), 1002, Some(next))
        }
        V::TooLong { length, .. } => (frame(FINAL | TEXT, &vec![b' '; length]), 1009, None),
    }
}

/// The frames, in one piece and byte by byte.
async fn check(system: &System, offer: &str, frames: &[u8], violation: Violation, code: u16) {
    for is_slow in [false, true] {
        let mut raw = Raw::open_with(system, offer).await;
        // The header tells, and what follows it is not awaited.
        if is_slow && frames.len() < 1000 {
            for byte in frames {
                raw.send(&[*byte]).await;
            }
        } else {
            raw.send(frames).await;
        }
        if code == 1009 {
            let message = format!("the message is longer than {LIMIT} bytes");
            let expected = json!({ "code": "MESSAGE_TOO_LARGE", "message": message });
            assert_eq!(raw.next_json().await["data"], expected);
        }
        raw.expect_close(code, &violation.to_string()).await;
    }
}

#[tokio::test]
async fn every_violation_is_answered_with_its_code() {
    // One shard, so that whatever befalls it befalls the other client, too.
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__WORKERS", "1").start().await;
    let mut other = system.open(json!({ "tenant": "ops", "sub": "other" })).await;
    let mut next = Some(Violation::ReservedBits(0b001));
    while let Some(violation) = next {
        let (frames, code, following) = example(violation);
        check(&system, OFFER, &frames, violation, code).await;
        if violation != Violation::BrokenDeflate {
            check(&system, "", &frames, violation, code).await;
        }
        next = following;
    }
    other.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}

#[tokio::test]
async fn where_a_rule_is_broken_does_not_matter() {
    let mut system = System::start().await;
    let compressed = Violation::ReservedBits(0b100);
    // Compressed without having agreed on it, and where nothing can be compressed.
    check(&system, "", &frame(FINAL | COMPRESSED | TEXT, &deflated(b"{}")), compressed, 1002).await;
    for opcode in [PING, PONG, CLOSE] {
        check(&system, OFFER, &frame(FINAL | COMPRESSED | opcode, b""), compressed, 1002).await;
    }
    let continued = [frame(COMPRESSED | TEXT, b"\xF2"), frame(FINAL | COMPRESSED, b"\x48")].concat();
    check(&system, OFFER, &continued, compressed, 1002).await;

    // In the second half of a character that two fragments share.
    let split = [frame(TEXT, b"{\"\xE2"), frame(FINAL | PING, b""), frame(0, b"\x82"), frame(0, b"x")];
    let mut raw = Raw::open(&system).await;
    raw.send(&split.concat()).await;
    raw.expect_pong(b"").await;
    raw.expect_close(1007, &Violation::TextNotUtf8.to_string()).await;
    let text = deflated(b"{\"\xE2\x82\"}");
    check(&system, OFFER, &frame(FINAL | COMPRESSED | TEXT, &text), Violation::TextNotUtf8, 1007).await;

    // Over all fragments, of binary messages, and before anything but the length has come.
    let too_long = |length| Violation::TooLong { length, limit: LIMIT };
    let fragments = [frame(TEXT, &[b' '; LIMIT]), frame(FINAL, &vec![b' '; MOST - LIMIT + 1])].concat();
    check(&system, "", &fragments, too_long(MOST + 1), 1009).await;
    check(&system, "", &frame(FINAL | BINARY, &vec![0; MOST + 1]), too_long(MOST + 1), 1009).await;
    let announced = &frame(FINAL | TEXT, &vec![b' '; MOST + 1])[..14];
    check(&system, "", announced, too_long(MOST + 1), 1009).await;
    system.check_well();
}

/// Told which it was, if its beginning says so, and the connection goes on: in one frame, in several with others between
/// them, in the smallest pieces, and compressed.
#[tokio::test]
async fn what_is_too_long_is_passed_over() {
    let mut system = System::start().await;
    let text = |length: usize| {
        format!(r#"{{"type":"ping","id":"long","pad":"{}"}}"#, "x".repeat(length)).into_bytes()
    };
    let nameless =
        |length: usize| format!(r#"{{"type":"ping","pad":"{}"}}"#, "x".repeat(length)).into_bytes();
    let (long, parted) = (text(17_000), text(MOST / 2));
    let parts =
        [frame(TEXT, &parted[..9]), frame(FINAL | PING, b"1"), frame(0, b""), frame(FINAL, &parted[9..])];
    let mut random = 1_u64;
    let noise = std::iter::repeat_with(|| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b' ' + u8::try_from(random >> 58).unwrap()
    });
    let noise: Vec<u8> = noise.take(60_000).collect();
    let incompressible = [br#"{"id":"long","pad":""#, &noise[..]].concat();
    assert!(deflated(&incompressible).len() > LIMIT);
    let cases = [
        ("", frame(FINAL | TEXT, &long), Some("long")),
        ("", frame(FINAL | TEXT, &nameless(17_000)), None),
        ("", parts.concat(), Some("long")),
        ("", frame(FINAL | BINARY, &long), None),
        (OFFER, frame(FINAL | COMPRESSED | TEXT, &deflated(&text(15 << 20))), Some("long")),
        (OFFER, frame(FINAL | COMPRESSED | TEXT, &deflated(&incompressible)), Some("long")),
        (OFFER, frame(FINAL | COMPRESSED | BINARY, &deflated(&long)), None),
    ];
    for (offer, bytes, id) in cases {
        let mut raw = Raw::open_with(&system, offer).await;
        raw.send(&bytes).await;
        let answer = raw.next_json_past_pongs().await;
        let mut expected = json!({ "code": "MESSAGE_TOO_LARGE", "message": format!("the message is longer than {LIMIT} bytes") });
        if let Some(id) = id {
            expected["original_message_id"] = id.into();
        }
        assert_eq!(answer["data"], expected);
        raw.send(&crate::raw::text(&json!({ "action": "ping", "id": "next" }))).await;
        assert_eq!(raw.next_json().await["original_message_id"], "next");
    }
    system.check_well();
}
