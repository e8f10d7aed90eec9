use tidings_protocol::client;
use tidings_protocol::framing::Inbound;

use super::*;

/// A time after another.
fn later(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

fn after(mut phase: Phase, events: &[PhaseEvent]) -> Phase {
    for event in events {
        phase.advance(*event);
    }
    phase
}

/// Every phase, by its name; a new one must find its place here for this to be compiled.
fn every_phase(now: Instant) -> Vec<(&'static str, Phase)> {
    let begun = Phase::CatchingUp { after: 3 };
    let live = after(begun, &[PhaseEvent::CaughtUp]);
    let all = [
        begun,
        live,
        after(live, &[PhaseEvent::TenantMoved { until: now }]),
        after(live, &[PhaseEvent::Left { now }]),
        after(live, &[PhaseEvent::Left { now }, PhaseEvent::Acknowledged]),
        after(live, &[PhaseEvent::CloseSent { now }]),
        after(live, &[PhaseEvent::CloseReceived { now }]),
        after(live, &[PhaseEvent::Ended]),
    ];
    let name = |phase: Phase| match phase {
        Phase::CatchingUp { .. } => "catching up",
        Phase::Live => "live",
        Phase::Moving { .. } => "moving",
        Phase::AwaitingAcks { .. } => "awaiting acks",
        Phase::SavingPosition => "saving position",
        Phase::Closing { is_answered: false, .. } => "closing",
        Phase::Closing { is_answered: true, .. } => "answered",
        Phase::Closed => "closed",
    };
    all.map(|phase| (name(phase), phase)).into()
}

fn every_event(now: Instant) -> [PhaseEvent; 9] {
    [
        PhaseEvent::CaughtUp,
        PhaseEvent::FellBehind { after: 3 },
        PhaseEvent::TenantMoved { until: now },
        PhaseEvent::Followed { after: 3 },
        PhaseEvent::Left { now },
        PhaseEvent::Acknowledged,
        PhaseEvent::CloseSent { now },
        PhaseEvent::CloseReceived { now },
        PhaseEvent::Ended,
    ]
}

#[test]
fn every_phase_is_in_the_list() {
    let names: Vec<_> = every_phase(Instant::now()).into_iter().map(|(name, _)| name).collect();
    let expected = [
        "catching up",
        "live",
        "moving",
        "awaiting acks",
        "saving position",
        "closing",
        "answered",
        "closed",
    ];
    assert_eq!(names, expected);
}

#[test]
fn no_event_leads_back() {
    let now = Instant::now();
    let rank = |name: &str| match name {
        "catching up" | "live" | "moving" => 0,
        "awaiting acks" => 1,
        "saving position" => 2,
        "closing" => 3,
        "answered" => 4,
        _ => 5,
    };
    for (from, phase) in every_phase(now) {
        for event in every_event(later(now, 60)) {
            let changed = after(phase, &[event]);
            let to = every_phase(now).into_iter().chain(every_phase(later(now, 60)));
            let Some((to, _)) = to.into_iter().find(|(_, known)| *known == changed) else {
                panic!("{from}, {event:?}: {changed:?}")
            };
            assert!(rank(to) >= rank(from), "{from}, {event:?}: {to}");
        }
    }
}

#[test]
fn a_deadline_does_not_move_and_is_within_a_second_of_the_close() {
    let now = Instant::now();
    for (name, phase) in every_phase(now) {
        let Some(deadline) = phase.deadline() else { continue };
        for event in every_event(later(now, 1)) {
            let changed = after(phase, &[event]);
            // The next phase may have one of its own; the same has the same.
            if std::mem::discriminant(&changed) == std::mem::discriminant(&phase) {
                assert_eq!(changed.deadline(), Some(deadline), "{name}, {event:?}");
            }
        }
        if phase.is_closing() {
            // With a tick of the worker.
            assert!(deadline + Duration::from_millis(250) < later(now, 1), "{name}");
        }
    }
}

#[test]
fn a_close_is_sent_once_and_answered_once() {
    let now = Instant::now();
    for (name, phase) in every_phase(now) {
        let (mut closed, mut answered) = (phase, phase);
        let is_first = !phase.is_closing();
        assert_eq!(closed.advance(PhaseEvent::CloseSent { now }), is_first, "{name}");
        assert_eq!(answered.advance(PhaseEvent::CloseReceived { now }), is_first, "{name}");
        let is_answered = matches!(answered, Phase::Closing { is_answered: true, .. });
        assert_eq!(is_answered, phase != Phase::Closed, "{name}");
        for mut phase in [closed, answered] {
            assert!(!phase.advance(PhaseEvent::CloseSent { now }), "{name}");
        }
    }
}

const LIMIT: usize = 100;
const FINAL: u8 = 0x80;
const TEXT: u8 = FINAL | 1;

/// A masked frame, with a mask that changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    if let Ok(length @ ..=125) = u8::try_from(payload.len()) {
        bytes.push(0x80 | length);
    } else {
        bytes.push(0xFE);
        bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// What counts of these bytes in a phase.
fn heard(phase: Phase, bytes: &[u8]) -> Vec<String> {
    let mut bytes = bytes.to_vec();
    let mut inbound = Inbound::default();
    let received = inbound.feed(&mut bytes, LIMIT);
    let heard = received.filter_map(|received| {
        ReceivedFrame::of(|kind| phase.obeys(kind), received, |text| client::parse(text, &Limits::default()))
    });
    heard.map(|heard| format!("{heard:?}")).collect()
}

/// From which phases on a frame is passed over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// While the connection is served.
    Served,
    /// And while it may acknowledge what it was given.
    Acknowledging,
    /// And until a Close was received.
    UntilClosed,
}

