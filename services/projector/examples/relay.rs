//! Events per second of the projector beside a bare relay that consumes, publishes and acknowledges, in one run.
//!
//! `cargo run --release -p tidings-projector --example relay`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use tidings_catalog::{Catalog, Files};
use tidings_model::Tenant;
use tidings_projector::Settings;
use tidings_streams::{Topology, topology};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

const EVENTS: u64 = 100_000;
const IN_FLIGHT: usize = 1024;

const CATALOG: &str = r#"
keys = []
[[message]]
name = "note"
events = ["note.added"]
schema = "note.json"
to = "user:{data.user}"
[message.body]
type = "note"
action = "{action}"
data = "{data}"
timestamp = "{time}"
"#;

const SCHEMA: &str = r#"{ "type": "object", "required": ["type", "data"], "additionalProperties": false, "properties": {
  "type": { "const": "note" }, "action": { "type": "string" }, "timestamp": { "type": "string" },
  "data": { "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" }, "text": { "type": "string" } } } } }"#;

#[tokio::main]
async fn main() {
    let nats = harness::nats().await;
    let client = nats.client().await;
    let day = Duration::from_secs(86_400);
    let streams = topology::Settings::on_one_server(day, Duration::from_secs(120));
    let topology = Topology::ensure(&client, &streams).await.unwrap();
    let context = jetstream::new(client.clone());
    // Alternating, and with new events each time, as NATS would recognise repetitions.
    for round in 1..=4 {
        context.get_stream("EVENTS").await.unwrap().purge().await.unwrap();
        publish(&context).await;
        context.get_stream("ENVELOPES").await.unwrap().purge().await.unwrap();
        let relay = relay(&context, round, false).await;
        context.get_stream("ENVELOPES").await.unwrap().purge().await.unwrap();
        let fenced = self::relay(&context, round + 100, true).await;
        context.get_stream("ENVELOPES").await.unwrap().purge().await.unwrap();
        let projector = project(&topology, &context, round).await;
        println!(
            "relay {relay:.0}/s, with an envelope's headers {fenced:.0}/s, projector {projector:.0}/s, ratio {:.2}",
            projector / relay
        );
    }
}

async fn publish(context: &Context) {
    let mut under_way = FuturesOrdered::new();
    for n in 0..EVENTS {
        let text = "lorem ipsum ".repeat(77);
        let data = format!(r#"{{"n":{n},"user":"u{}","text":"{text}"}}"#, n % 1000);
        let sent = context.publish("events.t.note.added", data.into()).await.unwrap();
        under_way.push_back(sent.into_future());
        if under_way.len() >= IN_FLIGHT {
            under_way.next().await.unwrap().unwrap();
        }
    }
    while let Some(stored) = under_way.next().await {
        stored.unwrap();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(since: Instant) -> f64 {
    EVENTS as f64 / since.elapsed().as_secs_f64()
}

async fn relay(context: &Context, round: u32, as_envelopes: bool) -> f64 {
    let name = format!("relay-{round}");
    let events = context.get_stream("EVENTS").await.unwrap();
    let config = pull::Config {
        durable_name: Some(name.clone()),
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: -1,
        ..pull::Config::default()
    };
    let consumer = events.get_or_create_consumer(&name, config).await.unwrap();
    let mut messages = consumer.stream().max_messages_per_batch(500).messages().await.unwrap();
    let mut last = context.get_stream("ENVELOPES").await.unwrap().cached_info().state.last_sequence;
    let started = Instant::now();
    let mut under_way = FuturesOrdered::new();
    let mut done = 0;
    let mut read = 0;
    while done < EVENTS {
        tokio::select! {
            biased;
            Some(stored) = under_way.next() => {
                let acker: jetstream::message::Acker = stored;
                acker.ack().await.unwrap();
                done += 1;
            }
            message = messages.next(), if under_way.len() < IN_FLIGHT && read < EVENTS => {
                let (message, acker) = message.unwrap().unwrap().split();
                read += 1;
                let mut headers = async_nats::HeaderMap::new();
                headers.insert("Nats-Msg-Id", format!("{round}-{read}"));
                if as_envelopes {
                    headers.insert("Nats-Expected-Last-Sequence", last.to_string());
                    headers.insert("Tidings-Event-Id", format!("note.added-18f3a0c2b41-{read}"));
                    headers.insert("Tidings-Event-Seq", format!("18f3a0c2b41-{read}"));
                    headers.insert("Tidings-Part", "0/0");
                    if read > 1 {
                        headers.insert("Nats-Expected-Last-Msg-Id", format!("{round}-{}", read - 1));
                    }
                    last += 1;
                }
                let sent = context.publish_with_headers("envelopes.t.durable.user.u.note.-", headers, message.payload).await.unwrap();
                under_way.push_back(async move { sent.await.unwrap(); acker });
            }
        }
    }
    rate(started)
}

async fn project(topology: &Topology, context: &Context, round: u32) -> f64 {
    let tenant = Tenant::parse("t").unwrap();
    let files = [("catalog.toml", CATALOG), ("note.json", SCHEMA)];
    let files: Files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let catalogs = Arc::new([(tenant.clone(), Catalog::parse(&tenant, &files).unwrap())].into());
    let settings =
        Settings { consumer: format!("projector-{round}"), in_flight: IN_FLIGHT, max_event_bytes: 1 << 20 };
    let cancelled = CancellationToken::new();
    let envelopes = context.get_stream("ENVELOPES").await.unwrap();
    let before = envelopes.cached_info().state.last_sequence;
    let started = Instant::now();
    let running = tidings_projector::run(
        topology.clone(),
        tokio::sync::watch::channel(catalogs).1,
        settings,
        OffsetDateTime::now_utc,
        cancelled.clone(),
    );
    let task = tokio::spawn(running);
    while envelopes.get_info().await.unwrap().state.last_sequence < before + EVENTS {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rate = rate(started);
    cancelled.cancel();
    task.await.unwrap().unwrap();
    rate
}
