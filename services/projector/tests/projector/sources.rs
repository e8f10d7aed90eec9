//! Sources: each message of a team's stream becomes one event, in order, whatever ends, is killed, or comes back older.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::stream::{Config, RetentionPolicy};
use harness::{BOUND, eventually};
use serde_json::{Value, json};
use tidings_metrics::Registry;
use tidings_model::Tenant;
use tidings_projector::{Begin, Mapping, Source, copy_sources};
use tidings_streams::{SourceStream, Topology};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{Scene, stream_settings};

mod batches;

const COPIES: &str = "events.*.*.*.source.orders";

fn source(begin: Begin) -> Source {
    let stream = SourceStream { stream: "ORDERS".to_owned(), subjects: Vec::new(), api_prefix: None };
    let mapping = Mapping::parse("note.{subject.3}", &BTreeMap::new()).unwrap();
    Source { name: "orders".to_owned(), stream, tenant: Tenant::parse("t").unwrap(), mapping, begin }
}

/// The copying of sources, as a projector does it.
struct Copying {
    sources: watch::Sender<Arc<Vec<Source>>>,
    cancelled: CancellationToken,
    task: JoinHandle<()>,
}

impl Copying {
    async fn start(scene: &Scene, sources: Vec<Source>) -> Self {
        let client = scene.nats.client().await;
        Self::on(Topology::ensure(&client, &stream_settings(scene.window)).await.unwrap(), sources)
    }

    fn on(topology: Topology, sources: Vec<Source>) -> Self {
        let (sources, receiver) = watch::channel(Arc::new(sources));
        let cancelled = CancellationToken::new();
        let copying = copy_sources(topology, receiver.into(), Registry::default(), cancelled.clone());
        Self { sources, cancelled, task: tokio::spawn(copying) }
    }

    async fn stop(self) {
        self.cancelled.cancel();
        tokio::time::timeout(BOUND, self.task).await.unwrap().unwrap();
    }
}

impl Scene {
    async fn orders(&self, more: Config) {
        let config = Config { name: "ORDERS".to_owned(), subjects: vec!["orders.>".to_owned()], ..more };
        self.context.create_stream(config).await.unwrap();
    }

    /// Puts orders with these numbers into the team's stream.
    async fn order(&self, numbers: impl IntoIterator<Item = u64>) {
        for n in numbers {
            let order = json!({ "n": n, "user": "ada" }).to_string();
            eventually("the order is stored", BOUND, async || {
                let sent = self.context.publish("orders.eu.added", order.clone().into()).await;
                sent.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
            })
            .await;
        }
    }

    /// The numbers of the copies in `EVENTS`, in order.
    async fn copies(&self) -> Vec<u64> {
        let messages = self.copied().await;
        let numbers = messages.iter().map(|message| {
            let order: Value = serde_json::from_slice(&message.payload).unwrap();
            order["n"].as_u64().unwrap()
        });
        numbers.collect()
    }

    async fn copied(&self) -> Vec<async_nats::jetstream::message::StreamMessage> {
        let events = self.context.get_stream("EVENTS").await.unwrap();
        let (mut found, mut next) = (Vec::new(), 1);
        while let Ok(message) =
            events.raw_message_builder().sequence(next).next_by_subject(COPIES).send().await
        {
            next = message.sequence + 1;
            found.push(message);
        }
        found
    }

    async fn until_copied(&self, expected: impl IntoIterator<Item = u64>) {
        let expected: Vec<_> = expected.into_iter().collect();
        eventually("everything is copied", 2 * BOUND, async || {
            let last = self.copies().await;
            if last.last() == expected.last() { Ok(()) } else { Err(format!("{:?}", last.last())) }
        })
        .await;
        assert_eq!(self.copies().await, expected);
    }
}

/// Two copiers at a time, the older of which is dropped wherever it is; they share the stream with events of others.
#[tokio::test]
async fn what_is_there_and_what_follows_is_copied_once_and_in_order() {
    let mut scene = Scene::new().await;
    scene.orders(Config::default()).await;
    scene.order(1..=40).await;
    let projector = scene.projector().await;
    let mut older = Copying::start(&scene, vec![source(Begin::All)]).await;
    for turn in 1..=4 {
        let younger = Copying::start(&scene, vec![source(Begin::All)]).await;
        let numbers = turn * 40 + 1..=(turn + 1) * 40;
        for n in numbers.clone() {
            scene.order([n]).await;
            scene.publish("note.added", &json!({ "n": n, "user": "other" })).await;
        }
        if turn == 3 {
            scene.nats.kill().await.unwrap();
            scene.nats.restart().await.unwrap();
        }
        // As a kill: nothing is given back, and nothing more is recorded.
        std::mem::replace(&mut older, younger).task.abort();
    }
    scene.until_copied(1..=200).await;
    older.stop().await;
    scene.until_all_done().await;
    let envelopes = scene.envelopes().await;
    let of_ada = envelopes.iter().filter(|stored| stored.envelope.subject.address.to_string() == "user:ada");
    let numbers: Vec<_> = of_ada.map(crate::support::number).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    projector.stop().await;

    // Age, or a purge, takes the copies away; what was copied stays copied.
    scene.context.get_stream("EVENTS").await.unwrap().purge().await.unwrap();
    let copying = Copying::start(&scene, vec![source(Begin::All)]).await;
    scene.order([201]).await;
    scene.until_copied([201]).await;
    copying.stop().await;
}

