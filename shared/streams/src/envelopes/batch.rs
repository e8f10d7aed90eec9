//! One batch of envelopes, as its writer knows it. Pure.
//!
//! Answers may be late, lost or repeated. Whatever arrives, only what NATS has confirmed counts as stored, and after an
//! error the batch takes no more messages. A message counts as refused only when all before it are known to be stored:
//! the projector leaves out the first message that is not confirmed.

use std::cmp::min;

use super::write_error::WriteError;
use crate::nats::fast_ingest::Answer;

/// A batch in progress.
#[derive(Debug)]
pub(super) struct Batch {
    /// The last sequence of the stream before the batch.
    after: u64,
    sent: u64,
    stored: u64,
    is_ending: bool,
    refusal: Option<Refusal>,
}

/// A message that the stream will never take.
#[derive(Debug)]
struct Refusal {
    number: u64,
    error: WriteError,
}

impl Batch {
    /// A batch without messages behind this sequence.
    pub(super) fn after(sequence: u64) -> Self {
        Self { after: sequence, sent: 0, stored: 0, is_ending: false, refusal: None }
    }

    /// The number of the next message. If one was refused, the batch ends before that.
    pub(super) fn next(&self) -> u64 {
        self.refusal.as_ref().map_or(self.sent + 1, |refusal| refusal.number)
    }

    /// Notes that the next message was sent.
    pub(super) fn note_sent(&mut self) {
        self.sent += 1;
    }

    /// Notes that NATS was asked to end the batch.
    pub(super) fn note_ending(&mut self) {
        self.is_ending = true;
    }

    /// Whether the batch takes no more messages.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Whether a message was refused, and those before it are not all confirmed.
    pub(super) fn awaits_end(&self) -> bool {
        self.refusal.is_some()
    }

    /// How many messages are not confirmed.
    pub(super) fn unconfirmed(&self) -> u64 {
        self.sent - self.stored
    }

    /// Whether fewer messages than this are not confirmed.
    pub(super) fn has_room(&self, window: usize) -> bool {
        usize::try_from(self.unconfirmed()).is_ok_and(|unconfirmed| unconfirmed < window)
    }

    /// The sequence up to which everything is stored.
    pub(super) fn stored_through(&self) -> u64 {
        self.after + self.stored
    }

    /// Applies an answer. After an error, nothing behind [`Batch::stored_through`] is known to be stored.
    pub(super) fn take(&mut self, answer: Answer) -> Result<(), WriteError> {
        match answer {
            Answer::Stored { through } => self.store(through),
            Answer::Ended { count, sequence } => {
                // The first messages of a batch are stored one behind the other, or the stream was rolled back.
                if sequence != self.after.saturating_add(count) {
                    return Err(WriteError::LostPlace);
                }
                self.store(count);
                if self.stored < self.sent {
                    return Err(self.refusal_in_turn().unwrap_or(WriteError::LostPlace));
                }
            }
            Answer::Refused { number, .. } if number > self.sent => return Err(WriteError::LostPlace),
            Answer::Refused { number, error } => match WriteError::from_refusal(error) {
                error @ WriteError::Refused(_) => self.note_refusal(number, error),
                error => return Err(error),
            },
            // The messages behind a refused one have no place in the batch.
            Answer::Lost if self.refusal.is_some() => {}
            Answer::Lost => return Err(WriteError::LostPlace),
            Answer::NoResponder => {
                return Err(WriteError::unavailable("no server takes messages for the stream"));
            }
        }
        self.refusal_in_turn().map_or(Ok(()), Err)
    }

    /// The first message that is refused counts.
    fn note_refusal(&mut self, number: u64, error: WriteError) {
        if self.refusal.as_ref().is_none_or(|refusal| number < refusal.number) {
            self.refusal = Some(Refusal { number, error });
        }
    }

    fn store(&mut self, through: u64) {
        self.stored = self.stored.max(min(through, self.sent));
    }

    /// The refusal, if everything before that message is stored.
    fn refusal_in_turn(&mut self) -> Option<WriteError> {
        let stored = self.stored;
        let refusal = self.refusal.take_if(|refusal| refusal.number == stored + 1)?;
        Some(refusal.error)
    }
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream;
    use proptest::prelude::*;

