//! A nats-server with the streams, and writes as producers and projectors make them.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::State;
use harness::{BOUND, Nats, Saved, eventually};
use tidings_model::{Class, Envelope};
use tidings_streams::{EnvelopeWriter, Outgoing, Topology, topology::Settings};
use time::OffsetDateTime;

pub(crate) use crate::envelope::envelope;

/// Longer than any working operation takes, shorter than a redelivery.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn settings() -> Settings {
    let day = Duration::from_secs(24 * 60 * 60);
    // The shortest window, so that the server's deduplication hides nothing.
    Settings::on_one_server(day, Duration::from_millis(100))
}

pub(crate) struct Scene {
    pub(crate) nats: Nats,
    pub(crate) context: jetstream::Context,
    pub(crate) topology: Topology,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let nats = harness::nats().await;
        let client = nats.client().await;
        let topology = Topology::ensure(&client, &settings()).await.unwrap();
        Self { context: jetstream::new(client), topology, nats }
    }

    /// The streams over another connection.
    pub(crate) async fn other_topology(&self) -> Topology {
        Topology::ensure(&self.nats.client().await, &settings()).await.unwrap()
    }

    /// Publishes events with these numbers as payloads.
    pub(crate) async fn publish(&self, numbers: impl IntoIterator<Item = u64>) {
        for n in numbers {
            let sent = self.context.publish("events.t.note.added", n.to_string().into()).await.unwrap();
            sent.await.unwrap();
        }
    }

    pub(crate) async fn stream(&self, name: &str) -> jetstream::stream::Stream {
        self.context.get_stream(name).await.unwrap()
    }

    pub(crate) async fn state(&self, name: &str) -> State {
        self.stream(name).await.cached_info().state.clone()
    }

    /// Kills the server, restarts it, and waits until this scene has reconnected.
    pub(crate) async fn crash(&mut self) {
        self.nats.kill().await.unwrap();
        self.restart().await;
    }

    /// Restarts the server, and waits until this scene has reconnected.
    pub(crate) async fn restart(&mut self) {
        self.nats.restart().await.unwrap();
        self.is_back().await;
    }

    /// Saves parts of the store, and waits until this scene has reconnected.
    pub(crate) async fn save(&mut self, parts: &[&str]) -> Saved {
        let saved = self.nats.save(parts).await;
        self.is_back().await;
        saved
    }

    /// Restarts the server with the saved store.
    pub(crate) async fn bring_back(&mut self, saved: Saved) {
        self.nats.bring_back(saved).await;
        self.is_back().await;
    }

    async fn is_back(&self) {
        eventually("NATS answers", BOUND, async || {
            let asked = tokio::time::timeout(Duration::from_secs(1), self.context.get_stream("EVENTS"));
            asked.await.map_err(|_| "silence".to_owned())?.map_err(|error| error.to_string())
        })
        .await;
    }

    /// The last message of a stream.
    pub(crate) async fn last(&self, stream: &str) -> StreamMessage {
        self.stream(stream).await.get_last_raw_message_by_subject(">").await.unwrap()
    }

    /// Stores a scheduled message as due, as nats-server does: what lies where it has waited is purged, even if that was stored
    /// after the server had read the message.
    pub(crate) async fn store_as_due(&self, waiting: &StreamMessage) {
        let header = |name: &str| waiting.headers.get(name).map(|value| value.as_str().to_owned());
        let mut headers = HeaderMap::new();
        for (name, values) in waiting.headers.iter() {
            if !name.to_string().starts_with("Nats-") {
                for value in values {
                    headers.append(name.clone(), value.clone());
                }
            }
        }
        headers.insert("Nats-Scheduler", waiting.subject.as_str());
        headers.insert("Nats-Schedule-Next", "purge");
        let target = header("Nats-Schedule-Target").unwrap();
        let sent = self.context.publish_with_headers(target, headers, waiting.payload.clone()).await;
        sent.unwrap().await.unwrap();
    }

    /// How many messages the stream has.
    pub(crate) async fn count(&self, name: &str) -> u64 {
        self.state(name).await.messages
    }

    /// Writes envelopes of events with these numbers, as a projector does.
    pub(crate) async fn write(&self, numbers: impl IntoIterator<Item = u64>) {
        let (mut writer, _) = EnvelopeWriter::open(&self.topology).await.unwrap();
        for n in numbers {
            while !writer.has_room() {
                writer.stored().await.unwrap();
            }
            writer.send(&envelope(n), OffsetDateTime::now_utc()).await.unwrap();
        }
        writer.confirm().await.unwrap();
    }
}

/// Writes one envelope, and waits until it is stored; returns its sequence.
pub(crate) async fn store(writer: &mut EnvelopeWriter, outgoing: impl Into<Outgoing<'_>>) -> u64 {
    let sequence = writer.send(outgoing, OffsetDateTime::now_utc()).await.unwrap();
    writer.confirm().await.unwrap();
    sequence
}

/// A `latest` envelope, which replaces the earlier one of its key.
pub(crate) fn latest(n: u64, key: &str) -> Envelope {
    let mut envelope = envelope(n);
    (envelope.subject.class, envelope.subject.key) = (Class::Latest, Some(key.to_owned()));
    envelope
}

pub(crate) fn range(numbers: impl IntoIterator<Item = u64>) -> Vec<u64> {
    numbers.into_iter().collect()
}