#[tokio::test]
async fn a_source_may_change_while_it_is_copied() {
    let scene = Scene::new().await;
    // It is looked for until it is there.
    let copying = Copying::start(&scene, vec![source(Begin::All)]).await;
    let mut other = source(Begin::All);
    (other.name, other.stream.stream) = ("others".to_owned(), "OTHERS".to_owned());
    scene.orders(Config::default()).await;
    scene.order([1, 2]).await;
    scene.until_copied([1, 2]).await;
    // Removed: nothing is copied meanwhile. Another one that waits for its stream, or may not be copied, stops nobody.
    copying.sources.send_replace(Arc::new(vec![other.clone()]));
    scene.order([3]).await;
    let queue = Config {
        name: "OTHERS".to_owned(),
        subjects: vec!["others".to_owned()],
        retention: RetentionPolicy::WorkQueue,
        ..Config::default()
    };
    scene.context.create_stream(queue).await.unwrap();
    scene.context.publish("others", "1".into()).await.unwrap().await.unwrap();
    // Added again, and altered: it goes on where it was, and what was copied under the other name stays.
    let altered = Mapping::parse("memo.{subject.3}", &BTreeMap::new()).unwrap();
    copying.sources.send_replace(Arc::new(vec![other, Source { mapping: altered, ..source(Begin::All) }]));
    scene.order([4]).await;
    scene.until_copied([1, 2, 3, 4]).await;
    let names: Vec<_> = scene.copied().await.iter().map(|copy| copy.subject.to_string()).collect();
    let expected = ["note", "note", "memo"].map(|note| format!("events.t.{note}.added.source.orders"));
    // The third may still have been copied before the source was removed.
    assert_eq!([&names[0], &names[1], &names[3]], expected.each_ref());
    copying.stop().await;
    // Another stream under the name of the first is refused: its place says nothing.
    let queued = scene.context.get_stream("OTHERS").await.unwrap().cached_info().state.messages;
    assert_eq!(queued, 1, "a work queue is left alone");
    let mut misnamed = source(Begin::All);
    misnamed.stream.stream = "MORE".to_owned();
    let config = Config { name: "MORE".to_owned(), subjects: vec!["more.>".to_owned()], ..Config::default() };
    scene.context.create_stream(config).await.unwrap();
    scene.context.publish("more.eu.added", r#"{"n":9}"#.into()).await.unwrap().await.unwrap();
    let copying = Copying::start(&scene, vec![misnamed]).await;
    scene.order([5]).await;
    copying.sources.send_replace(Arc::new(vec![source(Begin::All)]));
    scene.until_copied([1, 2, 3, 4, 5]).await;
    copying.stop().await;
}

#[tokio::test]
async fn only_what_is_stored_from_now_on_is_copied_if_so_configured() {
    let scene = Scene::new().await;
    scene.orders(Config::default()).await;
    scene.order([1, 2]).await;
    let copying = Copying::start(&scene, vec![source(Begin::New)]).await;
    eventually("the beginning is recorded", BOUND, async || {
        let projectors =
            scene.context.get_stream("KV_PROJECTORS").await.map_err(|error| error.to_string())?;
        let record = projectors.get_last_raw_message_by_subject("$KV.PROJECTORS.copied_orders").await;
        record.map_err(|error| error.to_string())
    })
    .await;
    copying.stop().await;
    // Nobody copies meanwhile.
    scene.order([3]).await;
    let copying = Copying::start(&scene, vec![source(Begin::New)]).await;
    scene.until_copied([3]).await;
    copying.stop().await;
}

/// The team's stream is created again, or comes back older, while it is copied or while it is not.
#[tokio::test]
async fn a_source_that_was_lost_goes_on_with_what_is_new() {
    for is_copied_meanwhile in [true, false] {
        let mut scene = Scene::new().await;
        scene.orders(Config::default()).await;
        scene.order(1..=10).await;
        let mut copying = Copying::start(&scene, vec![source(Begin::All)]).await;
        scene.until_copied(1..=10).await;
        let saved = scene.nats.save(&["ORDERS"]).await;
        scene.order(11..=20).await;
        scene.until_copied(1..=20).await;
        if is_copied_meanwhile {
            scene.nats.bring_back(saved).await;
            scene.order(21..=23).await;
        } else {
            copying.stop().await;
            scene.nats.bring_back(saved).await;
            scene.order(21..=23).await;
            copying = Copying::start(&scene, vec![source(Begin::All)]).await;
        }
        // Fewer than were lost; and then more.
        scene.until_copied(1..=23).await;
        scene.order(24..=50).await;
        scene.until_copied(1..=50).await;
        if is_copied_meanwhile {
            scene.nats.renew("ORDERS").await;
            scene.order(51..=55).await;
        } else {
            copying.stop().await;
            scene.nats.renew("ORDERS").await;
            scene.order(51..=55).await;
            copying = Copying::start(&scene, vec![source(Begin::All)]).await;
        }
        scene.until_copied(1..=55).await;
        let copied = scene.copied().await;
        let ids = copied.iter().map(|copy| copy.headers.get("Tidings-Event-Id").unwrap().as_str());
        let ids: BTreeSet<_> = ids.collect();
        assert_eq!(ids.len(), 55, "two messages with one sequence are two events");
        copying.stop().await;
    }
}

#[tokio::test]
async fn what_events_has_lost_is_copied_again() {
    let mut scene = Scene::new().await;
    scene.orders(Config::default()).await;
    scene.order(1..=10).await;
    let copying = Copying::start(&scene, vec![source(Begin::All)]).await;
    scene.until_copied(1..=10).await;
    let saved = scene.nats.save(&["EVENTS"]).await;
    scene.order(11..=20).await;
    scene.until_copied(1..=20).await;
    copying.stop().await;
    scene.nats.bring_back(saved).await;
    eventually("NATS answers", BOUND, async || scene.state("EVENTS").await).await;
    // Other events come first and have the sequences of the copies.
    for n in 0..3 {
        scene.publish("note.added", &json!({ "n": n, "user": "other" })).await;
    }
    let copying = Copying::start(&scene, vec![source(Begin::All)]).await;
    scene.order([21]).await;
    scene.until_copied(1..=21).await;
    copying.stop().await;
}

/// Ids that a team gave for its own stream's window mean nothing for events that are copied at once; CloudEvents do.
#[tokio::test]
async fn copies_have_the_ids_of_their_messages() {
    let scene = Scene::on(harness::nats().await, std::time::Duration::from_secs(60)).await;
    let no_window = std::time::Duration::from_millis(100);
    scene.orders(Config { duplicate_window: no_window, ..Config::default() }).await;
    let order = async |id: &str, n: u64, is_cloud_event: bool| {
        let mut headers = HeaderMap::new();
        let data = json!({ "n": n, "user": "ada" });
        let body = if is_cloud_event {
            json!({ "specversion": "1.0", "id": id, "source": "/shop", "type": "x", "data": data })
        } else {
            headers.insert("Nats-Msg-Id", id);
            // Forged, or of another Tidings.
            headers.insert("Tidings-Source-Position", "ORDERS 1-9 2025-01-17T10:30:00Z");
            headers.insert("Nats-Expected-Last-Sequence", "0");
            data
        };
        let sent = scene.context.publish_with_headers("orders.eu.added", headers, body.to_string().into());
        sent.await.unwrap().await
    };
    order("a", 1, false).await.unwrap();
    eventually("the team's window is over", BOUND, async || {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", "a");
        let body = json!({ "n": 2, "user": "ada" }).to_string();
        let sent = scene.context.publish_with_headers("orders.eu.added", headers, body.into()).await.unwrap();
        let acknowledged = sent.await.unwrap();
        if acknowledged.duplicate { Err("it is a duplicate still") } else { Ok(()) }
    })
    .await;
    order("c", 3, true).await.unwrap();
    order("c", 3, true).await.unwrap();
    let projector = scene.projector().await;
    let copying = Copying::start(&scene, vec![source(Begin::All)]).await;
    eventually("all are copied", BOUND, async || {
        let copied = scene.copied().await.len();
        if copied == 4 { Ok(()) } else { Err(copied) }
    })
    .await;
    scene.until_all_done().await;
    scene.holds([1, 2, 3]).await;
    assert_eq!(scene.state("REJECTED").await.unwrap().0, 0);
    copying.stop().await;
    projector.stop().await;
}
