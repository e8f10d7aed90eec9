//! A nats-server with the streams, and what lies in `EVENTS`.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::time::Duration;

use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::jetstream::{self, Context};
use futures_util::{StreamExt as _, TryStreamExt as _};
use harness::Nats;
use serde_json::{Value, json};
use tidings_model::{Event as ReadEvent, Position, RawEvent};
use tidings_producer::{Event, Producer, Settings};
use tidings_streams::{Topology, topology};
use time::OffsetDateTime;

pub(crate) struct Scene {
    pub(crate) context: Context,
    pub(crate) nats: Nats,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::on(harness::nats().await).await
    }

    pub(crate) async fn on(nats: Nats) -> Self {
        let client = nats.client().await;
        Topology::ensure(&client, &stream_settings()).await.unwrap();
        Self { context: jetstream::new(client), nats }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::new(self.nats.url(), "/test")
    }

    pub(crate) async fn producer(&self, settings: Settings) -> Producer {
        Producer::connect("ops", settings).await.unwrap()
    }

    /// How many events are stored.
    pub(crate) async fn count(&self) -> Result<u64, String> {
        let stream = self.context.get_stream("EVENTS").await.map_err(|error| error.to_string())?;
        Ok(stream.cached_info().state.messages)
    }

    /// All events, in the stream's order.
    pub(crate) async fn events(&self) -> Vec<ReadEvent> {
        let stream = self.context.get_stream("EVENTS").await.unwrap();
        let count = usize::try_from(stream.cached_info().state.messages).unwrap();
        let consumer = stream.create_consumer(OrderedConfig::default()).await.unwrap();
        let messages = consumer.messages().await.unwrap().take(count);
        let read = messages.map_ok(|message| {
            let headers = message.headers.iter().flat_map(|map| map.iter());
            let raw = RawEvent {
                subject: message.subject.to_string(),
                headers: headers.map(|(name, values)| (name.to_string(), values[0].to_string())).collect(),
                payload: message.payload.clone(),
                position: "1-1".parse::<Position>().unwrap(),
                stored_at: OffsetDateTime::UNIX_EPOCH,
            };
            raw.read().unwrap()
        });
        read.try_collect().await.unwrap()
    }

    /// The numbers of all events, in the stream's order.
    pub(crate) async fn numbers(&self) -> Vec<u64> {
        self.events().await.iter().map(number).collect()
    }
}

pub(crate) fn number(event: &ReadEvent) -> u64 {
    event.data.get("n").and_then(Value::as_u64).unwrap()
}

pub(crate) fn stream_settings() -> topology::Settings {
    topology::Settings::on_one_server(Duration::from_secs(24 * 60 * 60), Duration::from_secs(120))
}

/// An event with a number.
pub(crate) fn numbered(n: u64) -> Event {
    Event::new("note.added", json!({ "n": n }))
}
