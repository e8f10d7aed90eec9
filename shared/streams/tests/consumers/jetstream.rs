//! Tests specific to the JetStream store.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{self, Context};
use futures_util::StreamExt as _;
use tidings_model::{Address, Place, PlacedPosition, Position};
use tidings_streams::consumers::{Change, ConsumerStoreError, Edit, Subscription};

use crate::bench::{Bench, Kind, acked, at, load, name, save};

async fn context(bench: &Bench) -> Context {
    jetstream::new(bench.client().await)
}

async fn envelopes(bench: &Bench) -> Stream {
    context(bench).await.get_stream("ENVELOPES").await.unwrap()
}

/// A change of Ada's device with her grants and one subscription.
fn ada_at(sequence: u64) -> Change {
    let subscription = Edit::Subscribe(Subscription { filter: [].into(), since: 0 });
    Change {
        grants: [Address::new("user", "ada").unwrap(), Address::all()].into(),
        subscriptions: [("incidents".to_owned(), subscription)].into(),
        ..acked(sequence)
    }
}

async fn publish(bench: &Bench, subjects: &[&'static str]) {
    let context = context(bench).await;
    for subject in subjects {
        context.publish(*subject, "{}".into()).await.unwrap().await.unwrap();
    }
}

const ADAS: &str = "envelopes.ops.durable.user.ada.task.-";
const GRACES: &str = "envelopes.ops.durable.user.grace.task.-";
const INCIDENT: &str = "envelopes.ops.durable.topic.incidents.incident.-";
const EVERYBODYS: &str = "envelopes.ops.durable.all.-.broadcast.-";

#[tokio::test]
async fn another_client_reads_what_waits_and_acknowledges_it() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::JetStream).await;
    let ada = name("ada", "phone");
    publish(&bench, &[ADAS, GRACES, INCIDENT, EVERYBODYS, GRACES, ADAS]).await;
    assert_eq!(save(&store, &ada, &ada_at(1)).await.pending, Some(3));
    assert_eq!(load(&store, &ada).await.unwrap().pending, Some(3));

    let consumer: PullConsumer = envelopes(&bench).await.get_consumer("ops+ada+phone").await.unwrap();
    let mut messages = consumer.messages().await.unwrap();
    let mut next = async || messages.next().await.unwrap().unwrap();
    let (incident, broadcast) = (next().await, next().await);
    assert_eq!((incident.subject.as_str(), broadcast.subject.as_str()), (INCIDENT, EVERYBODYS));
    assert_eq!(load(&store, &ada).await.unwrap().state.position, at(1), "delivered is not acknowledged");
    broadcast.double_ack().await.unwrap();
    let stored = load(&store, &ada).await.unwrap();
    assert_eq!((stored.state.position, stored.pending), (at(4), Some(1)));
    assert_eq!(save(&store, &ada, &ada_at(3)).await.state.position, at(4));
    assert_eq!(save(&store, &ada, &ada_at(6)).await.pending, Some(0));
}

#[tokio::test]
async fn without_keys_nothing_is_opened() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::JetStream).await;
    publish(&bench, &[ADAS, EVERYBODYS]).await;
    let ada = name("ada", "phone");
    assert_eq!(save(&store, &ada, &acked(0)).await.pending, Some(0));
    assert_eq!(save(&store, &ada, &ada_at(0)).await.pending, Some(2));
    let revoked = Change { grants: [Address::new("user", "ada").unwrap()].into(), ..acked(0) };
    assert_eq!(save(&store, &ada, &revoked).await.pending, Some(1), "what a token no longer opens is closed");
}

/// Pending envelopes are counted, and read by others, in the generation of the position.
#[tokio::test]
async fn a_consumer_follows_its_position_to_another_generation() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::JetStream).await;
    let stream = bench.topology().await.extent().await.unwrap().epoch;
    let at = |generation, sequence| {
        let epoch = Place { generation, ..Place::default() }.epoch(stream);
        let position = PlacedPosition { generation, position: Position { epoch, sequence } };
        Change { position, ..ada_at(0) }
    };
    let again = "envelopes.ops~1.durable.user.ada.task.-";
    publish(&bench, &[ADAS, ADAS, ADAS, again, again]).await;
    let ada = name("ada", "phone");
    assert_eq!(save(&store, &ada, &at(0, 1)).await.pending, Some(2));
    assert_eq!(save(&store, &ada, &at(1, 3)).await.pending, Some(2));
    let consumer: PullConsumer = envelopes(&bench).await.get_consumer("ops+ada+phone").await.unwrap();
    let message = consumer.messages().await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(message.subject.as_str(), again);
}

#[tokio::test]
async fn retention_does_not_pass_for_an_acknowledgement() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::JetStream).await;
    let ada = name("ada", "phone");
    for _ in 0..20 {
        publish(&bench, &[ADAS; 10]).await;
    }
    save(&store, &ada, &ada_at(3)).await;
    let stream = envelopes(&bench).await;
    stream.purge().sequence(151).await.unwrap();
    // The server raises the floor of a consumer that is pulled from when retention has passed it.
    let consumer: PullConsumer = stream.get_consumer("ops+ada+phone").await.unwrap();
    let first = consumer.messages().await.unwrap().next().await.unwrap().unwrap();
    assert_eq!(first.info().unwrap().stream_sequence, 151);
    assert_eq!(load(&store, &ada).await.unwrap().state.position, at(3));
}

#[tokio::test]
async fn every_save_makes_the_server_count_inactivity_anew() {
    let bench = Bench::new().await;
    let store = bench.store_for(Kind::JetStream, Duration::from_secs(3600)).await;
    let ada = name("ada", "phone");
    let stream = envelopes(&bench).await;
    let mut before = Duration::ZERO;
    for sequence in 1..6 {
        save(&store, &ada, &acked(sequence)).await;
        let info = stream.consumer_info("ops+ada+phone").await.unwrap();
        let threshold = info.config.inactive_threshold;
        assert_eq!(threshold.as_secs(), 3600);
        assert_ne!(threshold, before, "the server renews only what changes");
        before = threshold;
    }
}

#[tokio::test]
async fn the_servers_bound_on_consumers_is_said_with_what_to_do() {
    let bench = Bench::with("jetstream { limits { default_max_consumers: 2 } }").await;
    let store = bench.store(Kind::JetStream).await;
    save(&store, &name("ada", "phone"), &acked(1)).await;
    save(&store, &name("grace", "phone"), &acked(1)).await;
    let error = store.save(&name("alan", "phone"), None, &acked(1)).await.unwrap_err();
    assert!(matches!(error, ConsumerStoreError::TooManyConsumers { .. }), "{error:?}");
    assert!(error.to_string().contains(r#"set `consumers.store` to "kv""#), "{error}");
    save(&store, &name("ada", "phone"), &acked(2)).await;
    assert!(store.remove(&name("grace", "phone")).await.unwrap());
    save(&store, &name("alan", "phone"), &acked(1)).await;
}
