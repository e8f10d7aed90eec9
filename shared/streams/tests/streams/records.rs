//! An invalid record affects only its key, and is reported.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::kv;
use futures_util::StreamExt as _;
use serde_json::{Map, Value};
use tidings_model::{Epoch, PlacedPosition, Placement, Position, ShardNumber, Tenant};
use tidings_streams::consumers::{
    Change, ConsumerName, ConsumerSettings, ConsumerStore, ConsumerStoreError, KvConsumers, Presence,
};
use tidings_streams::users::{Mark, UserName, UserNews, Users, UsersError};
use tidings_streams::{
    BucketSettings, CatalogStoreError, PlacementError, RecordError, record_catalogs, running_catalog,
};

use crate::support::{SOON, Scene};

const BUCKET: BucketSettings = BucketSettings { replicas: 1, in_memory: false };

/// Invalid records derived from a valid one, each with the expected part of the error text.
fn spoiled(good: &[u8]) -> Vec<(String, String)> {
    let good: Map<String, Value> = serde_json::from_slice(good).unwrap();
    let with = |name: &str, value: Value| {
        let mut members = good.clone();
        members.insert(name.to_owned(), value);
        Value::Object(members).to_string()
    };
    let mut spoiled = vec![
        (String::new(), "empty".to_owned()),
        ("garbage".to_owned(), "not a JSON object".to_owned()),
        ("[]".to_owned(), "not a JSON object".to_owned()),
        (r#"{"stream":"EVENTS","seq":5}"#.to_owned(), "`version`".to_owned()),
        (r#"{"stream":"EVENTS","seq":5,"version":1}"#.to_owned(), "unknown field `stream`".to_owned()),
        (with("seq", 5.into()), "unknown field `seq`".to_owned()),
        (with("version", 2.into()), "update Tidings".to_owned()),
        (with("version", 0.into()), "version 0".to_owned()),
    ];
    for name in good.keys() {
        let mut members = good.clone();
        members.remove(name);
        spoiled.push((Value::Object(members).to_string(), format!("`{name}`")));
    }
    spoiled
}

#[track_caller]
fn assert_says(error: &RecordError, expected: &str, json: &str) {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    assert!(format!("{error}: {source}").contains(expected), "{json:?}: {error}: {source}");
}

async fn bucket(scene: &Scene, name: &str) -> kv::Store {
    scene.context.get_key_value(name).await.unwrap()
}

fn tenant(name: &str) -> Tenant {
    Tenant::parse(name).unwrap()
}

#[tokio::test]
async fn users() {
    let scene = Scene::new().await;
    let client = scene.nats.client().await;
    let users = Users::open(&async_nats::jetstream::new(client.clone()), BUCKET).await.unwrap();
    let name = |user: &str| UserName::new(tenant("t"), user).unwrap();
    let mark = Mark { since: 7, by: "root".to_owned(), reason: None };
    users.disable(&name("ada"), &mark).await.unwrap();
    let bucket = bucket(&scene, "USERS").await;
    let good = bucket.get("t.ada").await.unwrap().unwrap();
    let mut running = users.watch();
    assert!(matches!(running.next().await, UserNews::All(..)));
    for (json, reason) in spoiled(&good) {
        bucket.put("t.bo", json.clone().into()).await.unwrap();
        match tokio::time::timeout(SOON, running.next()).await.unwrap() {
            UserNews::One(user, None) => assert_eq!(user, name("bo")),
            other => panic!("{json:?}: {other:?}"),
        }
        let UserNews::All(_, all) = users.watch().next().await else { panic!("{json:?}") };
        assert_eq!(all[&name("bo")], None, "{json:?}");
        assert_eq!(all[&name("ada")].as_ref().unwrap().disabled, Some(mark.clone()), "{json:?}");
        for done in [users.load(&name("bo")).await, users.enable(&name("bo")).await] {
            let Err(UsersError::Damaged { source, .. }) = done else { panic!("{json:?}: {done:?}") };
            assert_says(&source, &reason, &json);
        }
        assert_eq!(bucket.get("t.bo").await.unwrap().unwrap(), json.as_bytes(), "nobody overwrites it");
    }
    bucket.put("t.bo", good).await.unwrap();
    assert!(matches!(running.next().await, UserNews::One(_, Some(_))));
}

#[tokio::test]
async fn placements() {
    let scene = Scene::new().await;
    let placements = scene.topology.placements();
    let (good_one, other) = (tenant("good"), tenant("bad"));
    let rebuilt = |placement: &mut Placement| _ = placement.request(ShardNumber(1), Some(5), 7);
    placements.change(&good_one, ShardNumber(1), rebuilt).await.unwrap();
    let bucket = bucket(&scene, "PLACEMENTS").await;
    let good = bucket.get("good").await.unwrap().unwrap();
    for (json, reason) in spoiled(&good) {
        bucket.put("bad", json.clone().into()).await.unwrap();
        let all = placements.all().await.unwrap();
        assert_eq!(all.placements.keys().collect::<Vec<_>>(), [&good_one], "{json:?}");
        assert_eq!(all.unreadable.iter().collect::<Vec<_>>(), [&other], "{json:?}");
        let changed = placements.change(&other, ShardNumber(0), rebuilt).await;
        for done in [placements.load(&other).await, changed] {
            let Err(PlacementError::Damaged { source, .. }) = done else { panic!("{json:?}: {done:?}") };
            assert_says(&source, &reason, &json);
        }
        assert_eq!(bucket.get("bad").await.unwrap().unwrap(), json.as_bytes(), "nobody overwrites it");
    }
    bucket.put("bad", good).await.unwrap();
    let all = placements.all().await.unwrap();
    assert_eq!((all.placements.len(), all.unreadable.len()), (2, 0));
}

#[tokio::test]
async fn consumers() {
    let scene = Scene::new().await;
    let (client, day) = (scene.nats.client().await, Duration::from_secs(24 * 60 * 60));
    let kept = ConsumerSettings { replicas: 1, in_memory: false, inactive_after: day };
    let store = KvConsumers::open(&async_nats::jetstream::new(client.clone()), &kept).await.unwrap();
    let name = |device: &str| ConsumerName::new(tenant("t"), "ada", device).unwrap();
    let acked = |sequence| {
        let position = Position { epoch: Epoch(1), sequence };
        let position = PlacedPosition { generation: 0, position };
        Change::new(position, Presence::Connected("gateway".to_owned()), 1_800_000_000 + sequence)
    };
    // It started at the beginning, which needs no member.
    let first = store.save(&name("phone"), None, &acked(0)).await.unwrap();
    store.save(&name("phone"), Some(&first), &acked(1)).await.unwrap();
    let bucket = bucket(&scene, "CONSUMERS").await;
    let good = bucket.get("t.ada.phone").await.unwrap().unwrap();
    for (json, reason) in spoiled(&good) {
        // A gateway that loads the device fails.
        bucket.put("t.ada.desk", json.clone().into()).await.unwrap();
        let loaded = store.load(&name("desk")).await;
        let Err(ConsumerStoreError::Damaged { source, .. }) = loaded else { panic!("{json:?}: {loaded:?}") };
        assert_says(&source, &reason, &json);
        assert_eq!(store.load(&name("phone")).await.unwrap().unwrap().state.position.sequence, 1);
        let listed: Vec<_> = store.list(&tenant("t"), None).collect().await;
        assert_eq!((listed.len(), listed.iter().filter(|listed| listed.is_ok()).count()), (2, 1), "{json:?}");
        // A gateway that already serves the device knows the state and writes it again, except over a record of a
        // newer Tidings.
        assert!(store.remove(&name("desk")).await.unwrap());
        let known = store.save(&name("desk"), None, &acked(4)).await.unwrap();
        bucket.put("t.ada.desk", json.clone().into()).await.unwrap();
        let saved = store.save(&name("desk"), Some(&known), &acked(5)).await;
        if reason.contains("update") {
            assert!(matches!(saved, Err(ConsumerStoreError::Damaged { .. })), "{json:?}: {saved:?}");
            assert_eq!(bucket.get("t.ada.desk").await.unwrap().unwrap(), json.as_bytes());
        } else {
            let expected = acked(5).apply(Some(&known.state));
            assert_eq!(saved.unwrap().state, expected, "{json:?}");
            assert_eq!(store.load(&name("desk")).await.unwrap().unwrap().state, expected, "{json:?}");
        }
    }
}

#[tokio::test]
async fn catalogs() {
    let scene = Scene::new().await;
    let files = BTreeMap::from([("catalog.toml".to_owned(), "grants = []".to_owned())]);
    let (good_one, other) = (tenant("good"), tenant("bad"));
    record_catalogs(&scene.topology, [(&good_one, &files)]).await.unwrap();
    let bucket = bucket(&scene, "CATALOGS").await;
    let good = bucket.get("good").await.unwrap().unwrap();
    for (json, reason) in spoiled(&good) {
        bucket.put("bad", json.clone().into()).await.unwrap();
        let read = running_catalog(&scene.topology, &other).await;
        let Err(CatalogStoreError::Damaged { source, .. }) = read else { panic!("{json:?}: {read:?}") };
        assert_says(&source, &reason, &json);
        assert_eq!(running_catalog(&scene.topology, &good_one).await.unwrap(), Some(files.clone()));
    }
    record_catalogs(&scene.topology, [(&other, &files)]).await.unwrap();
    assert_eq!(running_catalog(&scene.topology, &other).await.unwrap(), Some(files));
}