    use super::*;

    const AFTER: u64 = 40;
    const TOO_LARGE: u64 = 10_054;
    const WRONG_LAST_SEQUENCE: u64 = 10_071;

    fn error(code: u64) -> jetstream::Error {
        serde_json::from_value(serde_json::json!({ "code": 400, "err_code": code })).unwrap()
    }

    fn of(sent: u64) -> Batch {
        let mut batch = Batch::after(AFTER);
        (0..sent).for_each(|_| batch.note_sent());
        batch
    }

    #[test]
    fn it_counts_what_is_confirmed() {
        let mut batch = of(5);
        assert_eq!((batch.next(), batch.unconfirmed()), (6, 5));
        for (through, stored) in [(0, 0), (2, 2), (1, 2), (4, 4), (9, 5)] {
            batch.take(Answer::Stored { through }).unwrap();
            assert_eq!(batch.stored_through(), AFTER + stored);
        }
        batch.take(Answer::Ended { count: 5, sequence: AFTER + 5 }).unwrap();
        assert_eq!(batch.unconfirmed(), 0);
    }

    #[test]
    fn an_end_at_another_sequence_confirms_nothing() {
        let mut batch = of(5);
        let ended = batch.take(Answer::Ended { count: 5, sequence: AFTER + 6 });
        assert!(matches!(ended, Err(WriteError::LostPlace)));
        assert_eq!(batch.stored_through(), AFTER);
    }

    #[test]
    fn a_refused_message_waits_for_those_before_it() {
        let mut batch = of(5);
        for number in [4, 5] {
            batch.take(Answer::Refused { number, error: error(TOO_LARGE) }).unwrap();
        }
        assert!(batch.awaits_end());
        assert_eq!(batch.next(), 4, "the batch ends before it");
        batch.take(Answer::Lost).unwrap();
        batch.take(Answer::Stored { through: 2 }).unwrap();
        let ended = batch.take(Answer::Ended { count: 3, sequence: AFTER + 3 });
        assert!(matches!(ended, Err(WriteError::Refused(_))), "{ended:?}");
        assert_eq!(batch.stored_through(), AFTER + 3);
    }

    /// What the stream's leader may say of a batch of which it has stored so many messages.
    fn answer(stored: u64) -> impl Strategy<Value = Answer> {
        let refused = |code| Just(Answer::Refused { number: stored + 1, error: error(code) });
        prop_oneof![
            4 => (0..=stored).prop_map(|through| Answer::Stored { through }),
            2 => Just(Answer::Ended { count: stored, sequence: AFTER + stored }),
            2 => refused(TOO_LARGE),
            1 => refused(WRONG_LAST_SEQUENCE),
            1 => Just(Answer::Lost),
            1 => (1..4_u64).prop_map(move |behind| {
                Answer::Refused { number: stored + 1 + behind, error: error(TOO_LARGE) }
            }),
            1 => Just(Answer::NoResponder),
        ]
    }

    proptest! {
        /// In any order, and whichever of them are lost: nothing counts as stored that is not, and a message that is
        /// left out is the first that is not stored.
        #[test]
        fn whatever_is_answered_only_what_is_stored_counts(
            (sent, stored, answers) in (1..9_u64).prop_flat_map(|sent| (Just(sent), 0..=sent)).prop_flat_map(
                |(sent, stored)| (Just(sent), Just(stored), prop::collection::vec(answer(stored), 0..12))
            )
        ) {
            let mut batch = of(sent);
            for answer in answers {
                let is_end = matches!(answer, Answer::Ended { .. });
                let taken = batch.take(answer);
                prop_assert!(batch.stored_through() <= AFTER + stored);
                match taken {
                    Ok(()) if is_end => prop_assert_eq!(batch.unconfirmed(), 0),
                    Ok(()) => {}
                    Err(WriteError::Refused(_)) => {
                        prop_assert_eq!(batch.stored_through(), AFTER + stored);
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
    }
}
