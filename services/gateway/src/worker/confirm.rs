//! `subscribed` and `unsubscribed` are answered when they are true for ever: when the consumer is stored.
//!
//! A client that is confirmed a topic misses nothing on it, even if this gateway dies the moment after. What comes while
//! a save is under way is confirmed by the next one, so that a burst of requests costs two writes and not one each.

use std::rc::Rc;
use std::time::Duration;

use tidings_protocol::error::{ErrorCode, ErrorMessage, MessageId};
use tidings_protocol::server::ServerMessage;
use time::OffsetDateTime;
use tokio::time::timeout;

use super::Shard;
use super::connection::Connection;
use crate::worker::connection::state::State;

/// How long saving a consumer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A change of subscriptions that is to be confirmed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Confirmation {
    pub(crate) what: Changed,
    /// The id of the client's message.
    pub(crate) id: Option<MessageId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    Subscribed,
    Unsubscribed,
}

impl Shard {
    /// Confirms a change that the connection goes by already, when it is stored.
    pub(super) fn confirm(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        state: &mut State,
        confirmation: Confirmation,
    ) {
        let waiting = state.waiting();
        waiting.confirmations.push(confirmation);
        if !std::mem::replace(&mut waiting.is_confirming, true) {
            self.tasks.spawn_local(Rc::clone(self).confirm_all(Rc::clone(connection)));
        }
    }

    async fn confirm_all(self: Rc<Self>, connection: Rc<Connection>) {
        while let Some(confirmations) = connection.next_confirmations() {
            let consumer = connection.state().session.passport().consumer.clone();
            let saved = timeout(PATIENCE, self.shared.positions.save_in_turn(&consumer)).await;
            let is_saved = matches!(saved, Ok(Ok(())));
            if let Ok(Err(error)) = saved {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a subscription cannot be confirmed, since it cannot be stored");
            }
            let (mut state, now) = (connection.state(), (self.shared.clock)());
            for Confirmation { what, id } in confirmations {
                let answer =
                    if is_saved { confirmed(&state, what, id, now) } else { unsaved(id).to_json(now) };
                state.say_text(&answer);
            }
            connection.flush_now(&mut state);
        }
    }
}

/// With all topics of the connection, unless they are too many for one message.
fn confirmed(
    state: &State,
    what: Changed,
    original_message_id: Option<MessageId>,
    now: OffsetDateTime,
) -> String {
    let topics: &[&str] = &state.session.topics().collect::<Vec<_>>();
    let id = original_message_id.clone();
    let json = match what {
        Changed::Subscribed => ServerMessage::Subscribed { topics, original_message_id },
        Changed::Unsubscribed => ServerMessage::Unsubscribed { topics, original_message_id },
    };
    let (json, most) = (json.to_json(now), state.allowance.tenant().max_message_bytes());
    if json.len() <= most {
        return json;
    }
    let text =
        format!("it is done; the list of all topics has {} bytes, expected at most {most}", json.len());
    ErrorMessage::new(ErrorCode::MessageTooLarge, text).in_reply_to(id).to_json(now)
}

fn unsaved(id: Option<MessageId>) -> ErrorMessage {
    let text = "the change counts for this connection and cannot be stored now; ask again";
    ErrorMessage::new(ErrorCode::Unavailable, text).in_reply_to(id)
}

impl Connection {
    fn next_confirmations(&self) -> Option<Vec<Confirmation>> {
        let mut state = self.state();
        let waiting = state.waiting.as_mut()?;
        let next = std::mem::take(&mut waiting.confirmations);
        if next.is_empty() {
            waiting.is_confirming = false;
            state.tidy();
            return None;
        }
        Some(next)
    }
}
