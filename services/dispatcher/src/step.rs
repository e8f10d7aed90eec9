//! What to do with a delivery that is due, by the last fact about it. Pure.
//!
//! ```text
//!   nothing ──▶ attempted ──▶ sent | failed
//!                  │  ▲ └───▶ delayed ──(due again)──▶ attempted, one more; in quiet hours also before the first attempt
//!                  │  │
//!                  └──┘ the sender has ended: once again with the same number, as a repetition
//!                  └──▶ unknown: it has ended again
//! ```
//!
//! What was skipped, has failed or is unknown is decided again if somebody retries that decision.
//!
//! A fact is stored behind the one on which its decision rests. So however many dispatchers believe to lead, and whatever is
//! killed, each number of an attempt is used once, and once more as a repetition.

use tidings_streams::deliveries::{Fact, Status};
use time::OffsetDateTime;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Look whether it is needed, and make this attempt.
    Attempt {
        /// The number of the attempt, from 1.
        number: u32,
        /// Whether it repeats one of which it is not known whether it reached the receiver.
        is_repeated: bool,
    },
    /// It was decided: remove what is due.
    Remove,
    /// The next attempt is to be scheduled, and what is due then to be removed.
    Delay {
        /// The number of attempts that were made.
        attempts: u32,
        /// When the next one is due.
        at: OffsetDateTime,
    },
    /// The sender ended twice in the middle of this attempt.
    GiveUp {
        /// The number of the attempt.
        attempts: u32,
    },
}

impl Step {
    /// Decides about a delivery that is due after this number of attempts. `is_retried` says whether it is due because
    /// somebody wants the last decision to be made again.
    pub(crate) fn after(last: Option<&Fact>, attempts: u32, is_retried: bool) -> Self {
        let next = Self::Attempt { number: attempts.saturating_add(1), is_repeated: false };
        let Some(last) = last else { return next };
        match (last.status, last.next) {
            (Status::Attempted, _) if last.is_repeated => Self::GiveUp { attempts: last.attempts },
            (Status::Attempted, _) => Self::Attempt { number: last.attempts, is_repeated: true },
            (Status::Delayed, Some(at)) if last.attempts > attempts => {
                Self::Delay { attempts: last.attempts, at }
            }
            (Status::Delayed, _) => next,
            (Status::Skipped | Status::Failed | Status::Unknown, _) if is_retried => next,
            (Status::Sent | Status::Skipped | Status::Failed | Status::Unknown, _) => Self::Remove,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(status: Status, attempts: u32, is_repeated: bool) -> Fact {
        let next = (status == Status::Delayed).then_some(OffsetDateTime::UNIX_EPOCH);
        Fact {
            delivery: "dlv_1".to_owned(),
            event: "e".to_owned(),
            source: None,
            message: "note".to_owned(),
            channel: "webhook".to_owned(),
            status,
            reason: None,
            attempts,
            is_repeated,
            reference: None,
            reached: Vec::new(),
            next,
        }
    }

    #[test]
    fn an_attempt_is_repeated_once() {
        let attempt = |number, is_repeated| Step::Attempt { number, is_repeated };
        let delay = Step::Delay { attempts: 1, at: OffsetDateTime::UNIX_EPOCH };
        for (last, attempts, expected) in [
            (None, 0, attempt(1, false)),
            (Some(fact(Status::Attempted, 1, false)), 0, attempt(1, true)),
            (Some(fact(Status::Attempted, 1, true)), 0, Step::GiveUp { attempts: 1 }),
            (Some(fact(Status::Delayed, 0, false)), 0, attempt(1, false)),
            (Some(fact(Status::Delayed, 1, true)), 0, delay),
            (Some(fact(Status::Delayed, 1, false)), 0, delay),
            (Some(fact(Status::Delayed, 1, false)), 1, attempt(2, false)),
            (Some(fact(Status::Attempted, 2, false)), 1, attempt(2, true)),
            (Some(fact(Status::Sent, 1, false)), 0, Step::Remove),
            (Some(fact(Status::Skipped, 0, false)), 0, Step::Remove),
            (Some(fact(Status::Failed, 7, false)), 6, Step::Remove),
            (Some(fact(Status::Unknown, 1, true)), 0, Step::Remove),
        ] {
            assert_eq!(Step::after(last.as_ref(), attempts, false), expected, "{last:?}");
        }
    }

    #[test]
    fn what_was_not_sent_is_decided_again_if_somebody_wants_it() {
        let attempt = |number, is_repeated| Step::Attempt { number, is_repeated };
        for (status, expected) in [
            (Status::Failed, attempt(8, false)),
            (Status::Unknown, attempt(8, false)),
            (Status::Skipped, attempt(8, false)),
            (Status::Sent, Step::Remove),
            // Its sender has ended in the middle.
            (Status::Attempted, attempt(7, true)),
        ] {
            assert_eq!(Step::after(Some(&fact(status, 7, false)), 7, true), expected, "{status:?}");
        }
    }
}
