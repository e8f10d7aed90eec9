//! The wire format of fast ingest (NATS ADR-50): messages of a batch, and what NATS answers.
//!
//! The messages of a batch are numbered from 1. The reply subject of each says its batch and number, and how many
//! messages one answer may cover. All answers arrive at one subscription; those of former batches are skipped. No
//! answer is relied upon to arrive: where the stream is in another account, only one may arrive for each message.

use async_nats::client::PublishError;
use async_nats::jetstream;
use async_nats::{Client, HeaderMap, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Deserialize;
use tidings_model::json;

/// What NATS says of a batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// All messages up to this number are stored.
    Stored {
        /// The number.
        through: u64,
    },
    /// The batch has ended.
    Ended {
        /// How many of its messages are stored, which are the first ones.
        count: u64,
        /// The sequence of the last of them.
        sequence: u64,
    },
    /// A message was lost before it reached the stream's leader, which takes no more of this batch.
    Lost,
    /// The message with this number is refused, and so are all after it.
    Refused {
        /// The number.
        number: u64,
        /// The reason.
        error: jetstream::Error,
    },
    /// No server takes messages for the stream now.
    NoResponder,
}

/// Sends batches, one after the other, and receives the answers.
pub(crate) struct FastIngest {
    client: Client,
    inbox: String,
    answers: Subscriber,
    /// The number of the current batch.
    batch: u64,
    /// How many of its messages one answer covers at most.
    flow: usize,
}

impl FastIngest {
    pub(crate) async fn open(client: Client) -> Result<Self, async_nats::SubscribeError> {
        let inbox = client.new_inbox();
        let answers = client.subscribe(format!("{inbox}.>")).await?;
        Ok(Self { client, inbox, answers, batch: 0, flow: 1 })
    }

    /// Begins another batch, of which one answer covers at most so many messages.
    pub(crate) fn begin(&mut self, flow: usize) {
        (self.batch, self.flow) = (self.batch + 1, flow);
    }

    /// Whether each message is answered for itself.
    pub(crate) fn answers_each(&self) -> bool {
        self.flow == 1
    }

    /// Sends the message with this number.
    pub(crate) async fn send(
        &self,
        number: u64,
        subject: String,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(), PublishError> {
        let operation = if number == 1 { Operation::Start } else { Operation::Append };
        let reply = self.reply(number, operation);
        self.client.publish_with_reply_and_headers(subject, reply, headers, body).await
    }

    /// Sends the message with this number, and ends the batch behind it.
    pub(crate) async fn send_last(
        &self,
        number: u64,
        subject: String,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(), PublishError> {
        let reply = self.reply(number, Operation::Commit);
        self.client.publish_with_reply_and_headers(subject, reply, headers, body).await
    }

    /// Ends the batch before this number, and asks how much of it is stored. Nothing is stored on the subject, which
    /// must be one of the stream's.
    pub(crate) async fn end(&self, number: u64, subject: String) -> Result<(), PublishError> {
        self.client.publish_with_reply(subject, self.reply(number, Operation::End), Bytes::new()).await
    }

    /// The next answer to the current batch; `None` when the client has ended. Cancel-safe.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        loop {
            let message = self.answers.next().await?;
            let Some((batch, number)) = numbered(&message.subject) else { continue };
            if batch == self.batch_id()
                && let Some(answer) = read(&message, number)
            {
                return Some(answer);
            }
        }
    }

    /// Unique, as the inbox is.
    fn batch_id(&self) -> String {
        let unique = self.inbox.rsplit('.').next().unwrap_or_default();
        format!("{unique}-{}", self.batch)
    }

    fn reply(&self, number: u64, operation: Operation) -> String {
        let (inbox, batch, flow) = (&self.inbox, self.batch_id(), self.flow);
        format!("{inbox}.{batch}.{flow}.fail.{number}.{}.$FI", operation as u8)
    }
}

/// What a message asks for. NATS counts on from 0.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Start = 0,
    Append = 1,
    Commit = 2,
    End = 3,
}

/// The batch and the number in a reply subject.
fn numbered(subject: &str) -> Option<(&str, u64)> {
    let mut tokens = subject.rsplit('.');
    let (_suffix, _operation, number) = (tokens.next()?, tokens.next()?, tokens.next()?);
    let (_gaps, _flow, batch) = (tokens.next()?, tokens.next()?, tokens.next()?);
    Some((batch, number.parse().ok()?))
}

/// The JSON of all answers.
#[derive(Deserialize)]
struct Reply {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    count: u64,
    error: Option<jetstream::Error>,
}

/// The answer to the message with this number; `None` if it is none that is known.
fn read(message: &Message, number: u64) -> Option<Answer> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Some(Answer::NoResponder);
    }
    let reply: Reply = json::read(&message.payload).ok()?;
    Some(match (reply.kind.as_deref(), reply.error) {
        (Some("ack"), _) => Answer::Stored { through: reply.seq },
        (Some("gap"), _) => Answer::Lost,
        (Some("err"), Some(error)) => Answer::Refused { number: reply.seq, error },
        (None, Some(error)) => Answer::Refused { number, error },
        (None, None) => Answer::Ended { count: reply.count, sequence: reply.seq },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let answer = |payload: &str| {
            let payload = Bytes::from(payload.to_owned());
            let (length, subject) = (payload.len(), "_INBOX.a.a-1.64.fail.7.1.$FI".into());
            let (reply, headers, status, description) = (None, None, None, None);
            read(&Message { subject, reply, payload, headers, status, description, length }, 7)
        };
        assert_eq!(answer(r#"{"type":"ack","seq":128,"msgs":64}"#), Some(Answer::Stored { through: 128 }));
        assert_eq!(answer(r#"{"type":"gap","last_seq":5,"seq":7}"#), Some(Answer::Lost));
        let ended = r#"{"stream":"ENVELOPES","seq":42,"batch":"a-1","count":6}"#;
        assert_eq!(answer(ended), Some(Answer::Ended { count: 6, sequence: 42 }));
        let error = r#"{"code":400,"err_code":10071,"description":"wrong last sequence: 9"}"#;
        let refused = |number| {
            let error = json::read(error.as_bytes()).unwrap();
            Some(Answer::Refused { number, error })
        };
        assert_eq!(answer(&format!(r#"{{"type":"err","seq":3,"error":{error}}}"#)), refused(3));
        assert_eq!(answer(&format!(r#"{{"stream":"ENVELOPES","seq":0,"error":{error}}}"#)), refused(7));
        for unknown in ["", "x", "[]", r#"{"type":"pong","seq":1}"#, r#"{"type":"err","seq":1}"#] {
            assert_eq!(answer(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_reply_subject_says_batch_and_number() {
        assert_eq!(numbered("_INBOX.a.a-3.64.fail.17.1.$FI"), Some(("a-3", 17)));
        for wrong in ["", "$FI", "1.$FI", "64.fail.17.1.$FI", "a.64.fail.x.1.$FI"] {
            assert_eq!(numbered(wrong), None, "{wrong}");
        }
    }
}
