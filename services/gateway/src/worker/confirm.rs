//! `subscribed` and `unsubscribed` are sent when they are durable: when the consumer is stored.
//!
//! A client that is confirmed a topic misses nothing on it, even if this gateway dies the moment after. The changes that
//! come while a save is in progress are confirmed by the next one, so that a burst of requests costs two writes and not
//! one each.

use std::rc::Rc;
use std::time::Duration;

use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::server::ServerMessage;
use tidings_session::SubscriptionChange;
use time::OffsetDateTime;
use tokio::time::timeout;

use super::Worker;
use super::connection::{Connection, State};

/// How long saving a consumer may take.
const PATIENCE: Duration = Duration::from_secs(5);

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
                && let Some(subscriptions) = self.context.faults.subscriptions.count(1)
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
                let answer = match (is_saved, is_too_large) {
                    (true, _) => confirmed(&mut state, change, id, now),
                    (false, true) => too_large(id).to_json(now),
                    (false, false) => unsaved(id).to_json(now),
                };
                state.send_text(&answer);
            }
            connection.flush_now(&mut state);
        }
        connection.state().tidy();
    }
}

/// With all topics of the connection, unless they are too many for one message.
fn confirmed(
    state: &mut State,
    change: SubscriptionChange,
    original_message_id: Option<MessageId>,
    now: OffsetDateTime,
) -> String {
    let most = state.budget().tenant().max_message_bytes();
    let topics: &[&str] = &state.session().topics().collect::<Vec<_>>();
    let id = original_message_id.clone();
    let json = match change {
        SubscriptionChange::Subscribed => ServerMessage::Subscribed { topics, original_message_id },
        SubscriptionChange::Unsubscribed => ServerMessage::Unsubscribed { topics, original_message_id },
    };
    let json = json.to_json(now);
    if json.len() <= most {
        return json;
    }
    let text =
        format!("it is done; the list of all topics has {} bytes, expected at most {most}", json.len());
    ErrorMessage::new(ErrorCode::MessageTooLarge, text).in_reply_to(id).to_json(now)
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
