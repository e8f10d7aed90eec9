//! Requests for the newest envelope of a key.
//!
//! A connection's requests are answered one after another, and the next one only when the client has read enough of its
//! answers: a request is a few bytes and its answer may be a hundred thousand, so requests wait and answers do not.

use std::rc::Rc;

use bytes::Bytes;
use tidings_model::EnvelopeSubject;
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::framing::{Opcode, frame};
use tidings_protocol::server::Form;
use tidings_replica::FramedEnvelope;
use tidings_session::LatestRequest;
use tidings_streams::StoredEnvelope;
use time::OffsetDateTime;

use super::Worker;
use super::connection::{Connection, MAX_PENDING, State, too_many};

impl Worker {
    /// Has a request answered when it is its turn.
    pub(super) fn enqueue_latest(&self, state: &mut State, request: LatestRequest) {
        let requests = &mut state.pending().latest;
        if requests.len() >= MAX_PENDING {
            return self.refuse(state, &too_many(MAX_PENDING, "answered").in_reply_to(request.id));
        }
        requests.push(request);
        state.wake();
    }

    /// Reads the newest envelope and sends its body. An answer is no delivery: it has no sequence, so that no client takes
    /// it for a position.
    pub(super) fn send_latest(self: &Rc<Self>, connection: &Rc<Connection>) {
        let Some(request) = next_request(connection) else { return };
        let (worker, connection) = (Rc::clone(self), Rc::clone(connection));
        self.spawn(async move {
            let LatestRequest { subjects, none, id } = request;
            let found = worker.newest(&connection, &subjects).await;
            let mut state = connection.state();
            let now = worker.now();
            match found {
                Ok(Some(found)) => {
                    let most = state.budget().tenant().max_message_bytes();
                    state.send(answer(&FramedEnvelope::new(found), most, id, now));
                }
                Ok(None) => state.refuse(&none, now),
                Err(Unknown) => {
                    let text = "the answer cannot be read now; ask again";
                    state.refuse(&ErrorMessage::new(ErrorCode::Internal, text).in_reply_to(id), now);
                }
            }
            state.pending().latest.pause();
            state.tidy();
            connection.flush_now(&mut state);
            state.wake();
        });
    }

    async fn newest(
        &self,
        connection: &Connection,
        subjects: &[EnvelopeSubject],
    ) -> Result<Option<StoredEnvelope>, Unknown> {
        let (topology, generation) = {
            let state = connection.state();
            let generation = state.shard().current(state.principal().tenant()).unwrap_or_default();
            (state.shard().replica().topology().clone(), generation)
        };
        let (mut newest, mut failed): (Option<StoredEnvelope>, _) = (None, false);
        for subject in subjects {
            match tidings_streams::newest(&topology, subject, generation).await {
                Ok(found) => {
                    newest = newest.into_iter().chain(found).max_by_key(|envelope| envelope.sequence);
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "cannot read the newest envelope for a client");
                    failed = true;
                }
            }
        }
        if newest.is_none() && failed { Err(Unknown) } else { Ok(newest) }
    }
}

/// NATS did not answer.
struct Unknown;

/// The next request, if the client has read enough of its answers.
fn next_request(connection: &Connection) -> Option<LatestRequest> {
    let mut state = connection.state();
    if state.may_send_latest() { state.pending().latest.next() } else { None }
}

/// The body as it is, or that it is too long.
fn answer(found: &FramedEnvelope, most: usize, id: Option<MessageId>, now: OffsetDateTime) -> Bytes {
    if found.is_within(Form::Plain, most) {
        return found.frame(Form::Plain).clone();
    }
    let text =
        format!("the answer of {} bytes is not sent, expected at most {most}", found.envelope().body.len());
    let error = ErrorMessage::new(ErrorCode::MessageTooLarge, text).in_reply_to(id);
    let error = error.with_detail("event_id", found.envelope().event_id.as_str());
    frame(Opcode::Text, error.to_json(now).as_bytes())
}
