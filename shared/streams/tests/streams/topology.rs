//! Streams are created if they are missing, refused if they cannot be used, and not altered, except for the
//! deduplication of `EVENTS` and the fast ingest of both.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::{self, stream::Config};
use harness::eventually;
use tidings_model::Tenant;
use tidings_streams::{
    CatalogStoreError, EnvelopeWriter, Settings, Topology, TopologyError, WriteError, are_catalogs_recorded,
    record_catalogs, running_catalog,
};
use time::OffsetDateTime;

use crate::support::{SOON, Scene, envelope, settings, store};

#[tokio::test]
async fn streams_are_created_once_and_found_again() {
    let nats = harness::nats().await;
    let client = nats.client().await;
    let first = Topology::ensure(&client, &settings()).await.unwrap();
    let again = Topology::ensure(&client, &settings()).await.unwrap();
    assert_eq!(first.extent().await.unwrap(), again.extent().await.unwrap());

    let at_once = [nats.client().await, nats.client().await];
    for name in ["EVENTS", "ENVELOPES", "REJECTED"] {
        jetstream::new(client.clone()).delete_stream(name).await.unwrap();
    }
    let [one, other] = at_once.each_ref().map(|client| async { Topology::ensure(client, &settings()).await });
    let (one, other) = tokio::join!(one, other);
    let (one, other) = (one.unwrap().extent().await, other.unwrap().extent().await);
    assert_eq!(one.unwrap(), other.unwrap());
}

type Change = fn(&mut Config);

#[tokio::test]
async fn a_stream_that_cannot_serve_is_refused_and_left_as_it_is() {
    let nats = harness::nats().await;
    let client = nats.client().await;
    let context = jetstream::new(client.clone());
    let cases: [(&str, Change, &[&str]); 5] = [
        ("ENVELOPES", |config| config.allow_rollup = false, &["allow_rollup_hdrs is false, expected true"]),
        ("ENVELOPES", |config| config.allow_direct = false, &["allow_direct is false, expected true"]),
        (
            "EVENTS",
            |config| config.subjects = vec!["other.>".into()],
            &["subjects is [\"other.>\"], expected [\"events.>\"]"],
        ),
        (
            "EVENTS",
            |config| config.discard = jetstream::stream::DiscardPolicy::Old,
            &["discard is Old, expected New"],
        ),
        (
            "REJECTED",
            |config| (config.max_messages_per_subject, config.no_ack) = (5, true),
            &["max_msgs_per_subject is 5, expected 1", "no_ack is true, expected false"],
        ),
    ];
    for (name, change, expected) in cases {
        Topology::ensure(&client, &settings()).await.unwrap();
        let mut config = context.get_stream(name).await.unwrap().cached_info().config.clone();
        context.delete_stream(name).await.unwrap();
        change(&mut config);
        let before = context.create_stream(config).await.unwrap().cached_info().config.clone();

        let error = Topology::ensure(&client, &settings()).await.unwrap_err();
        let TopologyError::Different { stream, differences } = &error else { panic!("{error}") };
        assert_eq!(stream, name);
        let found: Vec<_> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
        assert!(error.to_string().contains(&format!("`nats stream edit {name}`")), "{error}");
        assert_eq!(context.get_stream(name).await.unwrap().cached_info().config, before);
        context.delete_stream(name).await.unwrap();
    }
}

/// The bucket that is created when catalogs are first recorded is checked like those that every process opens.
#[tokio::test]
async fn a_bucket_of_catalogs_that_cannot_serve_is_refused() {
    let nats = harness::nats().await;
    let client = nats.client().await;
    let context = jetstream::new(client.clone());
    let topology = Topology::ensure(&client, &settings()).await.unwrap();
    let (tenant, files) = (Tenant::parse("ops").unwrap(), BTreeMap::new());
    let record = || record_catalogs(&topology, [(&tenant, &files)]);
    assert!(!are_catalogs_recorded(&topology).await.unwrap());
    record().await.unwrap();
    assert!(are_catalogs_recorded(&topology).await.unwrap());
    assert_eq!(running_catalog(&topology, &tenant).await.unwrap(), Some(files.clone()));
    // As `nats kv add` and earlier versions created it.
    let made = context.get_stream("KV_CATALOGS").await.unwrap().cached_info().config.clone();
    context.delete_key_value("CATALOGS").await.unwrap();
    let by_others = jetstream::kv::Config { bucket: "CATALOGS".into(), history: 8, ..Default::default() };
    context.create_key_value(by_others).await.unwrap();
    record().await.unwrap();
    let changes: [(Change, &str); 3] = [
        (|config| config.max_age = Duration::from_secs(3_600), "max_age is 3600s, expected 0ns"),
        (|config| config.max_messages_per_subject = 1, "max_msgs_per_subject is 1, expected 8"),
        (|config| config.allow_direct = false, "allow_direct is false, expected true"),
    ];
    for (change, expected) in changes {
        context.delete_stream("KV_CATALOGS").await.unwrap();
        let mut config = made.clone();
        change(&mut config);
        context.create_stream(config).await.unwrap();
        for error in [record().await.unwrap_err(), running_catalog(&topology, &tenant).await.unwrap_err()] {
            let CatalogStoreError::Bucket(TopologyError::Different { stream, differences }) = &error else {
                panic!("{error}")
            };
            assert_eq!((stream.as_str(), differences[0].to_string().as_str()), ("KV_CATALOGS", expected));
        }
    }
}

