//! Requests whose answers take a while: each kind of a connection's requests is answered one after the other by one task.
//!
//! - `subscribed` and `unsubscribed` are sent when they are durable: when the consumer is stored. A client that is confirmed
//!   a topic misses nothing on it, even if this gateway dies the moment after. The changes that come while a save is in
//!   progress are confirmed by the next one, so that a burst of requests costs two writes and not one each.
//! - Clients' messages are stored as events. Each event is first projected as the projector will do it, so that no event is
//!   stored that would be rejected later. They are stored in the order in which they were sent, and each is answered once
//!   JetStream has it: a client without an answer sends the message again. Clients' events have subjects of their own, on
//!   which producers may not publish. There the projector recognizes a repetition by the user and the client's own id; so a
//!   message that is sent again does not become a second event, and no producer's event can take its place.
//! - The newest envelope of a key is read when the client has read enough of its answers: a request is a few bytes and its
//!   answer may be a hundred thousand, so requests wait and answers do not.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use tidings_catalog::{ClientPublish, project};
use tidings_model::{CloudEvent, EnvelopeSubject, Epoch, Position, RawEvent, headers, rfc3339};
use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::framing;
use tidings_protocol::server::{Form, ServerMessage};
use tidings_replica::FramedEnvelope;
use tidings_session::{LatestRequest, SubscriptionChange, publish_error};
use tidings_streams::StoredEnvelope;
use tidings_streams::consumers::ConsumerName;
use time::OffsetDateTime;
use tokio::time::timeout;
use uuid::Uuid;

use super::Worker;
use super::connection::{Connection, MAX_PENDING, State, too_many};
use super::figures::Counted;

/// How long saving a consumer, or storing an event, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Subscriptions.
impl Worker {
    /// Confirms a change, which already counts for the connection, when it is stored.
    pub(super) fn confirm(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        change: SubscriptionChange,
        id: Option<MessageId>,
    ) {
        let confirmations = &mut state.pending().confirmations;
        confirmations.push((change, id));
        if confirmations.start() {
            self.spawn(Rc::clone(self).confirm_all(Rc::clone(connection)));
        }
    }

    async fn confirm_all(self: Rc<Self>, connection: Rc<Connection>) {
        loop {
            let confirmations = connection.state().pending().confirmations.take_all();
            if confirmations.is_empty() {
                break;
            }
            let consumer = connection.state().principal().consumer.clone();
            let saved = timeout(PATIENCE, self.context.consumers.save_in_turn(&consumer)).await;
            let is_saved = matches!(saved, Ok(Ok(())));
            let is_too_large = matches!(&saved, Ok(Err(error)) if error.is_permanent());
            if let Ok(Err(error)) = saved
                && let Some(subscriptions) = self.shared.failed_subscriptions.count(1)
            {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    subscriptions,
                    "subscriptions cannot be confirmed, since they cannot be stored"
                );
            }
            let (mut state, now) = (connection.state(), self.now());
            for (change, id) in confirmations {
                match (is_saved, is_too_large) {
                    (true, _) => match confirmed(&mut state, change, id, now) {
                        Ok(answer) => state.send_text(&answer),
                        Err(error) => state.refuse(&error, now),
                    },
                    (false, true) => state.refuse(&too_large(id), now),
                    (false, false) => state.refuse(&unsaved(id), now),
                }
            }
            connection.flush_now(&mut state);
        }
        rest(&connection);
    }
}

/// The connection's requests of a kind are answered. A page may have waited for that.
fn rest(connection: &Connection) {
    let state = &mut *connection.state();
    state.tidy();
    connection.flush_now(state);
}

