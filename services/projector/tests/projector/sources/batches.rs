//! A backlog is copied in batches, where `EVENTS` permits them.

use std::future::IntoFuture as _;

use async_nats::jetstream::stream::Config;
use futures_util::StreamExt as _;
use futures_util::future::try_join_all;
use harness::{BOUND, eventually};
use serde_json::json;
use tidings_streams::Topology;

use super::{Begin, COPIES, Copying, Scene, source, stream_settings};
use crate::support::number;

impl Scene {
    /// Puts orders with these numbers into the team's stream, without waiting for each answer.
    async fn order_many(&self, numbers: impl IntoIterator<Item = u64>) {
        let numbers: Vec<_> = numbers.into_iter().collect();
        // The client lets no more than some thousand answers be open.
        for some in numbers.chunks(1_000) {
            let mut answers = Vec::new();
            for n in some {
                let order = json!({ "n": n, "user": "ada" }).to_string();
                let sent = self.context.publish("orders.eu.added", order.into()).await.unwrap();
                answers.push(sent.into_future());
            }
            try_join_all(answers).await.unwrap();
        }
    }

    async fn alter_events(&self, alter: impl Fn(&mut Config)) {
        let mut config = self.context.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
        alter(&mut config);
        self.context.update_stream(config).await.unwrap();
    }

    async fn until_events(&self, number: u64) {
        eventually("they are copied", 10 * BOUND, async || {
            let (last, _) = self.state("EVENTS").await?;
            if last >= number { Ok(()) } else { Err(format!("{last} of {number}")) }
        })
        .await;
    }

    /// Copies with `EVENTS` as it is, as where accounts keep the projector from altering it.
    async fn copy_as_found(&self) -> Copying {
        let client = self.nats.client().await;
        let topology = Topology::find(&client, &stream_settings(self.window)).await.unwrap();
        Copying::on(topology, vec![source(Begin::All)])
    }
}

/// Many messages lie there, of which one has no name and one is too large; server and copier end in between.
#[tokio::test]
async fn a_backlog_is_copied_in_batches_once_and_in_order() {
    let mut scene = Scene::new().await;
    scene.orders(Config::default()).await;
    scene.order_many(1..=1_500).await;
    scene.context.publish("orders.eu", r#"{"no":"name"}"#.into()).await.unwrap().await.unwrap();
    let large = json!({ "n": 0, "user": "ada", "text": "x".repeat(4_000) }).to_string();
    scene.context.publish("orders.eu.added", large.into()).await.unwrap().await.unwrap();
    scene.order_many(1_501..=3_000).await;
    let projector = scene.projector().await;
    scene.alter_events(|config| config.max_message_size = 2_000).await;
    let client = scene.nats.client().await;
    let mut heard = client.subscribe(COPIES).await.unwrap();
    client.flush().await.unwrap();

    let older = Copying::start(&scene, vec![source(Begin::All)]).await;
    let first = tokio::time::timeout(BOUND, heard.next()).await.unwrap().unwrap();
    assert!(first.reply.is_some_and(|reply| reply.ends_with(".$FI")), "the backlog is copied in batches");
    scene.nats.kill().await.unwrap();
    scene.nats.restart().await.unwrap();
    let younger = Copying::start(&scene, vec![source(Begin::All)]).await;
    scene.until_events(600).await;
    older.task.abort();
    scene.until_events(3_002).await;
    scene.until_all_done().await;
    let numbers: Vec<_> = scene.envelopes().await.iter().map(number).collect();
    assert_eq!(numbers, (1..=3_000).collect::<Vec<_>>());
    let (rejected, _) = scene.state("REJECTED").await.unwrap();
    assert_eq!(rejected, 2, "the one without a name, and the one that is too large");
    younger.stop().await;
    projector.stop().await;
}

/// `EVENTS` as an earlier version has created it.
#[tokio::test]
async fn without_batches_messages_are_copied_one_at_a_time() {
    let scene = Scene::new().await;
    scene.orders(Config::default()).await;
    Copying::start(&scene, Vec::new()).await.stop().await;
    scene.alter_events(|config| config.allow_batch_publish = false).await;
    scene.order_many(1..=100).await;
    let copying = scene.copy_as_found().await;
    scene.until_copied(1..=100).await;
    copying.stop().await;
}

#[expect(clippy::print_stdout, reason = "a measurement prints its figures")]
#[ignore = "a measurement: its figure is in the projector's README"]
#[tokio::test]
async fn a_backlog_in_batches_and_one_at_a_time() {
    const MANY: u64 = 10_000;
    for is_permitted in [false, true, false, true, false, true] {
        let scene = Scene::new().await;
        scene.orders(Config::default()).await;
        scene.order_many(1..=MANY).await;
        Copying::start(&scene, Vec::new()).await.stop().await;
        scene.alter_events(|config| config.allow_batch_publish = is_permitted).await;
        let copying = scene.copy_as_found().await;
        scene.until_events(1).await;
        let begin = std::time::Instant::now();
        scene.until_events(MANY).await;
        println!("in batches: {is_permitted}; {MANY} copies in {:?}", begin.elapsed());
        copying.stop().await;
    }
}
