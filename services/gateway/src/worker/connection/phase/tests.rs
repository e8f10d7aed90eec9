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
pub(in crate::worker::connection) fn every_phase(now: Instant) -> Vec<(&'static str, Phase)> {
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