#[tokio::test]
async fn other_limits_are_the_operators_and_are_respected() {
    let nats = harness::nats().await;
    let client = nats.client().await;
    Topology::ensure(&client, &settings()).await.unwrap();
    let hour = Duration::from_secs(60 * 60);
    let wanted = Settings { envelopes_max_age: hour, envelopes_max_bytes: Some(1 << 30), ..settings() };
    Topology::ensure(&client, &wanted).await.unwrap();
    let config = jetstream::new(client).get_stream("ENVELOPES").await.unwrap().cached_info().config.clone();
    assert_eq!((config.max_age, config.max_bytes), (24 * hour, -1));
}

/// Also if an older version created the stream: only a projector alters it, even while events are published.
#[tokio::test]
async fn the_server_deduplicates_no_events() {
    let nats = harness::nats().await;
    let client = nats.client().await;
    let context = jetstream::new(client.clone());
    let try_publish = async |tenant: &str| {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", "order-17");
        let subject = format!("events.{tenant}.order.placed");
        let ack = context.publish_with_headers(subject, headers, "{}".into()).await.unwrap().await.unwrap();
        if ack.duplicate { Err(format!("{tenant}: a duplicate")) } else { Ok(ack.sequence) }
    };
    let publish = async |tenant: &str| try_publish(tenant).await.unwrap();
    Topology::ensure(&client, &settings()).await.unwrap();
    assert_eq!((publish("one").await, publish("two").await, publish("one").await), (1, 2, 3));

    let mut config = context.get_stream("EVENTS").await.unwrap().cached_info().config.clone();
    assert_eq!(config.duplicate_window, Duration::ZERO);
    context.delete_stream("EVENTS").await.unwrap();
    (config.duplicate_window, config.sources) = (Duration::from_secs(120), None);
    context.create_stream(config).await.unwrap();
    publish("one").await;
    Topology::find(&client, &settings()).await.unwrap();
    let found = async || context.get_stream("EVENTS").await.unwrap().cached_info().config.duplicate_window;
    assert_eq!(found().await, Duration::from_secs(120), "a gateway alters nothing");
    Topology::ensure(&client, &settings()).await.unwrap();
    assert_eq!(found().await, Duration::ZERO);
    // The server forgets what it knew a moment later, by a timer.
    assert_eq!(eventually("it has forgotten", SOON, async || try_publish("one").await).await, 2);
    assert_eq!(publish("two").await, 3);
    Topology::ensure(&client, &settings()).await.unwrap().restore().await.unwrap();
    assert_eq!(publish("one").await, 4, "nothing is lost");
}

#[tokio::test]
async fn a_server_without_jetstream_is_named() {
    let nats = harness::nats_with(|options| {
        options.config("accounts { A { users: [{ user: a, password: a }] } }\nno_auth_user: a")
    })
    .await;
    let error = Topology::ensure(&nats.client().await, &settings()).await.unwrap_err();
    assert!(matches!(&error, TopologyError::NoJetStream { .. }), "{error:?}");
    assert!(error.to_string().contains("JetStream"), "{error}");
}

/// As an earlier version has created it.
#[tokio::test]
async fn a_stream_without_fast_ingest_gets_it() {
    let scene = Scene::new().await;
    scene.write(1..=3).await;
    let mut config = scene.stream("ENVELOPES").await.cached_info().config.clone();
    config.allow_batch_publish = false;
    config.subjects.push("fences.>".to_owned());
    scene.context.update_stream(config).await.unwrap();
    let events = scene.stream("EVENTS").await.cached_info().config.clone();
    scene.context.update_stream(Config { allow_batch_publish: false, ..events }).await.unwrap();
    // A gateway takes the streams as they are.
    Topology::find(&scene.nats.client().await, &settings()).await.unwrap();
    assert!(!scene.stream("EVENTS").await.cached_info().config.allow_batch_publish);
    assert!(!scene.stream("ENVELOPES").await.cached_info().config.allow_batch_publish);
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    writer.send(&envelope(4), OffsetDateTime::now_utc()).await.unwrap();
    let refused = writer.confirm().await.unwrap_err();
    assert!(matches!(refused, WriteError::Unavailable(_)), "{refused:?}");
    let topology = scene.other_topology().await;
    assert!(scene.stream("EVENTS").await.cached_info().config.allow_batch_publish);
    assert!(scene.stream("ENVELOPES").await.cached_info().config.allow_batch_publish);
    let (mut writer, _) = EnvelopeWriter::open(&topology).await.unwrap();
    assert_eq!(store(&mut writer, &envelope(4)).await, 4);
}
