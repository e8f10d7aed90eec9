//! When a writer asks NATS to confirm what it has sent, and when it gives up. Pure: the caller says what time it is.

use std::time::Duration;

use tokio::time::Instant;

/// How long nothing is sent under load before NATS is asked to confirm the rest.
const PAUSE: Duration = Duration::from_millis(20);
/// How long NATS confirms nothing under load before it is asked to.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long NATS may take to answer before it is asked, or asked again: another leader may know nothing of the batch.
const AGAIN: Duration = Duration::from_secs(1);
/// How long NATS may take to confirm anything.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long after its last message a batch is continued. NATS forgets it after 10 s.
const CONTINUED: Duration = Duration::from_secs(2);

/// When a writer sent, asked, and heard.
#[derive(Debug)]
pub(super) struct Timing {
    last_sent: Instant,
    asked: Instant,
    /// Since when NATS has confirmed nothing although something is unconfirmed.
    waits_since: Instant,
}

/// How the messages of a batch are confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Each by an answer of its own.
    Each,
    /// Several by one answer.
    Several,
    /// By the answer to the end of the batch.
    Ending,
}

/// What is to be done about unconfirmed messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Ask NATS to confirm them.
    Ask,
    /// NATS does not answer.
    GiveUp,
}

impl Timing {
    pub(super) fn new(now: Instant) -> Self {
        Self { last_sent: now, asked: now, waits_since: now }
    }

    /// Notes that a message was sent, and whether everything before it was confirmed.
    pub(super) fn note_sent(&mut self, is_first: bool, now: Instant) {
        self.last_sent = now;
        if is_first {
            self.waits_since = now;
        }
    }

    pub(super) fn note_asked(&mut self, now: Instant) {
        self.asked = now;
    }

    pub(super) fn note_confirmed(&mut self, now: Instant) {
        self.waits_since = now;
    }

    /// Whether NATS still knows a batch whose last message was the last one sent.
    pub(super) fn is_continued(&self, now: Instant) -> bool {
        now - self.last_sent < CONTINUED
    }

    pub(super) fn due(&self, phase: Phase, now: Instant) -> Due {
        let waited = now - self.waits_since;
        let asks = match phase {
            Phase::Each => waited >= AGAIN,
            Phase::Several => waited >= PATIENCE || now - self.last_sent >= PAUSE,
            Phase::Ending => now - self.asked >= AGAIN,
        };
        match asks {
            _ if waited >= TIMEOUT => Due::GiveUp,
            true => Due::Ask,
            false => Due::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_in_time_and_gives_up() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut timing = Timing::new(start);
        timing.note_sent(true, start);
        for (phase, now, due) in [
            (Phase::Each, 999, Due::Nothing),
            (Phase::Each, 1_000, Due::Ask),
            (Phase::Several, 19, Due::Nothing),
            (Phase::Several, 20, Due::Ask),
            (Phase::Ending, 999, Due::Nothing),
            (Phase::Ending, 1_000, Due::Ask),
            (Phase::Each, 5_000, Due::GiveUp),
            (Phase::Several, 5_000, Due::GiveUp),
            (Phase::Ending, 5_000, Due::GiveUp),
        ] {
            assert_eq!(timing.due(phase, at(now)), due, "{phase:?} {now}");
        }
        timing.note_sent(false, at(90));
        assert_eq!(timing.due(Phase::Several, at(99)), Due::Nothing, "more was sent");
        assert_eq!(timing.due(Phase::Several, at(100)), Due::Ask, "nothing was confirmed");
        timing.note_confirmed(at(95));
        assert_eq!(timing.due(Phase::Several, at(100)), Due::Nothing);
        timing.note_asked(at(200));
        assert_eq!(timing.due(Phase::Ending, at(1_000)), Due::Nothing);
        assert!(timing.is_continued(at(2_000)) && !timing.is_continued(at(2_090)));
    }
}
