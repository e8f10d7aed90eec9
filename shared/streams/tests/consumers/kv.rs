//! Tests specific to the key-value store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::{self, kv};
use futures_util::{StreamExt as _, TryStreamExt as _};
use harness::{BEHIND, replica_behind};
use tidings_streams::TopologyError;
use tidings_streams::consumers::{
    ConsumerStore, ConsumerStoreError, KvConsumers, MAX_DEVICES, OpenConsumersError, StoredConsumer,
};

use crate::bench::{
    Bench, Kind, acked, at, eventually, left, listed, load, name, placed, save, settings, tenant,
};

async fn bucket(bench: &Bench) -> kv::Store {
    jetstream::new(bench.client().await).get_key_value("CONSUMERS").await.unwrap()
}

/// The attempt of this process may have had no answer in time, or another process may have been faster.
#[tokio::test]
async fn a_bucket_that_was_lost_is_noticed_once_whoever_recreated_it() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::Kv).await;
    assert!(!store.check().await.unwrap(), "it is as it was opened");
    let context = bench.topology().await.context().clone();
    let config = context.get_stream("KV_CONSUMERS").await.unwrap().cached_info().config.clone();
    for is_recreated in [true, false] {
        context.delete_stream("KV_CONSUMERS").await.unwrap();
        if is_recreated {
            context.create_stream(config.clone()).await.unwrap();
        }
        assert!(store.check().await.unwrap(), "{is_recreated}");
        assert!(!store.check().await.unwrap(), "{is_recreated}");
    }
}

/// Within the second of the last save, nothing about a device differs from what was stored.
#[tokio::test]
async fn what_a_bucket_has_lost_is_written_though_nothing_has_changed() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::Kv).await;
    let ada = name("ada", "phone");
    let saved = store.save(&ada, None, &acked(1)).await.unwrap();
    bench.topology().await.context().delete_stream("KV_CONSUMERS").await.unwrap();
    assert!(store.check().await.unwrap());
    let lost = StoredConsumer::from(saved.state);
    store.save(&ada, Some(&lost), &acked(1)).await.unwrap();
    assert!(store.load(&ada).await.unwrap().is_some());
}

#[tokio::test]
async fn every_write_carries_the_time_to_live() {
    let bench = Bench::new().await;
    let store = bench.store_for(Kind::Kv, Duration::from_secs(3600)).await;
    let stream = bucket(&bench).await.stream;
    let ada = name("ada", "phone");
    let mut known = None;
    let mut before = 0;
    for sequence in [1, 2, 3] {
        let saved = store.save(&ada, known.as_ref(), &acked(sequence)).await.unwrap();
        known = Some(saved);
        let message = stream.get_last_raw_message_by_subject("$KV.CONSUMERS.ops.ada.phone").await.unwrap();
        assert_eq!(message.headers.get("Nats-TTL").unwrap().as_str(), "3600");
        assert!(message.sequence > before);
        before = message.sequence;
    }
    store.reset(&ada, placed(1)).await.unwrap().unwrap();
    let message = stream.get_last_raw_message_by_subject("$KV.CONSUMERS.ops.ada.phone").await.unwrap();
    assert_eq!(message.headers.get("Nats-TTL").unwrap().as_str(), "3600");
    assert!(message.sequence > before);
}

#[tokio::test]
async fn the_bucket_is_one_that_others_can_read() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::Kv).await;
    save(&store, &name("john.doe", "phone"), &acked(42)).await;
    let bucket = bucket(&bench).await;
    let value = bucket.get("ops.john=2Edoe.phone").await.unwrap().unwrap();
    let expected = r#"{"version":1,"position":"18f3-42","since":42,"subscriptions":[],"grants":[],"last_seen":1800000042,"connected":"gateway-1","resets":0}"#;
    assert_eq!(value, expected.as_bytes());
    let keys: Vec<String> = bucket.keys().await.unwrap().try_collect().await.unwrap();
    assert_eq!(keys, ["ops.john=2Edoe.phone"]);
}

/// A device that has acknowledged something and comes to another gateway does not receive it again.
#[tokio::test]
async fn a_position_is_the_newest_though_a_replica_is_behind() {
    let bench = Bench::new().await;
    let (store, ada) = (bench.store(Kind::Kv).await, name("ada", "phone"));
    replica_behind(bench.client().await).await;
    let behind = jetstream::with_prefix(bench.client().await, BEHIND);
    let other = KvConsumers::open(&behind, &settings(Duration::from_secs(3600))).await.unwrap();
    let other: Arc<dyn ConsumerStore> = Arc::new(other);
    let mut known = None;
    for sequence in [42, 43] {
        known = Some(store.save(&ada, known.as_ref(), &acked(sequence)).await.unwrap());
        assert_eq!(load(&other, &ada).await.map(|found| found.state.position), Some(at(sequence)));
    }
}

