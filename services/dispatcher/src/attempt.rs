//! What follows from one attempt, which goes to all of a user's contacts that the channel has not reached yet. Pure.

use std::time::Duration;

use tidings_channels::{Accepted, Failed};
use tidings_streams::deliveries::{Fact, Status};
use time::OffsetDateTime;

/// What became of an attempt at one contact, by the contact's id.
pub(crate) type Outcome = (String, Result<Accepted, Failed>);

/// What is noted, and which contacts are gone, each with the reason.
pub(crate) struct Conclusion {
    pub(crate) fact: Fact,
    pub(crate) gone: Vec<(String, String)>,
}

/// Concludes an attempt. `next` says when another one is made, if one is left, after the time that a receiver asks for.
pub(crate) fn conclude(
    claim: Fact,
    outcomes: Vec<Outcome>,
    next: impl FnOnce(Option<Duration>) -> Option<OffsetDateTime>,
) -> Conclusion {
    let (mut reached, mut reference) = (claim.reached.clone(), None);
    let (mut gone, mut refused) = (Vec::new(), None);
    let (mut later, mut longest) = (None, None);
    for (id, outcome) in outcomes {
        match outcome {
            Ok(accepted) => {
                reached.push(id);
                reference = reference.or(accepted.reference);
            }
            Err(Failed::Later { reason, retry_after }) => {
                later.get_or_insert(reason);
                longest = longest.max(retry_after);
            }
            Err(Failed::Never { reason }) => _ = refused.get_or_insert(reason),
            Err(Failed::Gone { reason }) => {
                refused.get_or_insert(reason.clone());
                gone.push((id, reason));
            }
        }
    }
    let next = later.as_ref().and_then(|_| next(longest));
    let reason = later.or(refused);
    let (status, reason) = match (next, reached.is_empty()) {
        (Some(_), _) => (Status::Delayed, reason),
        (None, false) => (Status::Sent, reason.map(|reason| format!("not everywhere: {reason}"))),
        (None, true) => (Status::Failed, reason),
    };
    Conclusion { fact: Fact { status, reason, reference, reached, next, ..claim }, gone }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(reached: &[&str]) -> Fact {
        Fact {
            delivery: "dlv_1".to_owned(),
            event: "e".to_owned(),
            source: None,
            message: "note".to_owned(),
            channel: "email".to_owned(),
            status: Status::Attempted,
            reason: None,
            attempts: 1,
            is_repeated: false,
            reference: None,
            reached: reached.iter().map(|id| (*id).to_owned()).collect(),
            next: None,
        }
    }

    fn later(seconds: Option<u64>) -> Failed {
        Failed::Later { reason: "503".to_owned(), retry_after: seconds.map(Duration::from_secs) }
    }

    fn good() -> Accepted {
        Accepted { reference: Some("r".to_owned()) }
    }

    fn gone() -> Failed {
        Failed::Gone { reason: "410".to_owned() }
    }

    fn never() -> Failed {
        Failed::Never { reason: "400".to_owned() }
    }

    #[test]
    fn an_attempt_is_over_when_no_contact_is_left_to_try() {
        let everywhere = None;
        for (before, outcomes, is_left, status, reason, reached) in [
            (&[][..], vec![Ok(good())], true, Status::Sent, everywhere, &["0"][..]),
            (&[], vec![Ok(good()), Ok(good())], true, Status::Sent, everywhere, &["0", "1"]),
            (&[], vec![Ok(good()), Err(later(None))], true, Status::Delayed, Some("503"), &["0"]),
            (
                &[],
                vec![Ok(good()), Err(later(None))],
                false,
                Status::Sent,
                Some("not everywhere: 503"),
                &["0"],
            ),
            (&[], vec![Err(gone()), Ok(good())], true, Status::Sent, Some("not everywhere: 410"), &["1"]),
            (&[], vec![Err(gone()), Err(later(None))], true, Status::Delayed, Some("503"), &[]),
            (&["x"], vec![Err(never())], true, Status::Sent, Some("not everywhere: 400"), &["x"]),
            (&["x"], vec![Ok(good())], true, Status::Sent, everywhere, &["x", "0"]),
            (&["x"], vec![Err(later(None))], false, Status::Sent, Some("not everywhere: 503"), &["x"]),
            (&[], vec![Err(never())], true, Status::Failed, Some("400"), &[]),
            (&[], vec![Err(gone())], true, Status::Failed, Some("410"), &[]),
            (&[], vec![Err(later(None))], false, Status::Failed, Some("503"), &[]),
        ] {
            let shown = format!("{before:?} {outcomes:?} {is_left}");
            let outcomes = outcomes.into_iter().enumerate();
            let outcomes = outcomes.map(|(index, outcome)| (index.to_string(), outcome)).collect();
            let at = is_left.then_some(OffsetDateTime::UNIX_EPOCH);
            let Conclusion { fact, .. } = conclude(claim(before), outcomes, |_| at);
            assert_eq!((fact.status, fact.reason.as_deref()), (status, reason), "{shown}");
            assert_eq!(
                (fact.reached, fact.attempts),
                (reached.iter().map(|id| (*id).to_owned()).collect(), 1),
                "{shown}"
            );
            assert_eq!(fact.next.is_some(), status == Status::Delayed, "{shown}");
        }
    }

    #[test]
    fn the_longest_wait_counts_and_what_is_gone_is_named() {
        let outcomes = vec![
            ("a".to_owned(), Err(later(Some(3)))),
            ("b".to_owned(), Err(later(Some(9)))),
            ("c".to_owned(), Err(gone())),
        ];
        let Conclusion { fact, gone } = conclude(claim(&[]), outcomes, |wait| {
            assert_eq!(wait, Some(Duration::from_secs(9)));
            Some(OffsetDateTime::UNIX_EPOCH)
        });
        assert_eq!(gone, [("c".to_owned(), "410".to_owned())]);
        assert_eq!((fact.status, fact.next), (Status::Delayed, Some(OffsetDateTime::UNIX_EPOCH)));
    }
}