fn every_frame() -> Vec<(&'static str, Vec<u8>, Counts)> {
    use Counts::{Acknowledging, Served, UntilClosed};
    let text = |text: &str| frame(TEXT, text.as_bytes());
    vec![
        ("subscribe", text(r#"{"action":"subscribe","topics":["a"]}"#), Served),
        ("unsubscribe", text(r#"{"action":"unsubscribe","topics":["a"]}"#), Served),
        ("ping", text(r#"{"action":"ping","id":1}"#), Served),
        ("authenticate", text(r#"{"action":"authenticate","token":"a.b.c"}"#), Served),
        ("route", text(r#"{"action":"progress","docId":"d"}"#), Served),
        ("publish", text(r#"{"action":"report","data":{}}"#), Served),
        ("ack", text(r#"{"action":"ack","seq":1}"#), Acknowledging),
        ("a broken ack", text(r#"{"action":"ack"}"#), Served),
        ("rubbish", text("}{"), Served),
        ("empty text", text(""), Served),
        ("in fragments", [frame(1, b"{\"action\":"), frame(FINAL, b"\"ping\"}")].concat(), Served),
        ("binary", frame(FINAL | 2, b"1"), Served),
        ("too long", frame(TEXT, &[b' '; LIMIT + 1]), Served),
        ("absurdly long", [vec![TEXT, 0xFE], vec![0xFF, 0xFF], vec![0; 4]].concat(), Served),
        ("Ping", frame(FINAL | 9, b"1"), Served),
        ("Pong", frame(FINAL | 0xA, b"1"), Acknowledging),
        ("Close", frame(FINAL | 8, b"\x03\xE8"), UntilClosed),
        ("an empty Close", frame(FINAL | 8, b""), UntilClosed),
        ("a broken Close", frame(FINAL | 8, b"1"), Served),
        ("no UTF-8", frame(TEXT, b"\xFF"), Served),
        ("unmasked", vec![TEXT, 0], Served),
        ("a reserved opcode", frame(FINAL | 3, b""), Served),
    ]
}

#[test]
fn of_a_connection_that_is_being_closed_nothing_counts_but_its_close() {
    for (name, phase) in every_phase(Instant::now()) {
        for (what, bytes, counts) in every_frame() {
            let expected = match name {
                "live" | "catching up" | "moving" => true,
                "awaiting acks" => counts != Counts::Served,
                "saving position" | "closing" => counts == Counts::UntilClosed,
                _ => false,
            };
            let heard = heard(phase, &bytes);
            assert_eq!(heard.len(), usize::from(expected), "{what} while {name}: {heard:?}");
            // Behind a flood of everything else, too.
            let flood: Vec<u8> = every_frame()
                .into_iter()
                .filter(|(_, _, of)| *of == Counts::Served)
                .take(12)
                .flat_map(|(_, bytes, _)| bytes)
                .collect();
            let behind = self::heard(phase, &[flood, bytes].concat());
            assert!(!expected || behind.last() == heard.last(), "{what} while {name}: {behind:?}");
            assert!(
                expected || behind.len() == 12 * usize::from(phase.is_served()),
                "{what} while {name}: {behind:?}"
            );
        }
    }
}

#[test]
fn fragments_that_complete_nothing_are_nothing() {
    for (name, phase) in every_phase(Instant::now()) {
        let fragments = [frame(1, b""), frame(0, b""), frame(0, b"")].concat();
        assert_eq!(heard(phase, &fragments), Vec::<String>::new(), "{name}");
    }
}
