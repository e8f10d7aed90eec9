//! Stores the events of a request, and says of each whether it is stored.
//!
//! All events were checked before, and looked up among the receipts; so nothing is stored of a request that is refused. Then
//! they are sent in their order over one connection. When NATS fails meanwhile, some of them may be stored and others not: the
//! answer says which are, and the whole may be sent again, since each counts once.
//!
//! A batch is not one step in JetStream. Its atomic batches (NATS ADR-50) would have to be enabled in `EVENTS`, refuse a
//! repetition as a whole, and are put together by each replica in memory when it applies them; that this has the same
//! result on every replica after each fault is not proven (`tidings_streams::envelopes::writer` says why that matters).
//!
//! An answer is a promise: it is given after `EVENTS` has stored the event. If this process dies at any line, an event was
//! either stored or not, and its producer, who has no answer, sends it again.

use std::error::Error;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tidings_streams::{Earlier, PublishEventError};
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::check::Checked;
use crate::context::Context;
use crate::error::{ApiCode, ApiError};

/// How long JetStream may take to store the events of a request.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many receipts of a request are read or written at once.
const AT_ONCE: usize = 64;

/// What became of an event.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Stored { sequence: u64, is_duplicate: bool },
    Failed(ApiError),
}

/// What was stored earlier under the identities of the events.
pub(super) async fn find_earlier(context: &Context, events: &[Checked]) -> Vec<Option<Earlier>> {
    let deadline = Instant::now() + PATIENCE;
    in_turn(events.iter().map(|checked| find(context, checked, deadline).boxed()).collect()).await
}

/// Stores the events that are not stored yet.
pub(super) async fn store(context: &Context, events: &[Checked]) -> Vec<Outcome> {
    let deadline = Instant::now() + PATIENCE;
    let sent = events.iter().zip(send(context, events, deadline).await);
    let storing = sent.map(|(checked, sent)| finish(context, checked, sent, deadline).boxed());
    let mut outcomes = in_turn(storing.collect()).await;
    for (index, checked) in events.iter().enumerate() {
        let repeated = checked.repeats.and_then(|first| outcomes.get(first)).map(Outcome::repeated);
        if let (Some(repeated), Some(outcome)) = (repeated, outcomes.get_mut(index)) {
            *outcome = repeated;
        }
    }
    outcomes
}

/// The results of all, in their order, of which so many are under way at once.
async fn in_turn<T>(all: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(all).buffered(AT_ONCE).collect().await
}

/// What became of an event that was to be sent; `None` where it was not.
type Sent = Option<Result<Result<JoinHandle<Result<u64, PublishEventError>>, PublishEventError>, Elapsed>>;

impl Outcome {
    /// What becomes of a repetition of the event.
    fn repeated(&self) -> Self {
        match self {
            Self::Stored { sequence, .. } => Self::Stored { sequence: *sequence, is_duplicate: true },
            Self::Failed(error) => Self::Failed(error.clone()),
        }
    }
}

/// A receipt that cannot be read counts as missing: the projector recognizes repetitions, too.
async fn find(context: &Context, checked: &Checked, deadline: Instant) -> Option<Earlier> {
    if !checked.has_receipt() || checked.repeats.is_some() {
        return None;
    }
    match timeout_at(deadline, context.receipts.find(&context.topology, &checked.event)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => complain(context, &error),
        Err(late) => complain(context, &late),
    }
}

/// Sends the events that are not stored yet, in their order. After one that cannot be sent, none is sent.
async fn send(context: &Context, events: &[Checked], deadline: Instant) -> Vec<Sent> {
    let mut all = Vec::with_capacity(events.len());
    let mut is_broken = false;
    for checked in events {
        let is_new = checked.stored_at.is_none() && checked.repeats.is_none();
        let sent = if is_new && !is_broken {
            let sent = timeout_at(deadline, context.topology.send_event(&checked.raw)).await;
            // An answer that nobody waits for holds one of the client's places, which others wait for.
            Some(sent.map(|sent| sent.map(tokio::spawn)))
        } else {
            None
        };
        is_broken |= matches!(sent, Some(Err(_) | Ok(Err(_))));
        all.push(sent);
    }
    all
}

/// Waits until an event that was sent is stored, and keeps its receipt.
async fn finish(context: &Context, checked: &Checked, sent: Sent, deadline: Instant) -> Outcome {
    if let Some(sequence) = checked.stored_at {
        return Outcome::Stored { sequence, is_duplicate: true };
    }
    let stored = match sent {
        Some(Ok(Ok(answer))) => timeout_at(deadline, answer).await.ok().and_then(Result::ok),
        Some(Ok(Err(error))) => Some(Err(error)),
        Some(Err(_)) | None => None,
    };
    match stored {
        Some(Ok(sequence)) => keep(context, checked, sequence, deadline).await,
        Some(Err(error)) => Outcome::Failed(not_stored(context, checked, Some(&error))),
        None => Outcome::Failed(not_stored(context, checked, None)),
    }
}

/// Writes the receipt of an event that was stored, before its producer is answered.
async fn keep(context: &Context, checked: &Checked, sequence: u64, deadline: Instant) -> Outcome {
    let outcome = Outcome::Stored { sequence, is_duplicate: false };
    if !checked.has_receipt() {
        return outcome;
    }
    let keeping = context.receipts.keep(&context.topology, &checked.event, sequence);
    let earlier = match timeout_at(deadline, keeping).await {
        Ok(Ok(earlier)) => earlier,
        Ok(Err(error)) => complain(context, &error),
        Err(late) => complain(context, &late),
    };
    // Another request with the same id came first.
    match earlier.filter(|earlier| earlier.sequence < sequence) {
        Some(Earlier { sequence, is_same: true }) => Outcome::Stored { sequence, is_duplicate: true },
        Some(earlier) => Outcome::Failed(checked.reused(earlier)),
        None => outcome,
    }
}

fn complain<T>(context: &Context, error: &(dyn Error + 'static)) -> Option<T> {
    if let Some(events) = context.receipt_faults.count(1) {
        tracing::warn!(error, events, "receipts of producers' events cannot be read or written");
    }
    None
}

fn not_stored(context: &Context, checked: &Checked, error: Option<&PublishEventError>) -> ApiError {
    if let Some(events) = error.and_then(|_| context.event_faults.count(1)) {
        let error = error.map(|error| error as &dyn Error);
        tracing::warn!(error, events, "producers' events cannot be stored");
    }
    if error.is_some_and(PublishEventError::is_permanent) {
        let text = "the event is larger than NATS stores; send a shorter one";
        return ApiError::new(ApiCode::EventTooLarge, text);
    }
    let text = if checked.may_repeat {
        "the event is not known to be stored; send it again with the same id"
    } else {
        "the event is not known to be stored; send it again with this id as `Idempotency-Key`"
    };
    ApiError::new(ApiCode::Unavailable, text).with("id", checked.event.id.as_str())
}