#[tokio::test]
async fn a_marker_that_others_left_means_that_nobody_is_there() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::Kv).await;
    let ada = name("ada", "phone");
    let saved = save(&store, &ada, &acked(42)).await;
    bucket(&bench).await.delete("ops.ada.phone").await.unwrap();
    assert_eq!(load(&store, &ada).await, None);
    assert_eq!(listed(&store, None).await, []);
    store.save(&ada, Some(&saved), &acked(43)).await.unwrap();
    assert_eq!(load(&store, &ada).await.unwrap().state.position, at(43));
}

#[tokio::test]
async fn what_cannot_be_read_is_said_and_does_not_hide_the_rest() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::Kv).await;
    save(&store, &name("ada", "phone"), &acked(1)).await;
    let bucket = bucket(&bench).await;
    bucket.put("ops.grace.phone", "{}".into()).await.unwrap();
    let whole = bucket.get("ops.ada.phone").await.unwrap().unwrap();
    bucket.put("ops.grace", whole).await.unwrap();
    save(&store, &name("alan", "phone"), &acked(1)).await;

    let all: Vec<_> = store.list(&tenant(), None).collect().await;
    let outcomes = all.iter().map(|item| match item {
        Ok((name, _)) => name.to_string(),
        Err(ConsumerStoreError::Damaged { key, .. }) => format!("damaged: {key}"),
        Err(other) => panic!("{other:?}"),
    });
    let expected = ["ops/ada/phone", "damaged: ops.grace.phone", "damaged: ops.grace", "ops/alan/phone"];
    assert_eq!(outcomes.collect::<Vec<_>>(), expected);

    let grace = name("grace", "phone");
    assert!(matches!(store.load(&grace).await, Err(ConsumerStoreError::Damaged { .. })));
    assert!(store.remove(&grace).await.unwrap());
    assert_eq!(load(&store, &grace).await, None);
}

#[tokio::test]
async fn a_listing_misses_nobody_who_is_written_meanwhile_and_ends_when_the_rest_is_removed() {
    const USERS: u64 = 1_200;
    let bench = Bench::new().await;
    let store = bench.store(Kind::Kv).await;
    let user = |number: u64| name(&format!("user-{number}"), "phone");
    for number in 0..USERS {
        save(&store, &user(number), &acked(1)).await;
    }
    let mut listing = store.list(&tenant(), None);
    let (first, _) = listing.next().await.unwrap().unwrap();
    assert_eq!(first, user(0));
    save(&store, &user(0), &acked(2)).await;
    save(&store, &user(USERS - 1), &acked(2)).await;
    for number in USERS - 100..USERS - 1 {
        assert!(store.remove(&user(number)).await.unwrap());
    }
    let rest: Vec<_> = listing.map_ok(|(name, stored)| (name, stored.state)).try_collect().await.unwrap();
    let again = rest.iter().find(|(name, _)| *name == user(0)).map(|(_, state)| state.position);
    assert_eq!(again, Some(at(2)), "who was written after being listed comes again");
    for number in (1..USERS - 100).chain([USERS - 1]) {
        assert!(rest.iter().any(|(name, _)| *name == user(number)), "user-{number} is missing");
    }

    let mut listing = store.list(&tenant(), None);
    listing.next().await.unwrap().unwrap();
    assert!(
        jetstream::new(bench.client().await).get_stream("KV_CONSUMERS").await.unwrap().purge().await.is_ok()
    );
    let rest: Vec<_> = listing.try_collect().await.unwrap();
    assert!(
        rest.len() < usize::try_from(USERS).unwrap(),
        "what was removed before it was asked for is not listed"
    );
    eventually("no listing is left at the server", async || {
        let stream = jetstream::new(bench.client().await).get_stream("KV_CONSUMERS").await.unwrap();
        stream.cached_info().state.consumer_count == 0
    })
    .await;
}

