//! Reads of single envelopes; an envelope is read as it was written.

use harness::{BEHIND, replica_behind};
use tidings_model::Attribute;
use tidings_streams::{EnvelopeWriter, Settings, Topology, fetch, newest, publish_event};
use time::{Duration, OffsetDateTime};

use crate::support::{Scene, envelope, latest, settings, store};

#[tokio::test]
async fn an_envelope_comes_back_as_it_was_written() {
    let scene = Scene::new().await;
    let now = OffsetDateTime::now_utc();
    let mut full = latest(3, "a key.with *>");
    full.event_id = "ü/1 = \"x\"".to_owned();
    full.event_source = Some("/orders".to_owned());
    let several = Attribute::new(vec!["a".to_owned(), "line\nbreak".to_owned(), "[]".to_owned()]).unwrap();
    full.attributes =
        [("squad".to_owned(), "line\nbreak \u{0}é".to_owned().into()), ("teams".to_owned(), several)].into();
    full.trace_parent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    full.expires_at =
        Some(OffsetDateTime::from_unix_timestamp(now.unix_timestamp()).unwrap() + Duration::HOUR);
    (full.origin.message, full.origin.part) = (2, 7);
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    for envelope in [&envelope(1), &full] {
        store(&mut writer, envelope).await;
    }
    assert_eq!(fetch(&scene.topology, 1).await.unwrap().unwrap().envelope, envelope(1));
    let stored = fetch(&scene.topology, 2).await.unwrap().unwrap();
    assert_eq!((stored.sequence, stored.envelope), (2, full));
}

#[tokio::test]
async fn the_newest_of_a_key_is_found_and_what_is_gone_is_not() {
    let scene = Scene::new().await;
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    for (n, key) in [(1, "a"), (2, "b"), (3, "a")] {
        store(&mut writer, &latest(n, key)).await;
    }
    let newest_of = async |key| {
        let found = newest(&scene.topology, &latest(0, key).subject, 0).await.unwrap();
        found.map(|stored| stored.sequence)
    };
    assert_eq!(newest_of("a").await, Some(3));
    assert_eq!(newest_of("b").await, Some(2));
    assert_eq!(newest_of("c").await, None);
    assert!(fetch(&scene.topology, 1).await.unwrap().is_none(), "replaced");
    assert!(fetch(&scene.topology, 9).await.unwrap().is_none(), "not there yet");
}

/// Any replica answers a direct get, also one that is behind: what it does not have is not gone.
#[tokio::test]
async fn what_a_replica_does_not_have_yet_is_there() {
    let scene = Scene::new().await;
    replica_behind(scene.nats.client().await).await;
    let behind = Settings { api_prefix: BEHIND.to_owned(), ..settings() };
    let topology = Topology::ensure(&scene.nats.client().await, &behind).await.unwrap();
    let found = async || {
        let fetched = fetch(&topology, 1).await.unwrap();
        let newest = newest(&topology, &latest(0, "a").subject, 0).await.unwrap();
        (fetched.is_some(), newest.is_some())
    };
    assert_eq!(found().await, (false, false));
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    store(&mut writer, &latest(1, "a")).await;
    assert_eq!(found().await, (true, true));
}

#[tokio::test]
async fn an_event_is_stored_as_often_as_it_is_published() {
    let scene = Scene::new().await;
    let client = scene.topology.client();
    let publish = async |subject: &str, id: &str| publish_event(&client, subject, id, "{}".into()).await;
    assert_eq!(publish("events.t.note.added", "1").await.unwrap(), 1);
    assert_eq!(publish("events.u.note.added", "1").await.unwrap(), 2, "tenants have ids of their own");
    assert_eq!(publish("events.t.note.added", "1").await.unwrap(), 3, "the projector drops repetitions");
    let error = publish("nowhere.t", "1").await.unwrap_err();
    assert!(error.to_string().contains("nowhere.t"), "{error}");
    assert!(publish("events.t.note.added", "a\nb").await.unwrap_err().to_string().contains("a\\nb"));
}
