//! Tests of the guarantees of both stores.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidings_model::{Address, Epoch, PlacedPosition, Position};
use tidings_streams::consumers::{
    Change, ConsumerName, ConsumerStore, ConsumerStoreError, Edit, MAX_DEVICES, Presence, Subscription,
};

use crate::bench::{Bench, Kind, NOW, acked, at, eventually, left, listed, load, name, placed, save, tenant};

macro_rules! on_both_stores {
    ($($case:ident),* $(,)?) => {
        mod on_kv {
            $(#[tokio::test] async fn $case() { super::$case(super::Kind::Kv).await; })*
        }
        mod on_jetstream {
            $(#[tokio::test] async fn $case() { super::$case(super::Kind::JetStream).await; })*
        }
    };
}

on_both_stores!(
    nobody_is_there_at_first,
    what_is_saved_is_loaded,
    positions_only_move_forward,
    concurrent_writers_never_move_a_position_back,
    a_stream_made_anew_replaces_the_position,
    who_is_not_saved_disappears,
    ids_are_taken_as_they_are,
    the_device_seen_longest_ago_gives_way,
    connected_devices_do_not_give_way,
    listing_is_by_tenant_and_by_user,
    a_reset_moves_anywhere_and_stays,
    removed_is_gone,
    all_survives_a_crash_of_the_server,
);

async fn nobody_is_there_at_first(kind: Kind) {
    let bench = Bench::new().await;
    let store = bench.store(kind).await;
    let ada = name("ada", "phone");
    assert_eq!(load(&store, &ada).await, None);
    assert_eq!(store.reset(&ada, placed(1)).await.unwrap(), None);
    assert!(!store.remove(&ada).await.unwrap());
    assert_eq!(store.purge_user(&tenant(), "ada").await.unwrap(), 0);
    assert_eq!(listed(&store, None).await, []);
    assert_eq!(listed(&store, Some("ada")).await, []);
}

async fn what_is_saved_is_loaded(kind: Kind) {
    let bench = Bench::new().await;
    let (store, other) = (bench.store(kind).await, bench.store(kind).await);
    let ada = name("ada", "phone");
    let filter = BTreeMap::from([("squad".to_owned(), BTreeSet::from(["platform".to_owned()]))]);
    let subscription = Subscription { filter, since: 40 };
    let change = Change {
        subscriptions: [("tasks".to_owned(), Edit::Subscribe(subscription.clone()))].into(),
        grants: [Address::new("user", "ada").unwrap(), Address::all()].into(),
        ..acked(42)
    };
    let saved = save(&store, &ada, &change).await;
    assert_eq!(saved.state.position, at(42));
    assert_eq!(saved.state.subscriptions.get("tasks"), Some(&subscription));
    assert_eq!(saved.state.last_seen, NOW + 42);
    assert_eq!(saved.state.connected.as_deref(), Some("gateway-1"));
    assert_eq!(load(&other, &ada).await.unwrap().state, saved.state);

    let change =
        Change { subscriptions: [("tasks".to_owned(), Edit::Unsubscribe)].into(), ..left(43, NOW + 50) };
    let saved = other.save(&ada, Some(&saved), &change).await.unwrap();
    assert!(saved.state.subscriptions.is_empty());
    assert_eq!((saved.state.position, saved.state.connected.as_deref()), (at(43), None));
    assert_eq!(load(&store, &ada).await.unwrap().state, saved.state);
    assert_eq!(store.save(&ada, Some(&saved), &change).await.unwrap().state, saved.state, "saved twice");
}

async fn positions_only_move_forward(kind: Kind) {
    let bench = Bench::new().await;
    let store = bench.store(kind).await;
    let ada = name("ada", "phone");
    let first = save(&store, &ada, &acked(10)).await;
    save(&store, &ada, &acked(30)).await;
    let out_of_date = store.save(&ada, Some(&first), &acked(20)).await.unwrap();
    assert_eq!(out_of_date.state.position, at(30));
    assert_eq!(load(&store, &ada).await.unwrap().state, out_of_date.state);
}

async fn concurrent_writers_never_move_a_position_back(kind: Kind) {
    const WRITERS: u64 = 12;
    const SAVES: u64 = 10;
    let bench = Bench::new().await;
    let gateways = [bench.store(kind).await, bench.store(kind).await];
    let ada = name("ada", "phone");
    let over = Arc::new(AtomicBool::new(false));
    let watching = tokio::spawn(watch(bench.store(kind).await, ada.clone(), Arc::clone(&over)));

    let writing = (0..WRITERS).map(|writer| {
        let (store, ada) = (Arc::clone(&gateways[usize::from(writer % 2 == 0)]), ada.clone());
        tokio::spawn(async move {
            let mut known = None;
            for save in 0..SAVES {
                // Each writer's own share of 1..=120, in scattered order.
                let sequence = (writer + save * WRITERS) * 71 % (WRITERS * SAVES) + 1;
                let saved = store.save(&ada, known.as_ref(), &acked(sequence)).await.unwrap();
                assert!(saved.state.position.sequence >= sequence);
                known = Some(saved);
            }
        })
    });
    for writer in writing.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    watching.await.unwrap();
    let last = load(&gateways[0], &ada).await.unwrap().state;
    assert_eq!((last.position, last.last_seen), (at(WRITERS * SAVES), NOW + WRITERS * SAVES));
}

/// Checks that loaded positions never go back.
async fn watch(store: Arc<dyn ConsumerStore>, name: ConsumerName, over: Arc<AtomicBool>) {
    let mut before = 0;
    while !over.load(Ordering::Relaxed) {
        let now = load(&store, &name).await.map_or(0, |stored| stored.state.position.sequence);
        assert!(now >= before, "went back from {before} to {now}");
        before = now;
        tokio::task::yield_now().await;
    }
}

async fn a_stream_made_anew_replaces_the_position(kind: Kind) {
    let bench = Bench::new().await;
    let store = bench.store(kind).await;
    let ada = name("ada", "phone");
    let first = save(&store, &ada, &acked(50)).await;
    let context = async_nats::jetstream::new(bench.client().await);
    context.delete_stream("ENVELOPES").await.unwrap();
    bench.topology().await;

    let position = Position { epoch: Epoch(0x18f4), sequence: 3 };
    let placed = PlacedPosition { generation: 0, position };
    let change = Change::new(placed, Presence::Connected("gateway-1".to_owned()), NOW + 60);
    assert_eq!(store.save(&ada, Some(&first), &change).await.unwrap().state.position, position);
    assert_eq!(load(&store, &ada).await.unwrap().state.position, position);
}

async fn who_is_not_saved_disappears(kind: Kind) {
    let bench = Bench::new().await;
    let store = bench.store_for(kind, Duration::from_secs(1)).await;
    let ada = name("ada", "phone");
    let saved = save(&store, &ada, &acked(1)).await;
    store.save(&ada, Some(&saved), &acked(2)).await.unwrap();
    eventually("the consumer disappears", async || load(&store, &ada).await.is_none()).await;
}

async fn ids_are_taken_as_they_are(kind: Kind) {
    let bench = Bench::new().await;
    let store = bench.store(kind).await;
    let (long, wide) = ("x".repeat(300), "\u{1f4e3}".repeat(75));
    let ids = ["john.doe@example.com", "a b", "*", ">", "-", "=2E", "Zo\u{eb}", "a/b\\c", "\n", &long, &wide];
    let names: BTreeSet<_> = ids.iter().flat_map(|id| [name(id, "default"), name("ada", id)]).collect();
    for (sequence, name) in (1..).zip(&names) {
        save(&store, name, &acked(sequence)).await;
    }
    for (sequence, name) in (1..).zip(&names) {
        assert_eq!(load(&store, name).await.unwrap().state.position, at(sequence), "{name}");
        assert!(listed(&store, Some(name.user())).await.contains(name), "{name}");
    }
    assert_eq!(listed(&store, None).await, names.iter().cloned().collect::<Vec<_>>());
    assert_eq!(store.purge_user(&tenant(), "*").await.unwrap(), 1, "a star is a user, not everybody");
}

async fn the_device_seen_longest_ago_gives_way(kind: Kind) {
    let bench = Bench::new().await;
    let store = bench.store(kind).await;
    let device = |number: usize| name("ada", &format!("device-{number}"));
    save(&store, &name("grace", "phone"), &left(1, NOW)).await;
    for number in 0..MAX_DEVICES {
        // Device 3 was seen before all others; devices 0 to 2 are connected.
        let seen_at = if number == 3 { NOW - 1 } else { NOW + number as u64 };
        let change = if number < 3 { Change { seen_at, ..acked(1) } } else { left(1, seen_at) };
        save(&store, &device(number), &change).await;
    }
    let before = listed(&store, Some("ada")).await;
    assert_eq!(before.len(), MAX_DEVICES);
    save(&store, &device(5), &acked(2)).await;
    assert_eq!(listed(&store, Some("ada")).await, before, "a device that is known takes no place");

    save(&store, &device(MAX_DEVICES), &acked(2)).await;
    let after = listed(&store, Some("ada")).await;
    assert_eq!(after.len(), MAX_DEVICES);
    assert!(after.contains(&device(MAX_DEVICES)) && !after.contains(&device(3)), "{after:?}");
    assert!(load(&store, &name("grace", "phone")).await.is_some(), "others are not touched");
}

async fn connected_devices_do_not_give_way(kind: Kind) {
    let bench = Bench::new().await;
    let store = bench.store(kind).await;
    for number in 0..MAX_DEVICES {
        save(&store, &name("ada", &number.to_string()), &acked(1)).await;
    }
    let error = store.save(&name("ada", "one more"), None, &acked(1)).await.unwrap_err();
    assert!(matches!(&error, ConsumerStoreError::TooManyDevices { user, .. } if user == "ada"), "{error:?}");
    assert_eq!(listed(&store, Some("ada")).await.len(), MAX_DEVICES);
}

async fn listing_is_by_tenant_and_by_user(kind: Kind) {
    let bench = Bench::new().await;
    let store = bench.store(kind).await;
    // More than the server or the store returns at a time.
    let users = match kind {
        Kind::Kv => 600,
        Kind::JetStream => 300,
    };
    let mut expected = Vec::new();
    for user in 0..users {
        let name = name(&format!("user-{user}"), "phone");
        save(&store, &name, &acked(user)).await;
        expected.push(name);
    }
    expected.sort();
    let elsewhere = ConsumerName::new("ops2".to_owned().try_into().unwrap(), "user-1", "phone").unwrap();
    save(&store, &elsewhere, &acked(1)).await;
    let tablet = name("user-1", "tablet");
    save(&store, &tablet, &acked(1)).await;

    assert_eq!(listed(&store, Some("user-1")).await, [name("user-1", "phone"), tablet.clone()]);
    assert!(store.remove(&tablet).await.unwrap());
    assert_eq!(listed(&store, None).await, expected);
}

async fn a_reset_moves_anywhere_and_stays(kind: Kind) {
    let bench = Bench::new().await;
    let store = bench.store(kind).await;
    let ada = name("ada", "phone");
    let saved = save(&store, &ada, &acked(50)).await;
    for target in [7, 0, 90, 20] {
        let reset = store.reset(&ada, placed(target)).await.unwrap().unwrap();
        assert_eq!(reset.state.position, at(target));
        assert_eq!(load(&store, &ada).await.unwrap().state, reset.state);
    }
    let ignorant = store.save(&ada, Some(&saved), &acked(60)).await.unwrap();
    assert_eq!(ignorant.state.position, at(20), "what was acknowledged before the reset does not undo it");
    let informed = Change { resets: ignorant.state.resets, ..acked(30) };
    assert_eq!(store.save(&ada, Some(&ignorant), &informed).await.unwrap().state.position, at(30));
}

async fn removed_is_gone(kind: Kind) {
    let bench = Bench::new().await;
    let store = bench.store(kind).await;
    let (phone, tablet, other) = (name("ada", "phone"), name("ada", "tablet"), name("ada2", "phone"));
    let mut saved = None;
    for name in [&phone, &tablet, &other] {
        saved = Some(save(&store, name, &acked(1)).await);
    }
    assert!(store.remove(&phone).await.unwrap());
    assert!(!store.remove(&phone).await.unwrap());
    assert_eq!(load(&store, &phone).await, None);
    save(&store, &phone, &acked(1)).await;
    assert_eq!(store.purge_user(&tenant(), "ada").await.unwrap(), 2);
    assert_eq!(listed(&store, None).await, std::slice::from_ref(&other));

    assert!(store.remove(&other).await.unwrap());
    let again = store.save(&other, saved.as_ref(), &acked(2)).await.unwrap();
    assert_eq!(
        load(&store, &other).await.unwrap().state,
        again.state,
        "a device that is still served comes back"
    );
}

async fn all_survives_a_crash_of_the_server(kind: Kind) {
    let mut bench = Bench::with("jetstream { sync_interval: always }").await;
    let store = bench.store(kind).await;
    let ada = name("ada", "phone");
    let saved = save(&store, &ada, &acked(42)).await;
    bench.server.kill().await.unwrap();
    bench.server.restart().await.unwrap();
    let other = bench.store(kind).await;
    assert_eq!(load(&other, &ada).await.unwrap().state, saved.state);
    // The first store reconnects by itself.
    let mut after = None;
    eventually("the store works after the crash", async || {
        after = store.save(&ada, Some(&saved), &acked(43)).await.ok();
        after.is_some()
    })
    .await;
    assert_eq!(load(&other, &ada).await.unwrap().state, after.unwrap().state);
}
