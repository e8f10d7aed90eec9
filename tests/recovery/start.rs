//! What a service finds when it starts: nothing yet, or something else than it needs.

use std::time::Duration;

use async_nats::jetstream::{self, kv};
use harness::{BOUND, Launch, Nats, SCHEMAS, SECRET, eventually, nats, nats_with, old_server};

use crate::site::{asked, dial, ready};

fn launch(nats: &Nats, command: &str) -> Launch {
    launch_at(nats.url(), nats, command)
}

fn launch_at(url: &str, nats: &Nats, command: &str) -> Launch {
    Launch::tidings([command])
        .folder(nats.folder())
        .variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
        .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
        .variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:0")
        .variable("TIDINGS_GATEWAY__DRAIN_TIME", "0s")
        .variable("TIDINGS_NATS__URL", url)
}

#[tokio::test]
async fn a_gateway_waits_for_the_streams_of_a_projector_and_makes_its_own_buckets_alone() {
    let nats = nats().await;
    let mut gateway = launch(&nats, "gateway").start();
    let line = gateway.line("gateway listens", BOUND).await;
    let (_, rest) = line.split_once("127.0.0.1:").unwrap();
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let address = format!("http://127.0.0.1:{port}");
    ready(&address, Some("stream EVENTS is missing")).await;
    assert_eq!(asked(&address, "/healthz").await.0, 200);
    let refusal = dial(&address, "ada").refused().await;
    assert!(refusal.status == 503 && refusal.headers.contains_key("retry-after"), "{refusal:?}");
    let context = jetstream::new(nats.client().await);
    for stream in ["EVENTS", "ENVELOPES", "REJECTED", "KV_PLACEMENTS"] {
        assert!(context.get_stream(stream).await.is_err(), "{stream}");
    }
    let mut projector = launch(&nats, "projector").start();
    projector.line("projector runs", BOUND).await;
    gateway.line("the gateway is ready", BOUND).await;
    ready(&address, None).await;
    assert!(!gateway.output().contains("created the stream stream=\"E"), "{}", gateway.output());
    for own in ["KV_CONSUMERS", "KV_USERS", "KV_KEYS", "KV_PREFERENCES", "KV_CONTACTS", "KV_RECEIPTS"] {
        context.get_stream(own).await.unwrap();
    }
    dial(&address, "ada").open().await.expect_nothing_before_pong(BOUND).await;
}

#[tokio::test]
async fn a_gateway_that_waits_ends_on_a_signal() {
    let nats = nats().await;
    let mut gateway = launch(&nats, "gateway").start();
    gateway.line("the gateway waits", BOUND).await;
    gateway.interrupt();
    let (status, output) = gateway.end(BOUND).await;
    assert!(status.success(), "{status}: {output}");
}

#[tokio::test]
async fn a_durable_consumer_with_a_filter_is_refused() {
    let nats = nats().await;
    let mut first = launch(&nats, "projector").start();
    first.line("projector runs", BOUND).await;
    let stream = jetstream::new(nats.client().await).get_stream("EVENTS").await.unwrap();
    let info =
        eventually("the projector has its consumer", BOUND, async || stream.consumer_info("projector").await);
    let mut config = info.await.config;
    first.interrupt();
    first.end(BOUND).await;
    config.filter_subject = "events.ops.>".to_owned();
    stream.delete_consumer("projector").await.unwrap();
    stream.create_consumer(config).await.unwrap();
    let failed = launch(&nats, "projector").variable("TIDINGS_TELEMETRY__LOG", "error").finish(BOUND).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    let expected = "filter_subjects is [\"events.ops.>\"], expected []";
    assert!(failed.errors.contains(expected), "{failed:?}");
}

#[tokio::test]
async fn a_bucket_with_other_settings_is_refused() {
    let day = Duration::from_secs(24 * 60 * 60);
    let plain = |bucket: &str| kv::Config { bucket: bucket.to_owned(), ..kv::Config::default() };
    for (command, bucket, setting) in [
        ("gateway", kv::Config { max_age: day, limit_markers: Some(day), ..plain("USERS") }, "max_age"),
        (
            "gateway",
            kv::Config { history: 5, limit_markers: Some(day), ..plain("CONSUMERS") },
            "max_msgs_per_subject",
        ),
        (
            "projector",
            kv::Config { limit_markers: Some(day), ..plain("PLACEMENTS") },
            "subject_delete_marker_ttl",
        ),
        ("projector", plain("PLACEMENTS"), "allow_msg_ttl"),
    ] {
        let nats = nats().await;
        let context = jetstream::new(nats.client().await);
        let name = bucket.bucket.clone();
        context.create_key_value(bucket).await.unwrap();
        // A gateway looks at its buckets when the projector's streams are there.
        let mut projector = (command == "gateway").then(|| launch(&nats, "projector").start());
        if let Some(projector) = &mut projector {
            projector.line("projector runs", BOUND).await;
        }
        let failed = launch(&nats, command).variable("TIDINGS_TELEMETRY__LOG", "error").finish(BOUND).await;
        assert_eq!(failed.code, Some(1), "{failed:?}");
        assert!(failed.errors.contains(setting) && failed.errors.contains(&name), "{failed:?}");
    }
}

/// An older server would say that it is one; what it lacks would look like other settings.
#[tokio::test]
async fn a_server_that_is_too_old_is_named_with_what_is_needed() {
    let nats = nats().await;
    let old = old_server(nats.url()).await;
    for command in ["gateway", "projector"] {
        let launch = launch_at(&old, &nats, command).variable("TIDINGS_TELEMETRY__LOG", "error");
        let failed = launch.finish(BOUND).await.failed();
        assert!(failed.contains("nats-server 2.10.29") && failed.contains("2.14.0 or later"), "{failed}");
    }
}

#[tokio::test]
async fn an_account_that_allows_no_consumers_ends_a_gateway_with_one() {
    let users = "accounts { A { jetstream: { max_consumers: 1 }, users: [{ user: a, password: a }] } }\nno_auth_user: a";
    let nats = nats_with(|options| options.config(users)).await;
    let mut projector = launch(&nats, "projector").start();
    projector.line("projector runs", BOUND).await;
    let failed = launch(&nats, "gateway").variable("TIDINGS_TELEMETRY__LOG", "error").finish(BOUND).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.errors.contains("maximum consumers limit"), "{failed:?}");
}