/// With all topics of the connection, unless they are too many for one message.
fn confirmed(
    state: &mut State,
    change: SubscriptionChange,
    original_message_id: Option<MessageId>,
    now: OffsetDateTime,
) -> Result<String, ErrorMessage> {
    let most = state.budget().max_message_bytes();
    let topics: &[&str] = &state.session().topics().collect::<Vec<_>>();
    let id = original_message_id.clone();
    let json = match change {
        SubscriptionChange::Subscribed => ServerMessage::Subscribed { topics, original_message_id },
        SubscriptionChange::Unsubscribed => ServerMessage::Unsubscribed { topics, original_message_id },
    };
    let json = json.to_json(now);
    if json.len() <= most {
        return Ok(json);
    }
    let text =
        format!("it is done; the list of all topics has {} bytes, expected at most {most}", json.len());
    Err(ErrorMessage::new(ErrorCode::MessageTooLarge, text).in_reply_to(id))
}

fn too_large(id: Option<MessageId>) -> ErrorMessage {
    let text = "the change counts for this connection alone: all subscriptions and filters of the device together are \
                larger than can be stored; ask for less";
    ErrorMessage::new(ErrorCode::TooManyFilters, text).in_reply_to(id)
}

fn unsaved(id: Option<MessageId>) -> ErrorMessage {
    let text = "the change counts for this connection and cannot be stored now; ask again";
    ErrorMessage::new(ErrorCode::Unavailable, text).in_reply_to(id)
}

/// An event to store.
struct Event {
    id: String,
    subject: String,
    /// By which the projector recognizes a repetition.
    stream_id: String,
    payload: Bytes,
}

/// Publishing.
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
            state.budget().publish().map_err(limited)?;
            Ok(event)
        });
        let event = match prepared {
            Ok(event) => event,
            Err(error) => return self.refuse(state, &error.in_reply_to(id)),
        };
        let (worker, publishes) = (Rc::clone(self), &mut state.pending().publishes);
        let storing = async move {
            worker.store(event, id).await.unwrap_or_else(|error| {
                worker.figures.count(Counted::Error(error.code()), 1);
                error.to_json(worker.now())
            })
        };
        publishes.push(storing.boxed_local());
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
            deliver_at: None,
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
    async fn store(&self, event: Event, answers: Option<MessageId>) -> Result<String, ErrorMessage> {
        let Event { id, subject, stream_id, payload } = event;
        let stored = timeout(PATIENCE, self.context.topology.publish_event(&subject, &stream_id, payload));
        match stored.await {
            Ok(Ok(_sequence)) => {
                let published = ServerMessage::Published { id: &id, original_message_id: answers };
                return Ok(published.to_json(self.now()));
            }
            Ok(Err(error)) if error.is_permanent() => {
                self.complain(&error);
                let text =
                    "the event that the message becomes is larger than can be stored; send a shorter one";
                return Err(ErrorMessage::new(ErrorCode::MessageTooLarge, text).in_reply_to(answers));
            }
            Ok(Err(error)) => self.complain(&error),
            Err(late) => self.complain(&late),
        }
        let text = "the message cannot be stored now; send it again with the same `id`";
        Err(ErrorMessage::new(ErrorCode::Unavailable, text).in_reply_to(answers))
    }

    fn complain(&self, error: &(dyn std::error::Error + 'static)) {
        if let Some(events) = self.shared.failed_publishes.count(1) {
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
    rest(&connection);
}

/// The newest envelope of a key.
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
                    let most = state.budget().max_message_bytes();
                    match answer(&FramedEnvelope::new(found), most, id) {
                        Ok(frame) => state.send(frame),
                        Err(error) => state.refuse(&error, now),
                    }
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

/// The body, with the id of the request if that has one; or that it is too long.
fn answer(found: &FramedEnvelope, most: usize, id: Option<MessageId>) -> Result<Bytes, ErrorMessage> {
    let body = &found.envelope().body;
    // What another writer than the projector has put there may be no object, and is passed on as it is.
    let answer = id.as_ref().and_then(|id| framing::text_with_answered(id, body).ok());
    let answer = answer.unwrap_or_else(|| found.frame(Form::Plain).clone());
    let bytes = framing::payload(&answer).len();
    if bytes <= most {
        return Ok(answer);
    }
    let text = format!("the answer of {bytes} bytes is not sent, expected at most {most}");
    let error = ErrorMessage::new(ErrorCode::MessageTooLarge, text).in_reply_to(id);
    Err(error.with_detail("event_id", found.envelope().event_id.as_str()))
}
