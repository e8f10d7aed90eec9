//! Whatever breaks a rule ends the connection with the code for it, and no other one.

use harness::{BOUND, Setup, System};
use serde_json::json;
use tidings_protocol::framing::Violation;

use crate::compression::{OFFER, deflated};
use crate::raw::{BINARY, CLOSE, COMPRESSED, FINAL, PING, PONG, Raw, TEXT, frame};

/// What `gateway.max_frame_bytes` is.
const LIMIT: usize = 16 * 1024;

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
            let next = V::TooLong { length: LIMIT + 1, limit: LIMIT };
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
    let mut system = Setup::default().variable("TIDINGS_GATEWAY__SHARDS", "1").start().await;
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

    // Over all fragments, of binary messages, before anything but the length has come, and when decompressed.
    let too_long = |length| Violation::TooLong { length, limit: LIMIT };
    let fragments = [frame(TEXT, &[b' '; LIMIT]), frame(FINAL, b" ")].concat();
    check(&system, "", &fragments, too_long(LIMIT + 1), 1009).await;
    check(&system, "", &frame(FINAL | BINARY, &vec![0; 1 << 20]), too_long(1 << 20), 1009).await;
    let announced = &frame(FINAL | TEXT, &vec![b' '; 1 << 20])[..14];
    check(&system, "", announced, too_long(1 << 20), 1009).await;
    for opcode in [TEXT, BINARY] {
        let bomb = deflated(&vec![b' '; 15 << 20]);
        assert!(bomb.len() <= LIMIT, "{}", bomb.len());
        check(&system, OFFER, &frame(FINAL | COMPRESSED | opcode, &bomb), too_long(LIMIT + 1), 1009).await;
    }
    system.check_well();
}
