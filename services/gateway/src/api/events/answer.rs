//! What a producer is answered. Pure.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};
use tidings_model::Delivery;

use super::check::Checked;
use super::store::Outcome;
use crate::error::ApiError;

/// How many refused events of a batch are named.
const MAX_NAMED: usize = 100;

/// The answer to a request whose events were accepted.
pub(super) fn answer(events: &[Checked], outcomes: &[Outcome], is_batch: bool) -> Result<Response, ApiError> {
    let mut entries: Vec<Value> =
        events.iter().zip(outcomes).map(|(event, outcome)| entry(event, outcome)).collect();
    let failure = outcomes.iter().enumerate().find_map(|(index, outcome)| match outcome {
        Outcome::Failed(error) => Some((index, error.clone())),
        Outcome::Stored { .. } => None,
    });
    if let Some((index, error)) = failure {
        if !is_batch {
            return Err(error);
        }
        let text = format!(
            "event {index} of the batch: {error}; send the whole batch again: what is stored counts once"
        );
        return Err(error.saying(text).with("events", entries));
    }
    let answer = match entries.pop() {
        Some(event) if !is_batch => event,
        last => json!({ "events": entries.into_iter().chain(last).collect::<Vec<_>>() }),
    };
    Ok(Json(answer).into_response())
}

/// The refusal of a batch of which these events cannot be stored.
pub(super) fn refused(events: &[Result<Checked, ApiError>], is_batch: bool) -> Option<ApiError> {
    let mut errors =
        events.iter().enumerate().filter_map(|(index, event)| Some((index, event.as_ref().err()?)));
    let (first, error) = errors.next()?;
    if !is_batch {
        return Some(error.clone());
    }
    let named = std::iter::once((first, error)).chain(errors).take(MAX_NAMED).map(|(index, error)| {
        let mut members = Map::from_iter([("index".to_owned(), Value::from(index))]);
        members.extend(error.problem().own_members());
        Value::Object(members)
    });
    let named: Vec<_> = named.collect();
    let text = format!("event {first} of the batch: {error}; none of the batch is stored");
    Some(error.clone().saying(text).with("events", named))
}

/// An event of an answer; its sequence is `null` where it is not known to be stored.
fn entry(checked: &Checked, outcome: &Outcome) -> Value {
    let mut members = Map::new();
    members.insert("id".to_owned(), checked.event.id.as_str().into());
    if let Some(source) = &checked.event.source {
        members.insert("source".to_owned(), source.as_str().into());
    }
    match outcome {
        Outcome::Stored { sequence, is_duplicate } => {
            members.insert("stream".to_owned(), tidings_streams::topology::EVENTS.into());
            members.insert("sequence".to_owned(), (*sequence).into());
            members.insert("duplicate".to_owned(), (*is_duplicate).into());
            if let Some(delivery) = checked.event.delivery {
                let what = if delivery == Delivery::Never { "cancelled" } else { "scheduled" };
                members.insert(what.to_owned(), true.into());
            }
        }
        Outcome::Failed(error) => {
            members.insert("sequence".to_owned(), Value::Null);
            members.insert("code".to_owned(), error.code().as_str().into());
        }
    }
    Value::Object(members)
}
