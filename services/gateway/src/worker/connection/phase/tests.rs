use super::*;

/// A time after another.
fn later(now: Instant, seconds: u64) -> Instant {
    now + Duration::from_secs(seconds)
}

/// Every phase, by its name; a new one must find its place here for this to be compiled.
pub(in crate::worker) fn every_phase(now: Instant) -> Vec<(&'static str, Phase)> {
    let mut live = Phase::begin(3);
    live.become_live();
    let mut awaiting = live;
    awaiting.await_acks(now);
    let mut saving = awaiting;
    saving.save_position();
    let mut closing = live;
    closing.close(now);
    let mut answered = live;
    answered.closed_by_client(now);
    let mut closed = live;
    closed.end();
    let all = [Phase::begin(3), live, awaiting, saving, closing, answered, closed];
    let name = |phase: Phase| match phase.0 {
        Is::CatchingUp { .. } => "catching up",
        Is::Live => "live",
        Is::AwaitingAcks { .. } => "awaiting acks",
        Is::SavingPosition => "saving position",
        Is::Closing { is_answered: false, .. } => "closing",
        Is::Closing { is_answered: true, .. } => "answered",
        Is::Closed => "closed",
    };
    all.map(|phase| (name(phase), phase)).into()
}

type Transition = (&'static str, fn(&mut Phase, Instant));

/// Every transition.
const TRANSITIONS: [Transition; 7] = [
    ("become live", |phase, _| phase.become_live()),
    ("catch up", |phase, _| phase.catch_up_after(3)),
    ("await acks", |phase, now| _ = phase.await_acks(now)),
    ("save position", |phase, _| _ = phase.save_position()),
    ("close", |phase, now| _ = phase.close(now)),
    ("closed by client", |phase, now| _ = phase.closed_by_client(now)),
    ("end", |phase, _| phase.end()),
];

#[test]
fn no_transition_leads_back() {
    let now = Instant::now();
    let rank = |name: &str| match name {
        "catching up" | "live" => 0,
        "awaiting acks" => 1,
        "saving position" => 2,
        "closing" => 3,
        "answered" => 4,
        _ => 5,
    };
    for (from, phase) in every_phase(now) {
        for (what, transition) in TRANSITIONS {
            let mut changed = phase;
            transition(&mut changed, later(now, 60));
            let to = every_phase(now).into_iter().chain(every_phase(later(now, 60)));
            let Some((to, _)) = to.into_iter().find(|(_, known)| *known == changed) else {
                panic!("{from}, {what}: {changed:?}")
            };
            assert!(rank(to) >= rank(from), "{from}, {what}: {to}");
        }
    }
}

#[test]
fn a_deadline_does_not_move_and_is_within_a_second_of_the_close() {
    let now = Instant::now();
    for (name, phase) in every_phase(now) {
        let Some(deadline) = phase.deadline() else { continue };
        for (what, transition) in TRANSITIONS {
            let mut changed = phase;
            transition(&mut changed, later(now, 1));
            // The next phase may have one of its own; the same has the same.
            let is_same = changed.is_closing() == phase.is_closing();
            if is_same && !changed.is_closed() && !changed.is_saving_position() {
                assert_eq!(changed.deadline(), Some(deadline), "{name}, {what}");
            }
        }
        if phase.is_closing() {
            // With a tick of the shard.
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
        assert_eq!(closed.close(now), is_first, "{name}");
        assert_eq!(answered.closed_by_client(now), is_first, "{name}");
        assert_eq!(answered.is_answered(), !phase.is_closed(), "{name}");
        assert!(!closed.close(now) && !answered.closed_by_client(now), "{name}");
    }
}