#[tokio::test]
async fn a_bucket_that_cannot_serve_is_refused_and_other_limits_are_respected() {
    let bench = Bench::new().await;
    let context = jetstream::new(bench.client().await);
    let plain = kv::Config { bucket: "CONSUMERS".to_owned(), ..kv::Config::default() };
    context.create_key_value(plain).await.unwrap();
    let wanted = settings(Duration::from_secs(60));
    let error =
        KvConsumers::open(&async_nats::jetstream::new(bench.client().await), &wanted).await.unwrap_err();
    let OpenConsumersError::Bucket(TopologyError::Different { differences, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(differences.iter().map(|it| it.setting).collect::<Vec<_>>(), ["allow_msg_ttl"]);

    context.delete_key_value("CONSUMERS").await.unwrap();
    KvConsumers::open(&async_nats::jetstream::new(bench.client().await), &wanted).await.unwrap();
    let mut config = context.get_stream("KV_CONSUMERS").await.unwrap().cached_info().config.clone();
    config.max_bytes = 1 << 20;
    context.update_stream(&config).await.unwrap();
    KvConsumers::open(&async_nats::jetstream::new(bench.client().await), &wanted).await.unwrap();
    let kept = context.get_stream("KV_CONSUMERS").await.unwrap();
    assert_eq!(kept.cached_info().config.max_bytes, 1 << 20);
}

/// What is sent to JetStream, as it is seen; an observer sees it a little later than the one who is answered.
async fn watch_requests(bench: &Bench) -> Arc<Mutex<Vec<String>>> {
    let client = bench.client().await;
    let mut all = client.subscribe(">").await.unwrap();
    client.publish("seen", "".into()).await.unwrap();
    while all.next().await.unwrap().subject.as_str() != "seen" {}
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let requests = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Some(message) = all.next().await {
            let subject = message.subject.as_str();
            if subject.starts_with("$JS.API.") || subject.starts_with("$KV.") {
                requests.lock().unwrap().push(subject.replace("$KV.CONSUMERS.ops.", ""));
            }
        }
    });
    seen
}

/// What each visit asks of nats-server; it is most of what a visit costs there.
#[tokio::test]
async fn a_visit_asks_for_little() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::Kv).await;
    let requests = watch_requests(&bench).await;
    let asked = async |expected: &[&str]| {
        eventually("these requests", async || {
            let mut seen = requests.lock().unwrap().clone();
            seen.sort_unstable();
            seen.dedup();
            seen == expected
        })
        .await;
        requests.lock().unwrap().clear();
    };
    let (phone, tablet) = (name("ada", "phone"), name("ada", "tablet"));
    let (get, own) = ("$JS.API.DIRECT.GET.KV_CONSUMERS", "$JS.API.DIRECT.GET.KV_CONSUMERS.ada.phone");

    assert_eq!(load(&store, &phone).await, None);
    asked(&[own]).await;
    let saved = store.save(&phone, None, &acked(1)).await.unwrap();
    asked(&[get, "ada.phone"]).await;
    assert_eq!(load(&store, &phone).await, Some(saved));
    asked(&[own]).await;
    // Devices are counted only where there is another one.
    store.save(&tablet, None, &acked(1)).await.unwrap();
    asked(&[get, "$JS.API.STREAM.INFO.KV_CONSUMERS", "ada.tablet"]).await;
}

#[tokio::test]
async fn a_device_for_which_there_is_no_room_leaves_nothing() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::Kv).await;
    for number in 0..MAX_DEVICES {
        save(&store, &name("ada", &number.to_string()), &acked(1)).await;
    }
    let newcomers = (0..8).map(|number| name("ada", &format!("new-{number}"))).collect::<Vec<_>>();
    let saves = newcomers.iter().map(async |device| store.save(device, None, &acked(1)).await);
    for refused in futures_util::future::join_all(saves).await {
        assert!(matches!(refused, Err(ConsumerStoreError::TooManyDevices { .. })), "{refused:?}");
    }
    let left = listed(&store, Some("ada")).await;
    assert!(left.len() == MAX_DEVICES && newcomers.iter().all(|device| !left.contains(device)), "{left:?}");
}

#[tokio::test]
async fn devices_that_come_at_once_leave_no_more_than_a_user_may_have() {
    let bench = Bench::new().await;
    let store = bench.store(Kind::Kv).await;
    for number in 0..MAX_DEVICES {
        save(&store, &name("ada", &number.to_string()), &left(1, 10)).await;
    }
    let newcomers = (0..8).map(|number| name("ada", &format!("new-{number}"))).collect::<Vec<_>>();
    let saves = newcomers.iter().map(async |device| store.save(device, None, &acked(1)).await);
    for saved in futures_util::future::join_all(saves).await {
        saved.unwrap();
    }
    let present = listed(&store, Some("ada")).await;
    assert!(present.len() <= MAX_DEVICES, "{present:?}");
    assert!(newcomers.iter().all(|device| present.contains(device)), "{present:?}");
}
