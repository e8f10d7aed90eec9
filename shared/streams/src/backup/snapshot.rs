//! A stream as it was at one moment, sent by nats-server in chunks, of which few are under way at a time.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::response::Response;
use async_nats::{Client, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidings_model::Position;
use tokio::time::timeout;

use super::{BackupError, shard_of};
use crate::nats::{connects, epoch_of};

/// Where nats-server sends the chunks: a subject that the accounts of streams export.
const DELIVERY: &str = "tidings.backup";
/// How large a chunk is, and how much is under way before one is confirmed.
const CHUNK: usize = 128 * 1024;
const WINDOW: usize = 4 * 1024 * 1024;
/// How long the next chunk may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A subject for what nats-server sends of this stream, or answers.
pub(super) fn delivery(client: &Client, stream: &str) -> String {
    let inbox = client.new_inbox();
    format!("{DELIVERY}.{stream}.{}", inbox.rsplit('.').next().unwrap_or_default())
}

/// A stream in a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedStream {
    name: String,
    /// Its end, in its epoch.
    end: Position,
    messages: u64,
    /// As nats-server wants them back.
    config: Value,
    state: Value,
}

impl SavedStream {
    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has the envelopes of a shard.
    #[must_use]
    pub fn has_envelopes(&self) -> bool {
        shard_of(&self.name).is_some()
    }

    /// Where it ended.
    #[must_use]
    pub fn end(&self) -> Position {
        self.end
    }

    /// How many messages it had.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    pub(super) fn config(&self) -> &Value {
        &self.config
    }

    pub(super) fn state(&self) -> &Value {
        &self.state
    }
}

/// A stream that is being sent.
pub struct Snapshot {
    client: Client,
    context: Context,
    saved: SavedStream,
    chunks: Subscriber,
    /// The number of the last chunk.
    last: u64,
    connects: u64,
}

impl Snapshot {
    pub(super) async fn open(
        client: &Client,
        context: &Context,
        stream: &str,
        has_consumers: bool,
    ) -> Result<Self, BackupError> {
        let failed = |error: async_nats::Error| BackupError::failed("save", stream, error);
        let connects = connects(client);
        let info = context.get_stream(stream).await.map_err(|error| failed(error.into()))?;
        let epoch = epoch_of(info.cached_info());
        let deliver = delivery(client, stream);
        let chunks = client.subscribe(deliver.clone()).await.map_err(|error| failed(error.into()))?;
        client.flush().await.map_err(|error| failed(error.into()))?;
        let wanted = json!({
            "deliver_subject": deliver,
            "no_consumers": !has_consumers,
            "chunk_size": CHUNK,
            "window_size": WINDOW,
        });
        let answer = context.request(format!("STREAM.SNAPSHOT.{stream}"), &wanted).await;
        let mut answer: Value = match answer.map_err(|error| failed(error.into()))? {
            Response::Ok(answer) => answer,
            Response::Err { error } => return Err(BackupError::refused("save", stream, error)),
        };
        let (config, state) = (answer["config"].take(), answer["state"].take());
        let number = |name: &str| state[name].as_u64();
        let (Some(last), Some(messages)) = (number("last_seq"), number("messages")) else {
            return Err(BackupError::interrupted("sent", stream, "nats-server did not say where it ends"));
        };
        let end = Position { epoch, sequence: last };
        let saved = SavedStream { name: stream.to_owned(), end, messages, config, state };
        let (client, context) = (client.clone(), context.clone());
        Ok(Self { client, context, saved, chunks, last: 0, connects })
    }

    /// The next chunk; `None` after the last, when nothing is missing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BackupError> {
        let chunk = timeout(PATIENCE, self.chunks.next()).await;
        let chunk = chunk.map_err(|_| self.broken(format_args!("nothing came for {PATIENCE:?}")))?;
        let chunk = chunk.ok_or_else(|| self.broken("the connection to NATS has ended"))?;
        if chunk.payload.is_empty() {
            return self.ended(&chunk).await;
        }
        if let Some(reply) = &chunk.reply {
            let number = reply.rsplit('.').next().and_then(|number| number.parse().ok());
            if number != Some(self.last + 1) {
                return Err(self.broken("a part of it was lost on the way"));
            }
            self.last += 1;
            let confirmed = self.client.publish(reply.clone(), Bytes::new()).await;
            confirmed.map_err(|error| BackupError::failed("save", &self.saved.name, error))?;
        }
        Ok(Some(chunk.payload))
    }

    /// The stream, as it was saved.
    #[must_use]
    pub fn saved(&self) -> &SavedStream {
        &self.saved
    }

    async fn ended(&self, last: &Message) -> Result<Option<Bytes>, BackupError> {
        if last.status.is_some_and(|status| !status.is_success()) {
            return Err(self.broken(last.description.as_deref().unwrap_or("nats-server gave no reason")));
        }
        // What came last has no number.
        if connects(&self.client) != self.connects {
            return Err(self.broken("the connection to NATS was lost meanwhile"));
        }
        let stream = &self.saved.name;
        let now = self.context.get_stream(stream).await;
        let now = now.map_err(|error| BackupError::failed("save", stream, error))?;
        if epoch_of(now.cached_info()) != self.saved.end.epoch {
            return Err(BackupError::Recreated { stream: stream.clone() });
        }
        Ok(None)
    }

    fn broken(&self, reason: impl std::fmt::Display) -> BackupError {
        BackupError::interrupted("sent", &self.saved.name, reason)
    }
}
