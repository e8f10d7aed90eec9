//! Sends a saved stream to nats-server, part by part, each of which is confirmed.
//!
//! nats-server takes everything that arrives for the content of the stream, also the header that it puts itself before what comes
//! by an import of a service. So where streams have accounts of their own, an account without any import sends the parts; the
//! streams' accounts import them as a stream of messages, which changes nothing. Confirmations go where backups are sent, which
//! administrators hear.

use std::time::Duration;

use async_nats::client::Request;
use async_nats::{Client, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::Value;
use tidings_model::json as parsed;
use tokio::time::timeout;

use super::snapshot::delivery;
use super::{BackupError, Backups, SavedStream};

/// The API prefix of accounts that do not map it.
pub(super) const UNMAPPED: &str = "$JS.API";

/// How long nats-server may take to store a part, and to complete a stream.
const PART: Duration = Duration::from_secs(60);
const COMPLETION: Duration = Duration::from_secs(600);
/// The most bytes of one part: less than any `max_payload` in use.
const LARGEST: usize = 128 * 1024;

/// A stream that is being restored.
pub struct Upload {
    way: Way,
    saved: SavedStream,
    /// Where nats-server takes parts.
    target: String,
}

/// How parts reach nats-server.
pub(super) enum Way {
    /// As requests.
    Direct {
        client: Client,
        /// Whether they may pass an import.
        is_mapped: bool,
    },
    /// From an account of its own.
    Separate { sender: Client, answers: Subscriber, reply: String },
}

impl Way {
    pub(super) async fn open(backups: &Backups, stream: &str) -> Result<Self, BackupError> {
        let client = backups.client.clone();
        let Some(sender) = backups.sender.clone() else {
            let is_mapped = backups.settings.api_prefix != UNMAPPED;
            return Ok(Self::Direct { client, is_mapped });
        };
        let failed = |error: async_nats::Error| BackupError::failed("restore", stream, error);
        let reply = delivery(&client, stream);
        let answers = client.subscribe(reply.clone()).await.map_err(|error| failed(error.into()))?;
        client.flush().await.map_err(|error| failed(error.into()))?;
        Ok(Self::Separate { sender, answers, reply })
    }

    /// Sends a part, and returns what nats-server answers.
    async fn send(
        &mut self,
        target: &str,
        part: Bytes,
        patience: Duration,
    ) -> Result<Bytes, async_nats::Error> {
        match self {
            Self::Direct { client, .. } => {
                let request = Request::new().payload(part).timeout(Some(patience));
                let answered = timeout(patience, client.send_request(target.to_owned(), request)).await;
                Ok(answered??.payload)
            }
            Self::Separate { sender, answers, reply } => {
                sender.publish_with_reply(target.to_owned(), reply.clone(), part).await?;
                let answer = timeout(patience, answers.next()).await?;
                Ok(answer.ok_or("the connection to NATS has ended")?.payload)
            }
        }
    }

    /// What may be wrong if nats-server does not take what is sent.
    fn hint(&self) -> &'static str {
        match self {
            Self::Direct { is_mapped: true, .. } => {
                "; where streams have accounts of their own, it takes parts from the account RESTORE alone: give its \
                 credentials, --restore-credentials"
            }
            Self::Direct { is_mapped: false, .. } | Self::Separate { .. } => "",
        }
    }
}

impl Upload {
    pub(super) fn new(way: Way, saved: &SavedStream, target: String) -> Self {
        Self { way, saved: saved.clone(), target }
    }

    /// Sends the next part.
    pub async fn send(&mut self, part: &[u8]) -> Result<(), BackupError> {
        for part in part.chunks(LARGEST) {
            let answer = self.request(Bytes::copy_from_slice(part), PART).await?;
            self.check(&answer)?;
        }
        Ok(())
    }

    /// Completes the stream. Fails if nats-server says that it is not whole.
    pub async fn finish(mut self) -> Result<(), BackupError> {
        let answer = self.request(Bytes::new(), COMPLETION).await?;
        let answer = self.check(&answer)?;
        let last = answer["state"]["last_seq"].as_u64();
        // Of what was saved, some may have expired; of what is scheduled, some may be due.
        if last.is_none_or(|last| last < self.saved.end().sequence) {
            let expected = self.saved.end().sequence;
            let reason = format_args!("it ends at {last:?}, expected {expected}{}", self.way.hint());
            return Err(BackupError::interrupted("restored", self.saved.name(), reason));
        }
        Ok(())
    }

    async fn request(&mut self, part: Bytes, patience: Duration) -> Result<Bytes, BackupError> {
        let answered = self.way.send(&self.target, part, patience).await;
        answered.map_err(|error| {
            let (stream, hint) = (self.saved.name(), self.way.hint());
            if hint.is_empty() {
                return BackupError::failed("restore", stream, error);
            }
            BackupError::interrupted("restored", stream, format_args!("{error}{hint}"))
        })
    }

    fn check(&self, answer: &[u8]) -> Result<Value, BackupError> {
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        let answer = parsed::parse(answer).unwrap_or_default();
        match &answer["error"]["description"] {
            Value::Null => Ok(answer),
            reason => {
                let reason = format_args!("{reason}{}", self.way.hint());
                Err(BackupError::interrupted("restored", self.saved.name(), reason))
            }
        }
    }
}
