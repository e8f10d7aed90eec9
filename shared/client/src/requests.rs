//! What the application asks of the gateway: a future for each answer, and a bound for what waits.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::error::RequestError;
use crate::settings::Filters;

/// Asks through a [`crate::Client`], which sends and receives while it is asked for what happens next: so these futures are
/// awaited in another task, or beside [`crate::Client::next`].
///
/// Each takes a time within which its answer must come, and waits for a connection within it. What was not answered when a
/// connection ended is sent again on the next, with the same id. What is not awaited any more is not sent any more.
#[derive(Debug, Clone)]
pub struct Requests {
    sender: mpsc::Sender<Request>,
}

/// What a request is for.
#[derive(Debug, PartialEq)]
pub(crate) enum Purpose {
    Publish,
    Subscribe { topic: String, filters: Filters },
    Unsubscribe { topic: String },
    Ask,
}

/// A message to send, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) purpose: Purpose,
    pub(crate) id: Value,
    pub(crate) text: String,
    pub(crate) answer: oneshot::Sender<Result<String, RequestError>>,
    /// When nobody waits any longer.
    pub(crate) deadline: Option<Instant>,
}

impl Requests {
    pub(crate) fn new(most: usize) -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(most.max(1));
        (Self { sender }, receiver)
    }

    /// Publishes a message as the tenant's catalog permits it, such as `{"action":"broadcast","data":{…}}`, and returns the
    /// id of its event when that is stored. Publications are stored in their order. An `id` that the message has counts once
    /// for its user; otherwise it is given one. After [`RequestError::Late`] it may be stored or not: publish it again with the
    /// same `id`.
    pub async fn publish(
        &self,
        message: Map<String, Value>,
        within: Duration,
    ) -> Result<String, RequestError> {
        let answer = self.send(Purpose::Publish, message, within).await?;
        let answer = tidings_model::json::parse(answer.as_bytes()).unwrap_or_default();
        Ok(answer.get("id").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Asks for what the tenant's catalog answers, such as `{"action":"progress","docId":"d1"}`, and returns the message. Any
    /// other message that the gateway answers may be sent as well, and its answer is returned. Several are under way at a time, so
    /// they have no order.
    pub async fn ask(&self, message: Map<String, Value>, within: Duration) -> Result<String, RequestError> {
        self.send(Purpose::Ask, message, within).await
    }

    /// Subscribes to a topic, with the filters in place of those that it had; from then on, each further connection does so,
    /// too. After an error each does what it did before.
    pub async fn subscribe(
        &self,
        topic: impl Into<String>,
        filters: BTreeMap<String, Vec<String>>,
        within: Duration,
    ) -> Result<(), RequestError> {
        let topic = topic.into();
        let message = topics("subscribe", json!({ "topics": [topic], "filters": filters }));
        self.send(Purpose::Subscribe { topic, filters }, message, within).await.map(drop)
    }

    /// Ends the subscription to a topic.
    pub async fn unsubscribe(&self, topic: impl Into<String>, within: Duration) -> Result<(), RequestError> {
        let topic = topic.into();
        let message = topics("unsubscribe", json!({ "topics": [topic] }));
        self.send(Purpose::Unsubscribe { topic }, message, within).await.map(drop)
    }

    async fn send(
        &self,
        purpose: Purpose,
        message: Map<String, Value>,
        within: Duration,
    ) -> Result<String, RequestError> {
        let deadline = Instant::now().checked_add(within);
        let given = message.get("id").filter(|id| id.is_string() || id.is_number()).cloned();
        let id = given.unwrap_or_else(|| Uuid::now_v7().to_string().into());
        // In front: of a message that is too long the gateway reads the beginning, so that its refusal has the id.
        let mut numbered = Map::from_iter([("id".to_owned(), id.clone())]);
        numbered.extend(message.into_iter().filter(|(name, _)| name != "id"));
        let (answer, answered) = oneshot::channel();
        let text = Value::Object(numbered).to_string();
        let request = Request { purpose, id, text, answer, deadline };
        let answered = async {
            self.sender.send(request).await.map_err(|_| RequestError::Ended)?;
            answered.await.map_err(|_| RequestError::Ended)?
        };
        match deadline {
            Some(deadline) => timeout_at(deadline, answered).await.unwrap_or(Err(RequestError::Late)),
            None => answered.await,
        }
    }
}

fn topics(action: &str, members: Value) -> Map<String, Value> {
    let mut message = Map::from_iter([("action".to_owned(), action.into())]);
    if let Value::Object(members) = members {
        message.extend(members);
    }
    message
}
