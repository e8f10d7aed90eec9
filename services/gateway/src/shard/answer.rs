//! Answering a request with the newest envelope of a key.
//!
//! A connection's requests are looked up one after another, and the next one only when the client has read enough of what
//! it was answered: a request is a few bytes and its answer may be a hundred thousand, so that what waits are requests.

use std::rc::Rc;

use bytes::Bytes;
use tidings_model::EnvelopeSubject;
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::framing::{Opcode, frame};
use tidings_streams::StoredEnvelope;
use time::OffsetDateTime;

use super::Shard;
use super::connection::Connection;
use super::state::State;
use super::waiting::{MAX_WAITING, too_many};
use crate::framed::{Form, FramedEnvelope};

/// A request for the newest envelope on one of some subjects.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lookup {
    pub(crate) subjects: Vec<EnvelopeSubject>,
    /// What is said if there is none.
    pub(crate) nothing: String,
    /// The id of the client's message.
    pub(crate) id: Option<MessageId>,
}

impl Shard {
    /// Has the newest looked up when it is its turn.
    pub(super) fn look_up(&self, state: &mut State, lookup: Lookup) {
        let lookups = &mut state.waiting().lookups;
        if lookups.len() >= MAX_WAITING {
            return self.refuse(state, &too_many(MAX_WAITING, "answered").in_reply_to(lookup.id));
        }
        lookups.push_back(lookup);
        state.wake();
    }

    /// Looks up the newest and sends its body. An answer is no delivery: it has no sequence, so that no client takes it
    /// for a position.
    pub(super) fn answer_next(self: &Rc<Self>, connection: &Rc<Connection>) {
        let Some(lookup) = connection.next_lookup() else { return };
        let (shard, connection) = (Rc::clone(self), Rc::clone(connection));
        self.tasks.spawn_local(async move {
            let Lookup { subjects, nothing, id } = lookup;
            let found = shard.newest(&connection, &subjects).await;
            let mut state = connection.state();
            let now = (shard.shared.clock)();
            match found {
                Ok(Some(found)) => {
                    let most = state.allowance.tenant().max_message_bytes();
                    state.say(answer(&FramedEnvelope::new(found), most, id, now));
                }
                Ok(None) => {
                    state.refuse(&ErrorMessage::new(ErrorCode::NotFound, nothing).in_reply_to(id), now);
                }
                Err(Unknown) => {
                    let text = "the answer cannot be looked up now; ask again";
                    state.refuse(&ErrorMessage::new(ErrorCode::Internal, text).in_reply_to(id), now);
                }
            }
            state.waiting().is_looking_up = false;
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
        let generation = {
            let state = connection.state();
            self.generations.borrow().current(state.session.passport().tenant()).unwrap_or_default()
        };
        let (mut newest, mut failed): (Option<StoredEnvelope>, _) = (None, false);
        for subject in subjects {
            match tidings_streams::newest(&self.lane.topology, subject, generation).await {
                Ok(found) => {
                    newest = newest.into_iter().chain(found).max_by_key(|envelope| envelope.sequence);
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "cannot look up the newest envelope for a client");
                    failed = true;
                }
            }
        }
        if newest.is_none() && failed { Err(Unknown) } else { Ok(newest) }
    }
}

/// NATS did not tell.
struct Unknown;

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

impl Connection {
    /// The next request, if the client has read enough of what it was answered.
    fn next_lookup(&self) -> Option<Lookup> {
        let mut state = self.state();
        if !state.may_look_up() {
            return None;
        }
        let waiting = state.waiting();
        let next = waiting.lookups.pop_front();
        waiting.is_looking_up = next.is_some();
        next
    }
}
