//! Publishing: clients' messages are stored as events.
//!
//! Each event is first projected as the projector will do it, so that no event is stored that would be rejected later. A
//! connection's events are stored one after another, in the order in which they were sent, and each is answered once
//! JetStream has it: a client without an answer sends the message again. Clients' events have subjects of their own, on
//! which producers may not publish. There the projector recognizes a repetition by the user and the client's own id; so a
//! message that is sent again does not become a second event, and no producer's event can take its place.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tidings_catalog::{ClientPublish, project};
use tidings_model::{CloudEvent, Epoch, Position, RawEvent, headers};
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::rfc3339;
use tidings_protocol::server::ServerMessage;
use tidings_session::publish_error;
use tidings_streams::consumers::ConsumerName;
use tokio::time::timeout;
use uuid::Uuid;

use super::Worker;
use super::connection::{Connection, MAX_PENDING, State, too_many};

/// How long JetStream may take to store an event.
const PATIENCE: Duration = Duration::from_secs(5);

/// An event to store.
struct Event {
    id: String,
    subject: String,
    /// By which the projector recognizes a repetition.
    stream_id: String,
    payload: Bytes,
}

impl Worker {
    /// Has an event stored, or answers why not.
    pub(super) fn publish(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        said: &ClientPublish,
        id: Option<MessageId>,
    ) {
        let waiting = state.pending().publishes.len();
        state.tidy();
        if waiting >= MAX_PENDING {
            return self.refuse(state, &too_many(MAX_PENDING, "stored").in_reply_to(id));
        }
        let prepared = self.prepare(state, said, id.as_ref()).and_then(|event| {
            let limited =
                |wait| ErrorMessage::rate_limited("the clients of this tenant publish too much", wait);
            state.budget().tenant().publish().map_err(limited)?;
            Ok(event)
        });
        let event = match prepared {
            Ok(event) => event,
            Err(error) => return self.refuse(state, &error.in_reply_to(id)),
        };
        let (worker, publishes) = (Rc::clone(self), &mut state.pending().publishes);
        publishes.push(async move { worker.store(event, id).await }.boxed_local());
        if publishes.start() {
            self.spawn(store_all(Rc::clone(connection)));
        }
    }

    /// The event, if the projector will accept it.
    fn prepare(
        &self,
        state: &State,
        message: &ClientPublish,
        id: Option<&MessageId>,
    ) -> Result<Event, ErrorMessage> {
        let consumer = &state.principal().consumer;
        let now = self.now();
        let message_id = id.map_or_else(|| Uuid::now_v7().to_string(), ToString::to_string);
        let event_id = ConsumerName::event_id(&message_id);
        let event = CloudEvent {
            id: &event_id,
            source: &consumer.event_source(),
            name: &message.event,
            time: &rfc3339(now),
            subject: None,
            data: message.data.clone(),
        };
        let stream_id = consumer.publication_id(&message_id);
        let raw = RawEvent {
            subject: message.event.client_subject(consumer.tenant()),
            headers: vec![(headers::CONTENT_TYPE.to_owned(), CloudEvent::CONTENT_TYPE.to_owned())],
            payload: event.into_json().into(),
            position: Position { epoch: Epoch(0), sequence: 0 },
            stored_at: now,
        };
        let catalogs = Arc::clone(&self.context.catalogs.borrow());
        project(&catalogs, &raw, self.context.max_event_bytes)
            .map_err(|rejection| publish_error(&message.refusal(rejection)))?;
        Ok(Event { id: event_id, subject: raw.subject, stream_id, payload: raw.payload })
    }

    /// Stores an event; the answer to the client.
    async fn store(&self, event: Event, answers: Option<MessageId>) -> String {
        let Event { id, subject, stream_id, payload } = event;
        let stored = timeout(PATIENCE, self.context.topology.publish_event(&subject, &stream_id, payload));
        match stored.await {
            Ok(Ok(_sequence)) => {
                let published = ServerMessage::Published { id: &id, original_message_id: answers };
                return published.to_json(self.now());
            }
            Ok(Err(error)) if error.is_permanent() => {
                self.complain(&error);
                let text =
                    "the event that the message becomes is larger than can be stored; send a shorter one";
                let error = ErrorMessage::new(ErrorCode::MessageTooLarge, text).in_reply_to(answers);
                return error.to_json(self.now());
            }
            Ok(Err(error)) => self.complain(&error),
            Err(late) => self.complain(&late),
        }
        let text = "the message cannot be stored now; send it again with the same `id`";
        let error = ErrorMessage::new(ErrorCode::Unavailable, text).in_reply_to(answers);
        error.to_json(self.now())
    }

    fn complain(&self, error: &(dyn std::error::Error + 'static)) {
        if let Some(events) = self.context.faults.publishes.count(1) {
            tracing::warn!(error, events, "clients' events cannot be stored");
        }
    }
}

/// Stores a connection's pending events, even if it has ended meanwhile: they were accepted.
async fn store_all(connection: Rc<Connection>) {
    loop {
        let next = connection.state().pending().publishes.next();
        let Some(storing) = next else { break };
        let answer = storing.await;
        let mut state = connection.state();
        state.send_text(&answer);
        connection.flush_now(&mut state);
    }
    connection.state().tidy();
}
