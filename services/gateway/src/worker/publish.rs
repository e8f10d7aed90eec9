//! What clients say is stored as events.
//!
//! Each is first projected as the projector will do it, so that nothing is stored which would be
//! rejected later. A connection's events are stored one after another, in the order in which they were
//! said, and each is answered once JetStream has it: who is not answered says it again. The stream
//! knows each by the user and the client's own id, so that saying it again is no second event.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use tidings_catalog::{Said, project};
use tidings_model::{CloudEvent, Epoch, Position, RawEvent, headers};
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::rfc3339;
use tidings_protocol::server::ServerMessage;
use tidings_streams::consumers::ConsumerName;
use tokio::time::timeout;
use uuid::Uuid;

use super::Shard;
use super::connection::Connection;
use crate::session::refusal;
use crate::worker::connection::pending::{MAX_WAITING, too_many};
use crate::worker::connection::state::State;

/// How long JetStream may take to store an event.
const PATIENCE: Duration = Duration::from_secs(5);

/// An event that waits to be stored.
#[derive(Debug)]
pub(super) struct Publication {
    subject: String,
    event_id: String,
    /// By which the stream knows a repetition.
    stream_id: String,
    payload: Bytes,
    /// The id of the client's message.
    answers: Option<MessageId>,
}

impl Shard {
    /// Has an event stored, or says why not.
    pub(super) fn publish(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        said: &Said,
        id: Option<MessageId>,
    ) {
        let waiting = state.waiting.as_ref().map_or(0, |waiting| waiting.publications.len());
        if waiting >= MAX_WAITING {
            return self.refuse(state, &too_many(MAX_WAITING, "stored").in_reply_to(id));
        }
        let prepared = self.prepare(state, said, id.clone()).and_then(|publication| {
            let limited =
                |wait| ErrorMessage::rate_limited("the clients of this tenant publish too much", wait);
            state.allowance.tenant().publish().map_err(limited)?;
            Ok(publication)
        });
        let publication = match prepared {
            Ok(publication) => publication,
            Err(error) => return self.refuse(state, &error.in_reply_to(id)),
        };
        let waiting = state.waiting();
        waiting.publications.push_back(publication);
        if !std::mem::replace(&mut waiting.is_storing, true) {
            self.tasks.spawn_local(Rc::clone(self).store_all(Rc::clone(connection)));
        }
    }

    /// The event, if the projector will take it.
    fn prepare(
        &self,
        state: &State,
        said: &Said,
        id: Option<MessageId>,
    ) -> Result<Publication, ErrorMessage> {
        let consumer = &state.session.passport().consumer;
        let now = (self.shared.clock)();
        let message_id = id.as_ref().map_or_else(|| Uuid::now_v7().to_string(), ToString::to_string);
        let event_id = ConsumerName::event_id(&message_id);
        let event = CloudEvent {
            id: &event_id,
            source: &consumer.event_source(),
            name: &said.event,
            time: &rfc3339(now),
            subject: None,
            data: said.data.clone(),
        };
        let stream_id = consumer.publication_id(&message_id);
        let raw = RawEvent {
            subject: said.event.subject(consumer.tenant()),
            headers: vec![(headers::CONTENT_TYPE.to_owned(), CloudEvent::CONTENT_TYPE.to_owned())],
            payload: event.into_json().into(),
            position: Position { epoch: Epoch(0), sequence: 0 },
            stored_at: now,
        };
        project(&self.shared.catalogs(), &raw, self.shared.max_event_bytes)
            .map_err(|rejection| refusal(&said.objection(rejection)))?;
        Ok(Publication { subject: raw.subject, event_id, stream_id, payload: raw.payload, answers: id })
    }

    /// Stores what waits, even if the client has left meanwhile: it was taken.
    async fn store_all(self: Rc<Self>, connection: Rc<Connection>) {
        while let Some(publication) = connection.next_publication() {
            let answer = self.store(publication).await;
            let mut state = connection.state();
            state.say_text(&answer);
            connection.flush_now(&mut state);
        }
    }

    /// The answer to the client.
    async fn store(&self, publication: Publication) -> String {
        let Publication { subject, event_id, stream_id, payload, answers } = publication;
        let stored = timeout(PATIENCE, self.shared.topology.publish_event(&subject, &stream_id, payload));
        match stored.await {
            Ok(Ok(_sequence)) => {
                let published = ServerMessage::Published { id: &event_id, original_message_id: answers };
                return published.to_json((self.shared.clock)());
            }
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, event = event_id, "what a client says cannot be stored");
            }
            Err(_) => tracing::warn!(subject, event = event_id, "what a client says is not stored in time"),
        }
        let text = "the message cannot be stored now; say it again with the same `id`";
        let error = ErrorMessage::new(ErrorCode::Unavailable, text).in_reply_to(answers);
        error.to_json((self.shared.clock)())
    }
}

impl Connection {
    fn next_publication(&self) -> Option<Publication> {
        let mut state = self.state();
        let waiting = state.waiting.as_mut()?;
        let next = waiting.publications.pop_front();
        if next.is_none() {
            waiting.is_storing = false;
            state.tidy();
        }
        next
    }
}
