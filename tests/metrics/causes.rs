//! Each cause and the figures that it moves; together they are all metrics that the documents list.

use std::collections::BTreeSet;

use harness::{BOUND, Gateway, System, Tidings, token};
use rustix::process::Signal;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::canary;
use crate::figures::{Figures, figures, listed, taken_apart, until};
use crate::queries;
use crate::scene::{LISTEN, Scene, address_of};

/// Metrics that are there, and whose causes pass by too quickly, or need a fault of NATS, to be waited for here; unit tests
/// beside the code show that they move.
const SHOWN_ELSEWHERE: [&str; 16] = [
    "tidings_dispatcher_attempts_total",
    "tidings_dispatcher_due_deliveries",
    "tidings_dispatcher_lag_messages",
    "tidings_dispatcher_lag_seconds",
    "tidings_dispatcher_waiting_deliveries",
    "tidings_gateway_replays",
    "tidings_gateway_reader_lag_messages",
    "tidings_gateway_reader_lag_seconds",
    "tidings_projector_lag_events",
    "tidings_projector_lag_seconds",
    "tidings_projector_in_flight_envelopes",
    "tidings_projector_queued_envelopes",
    "tidings_projector_rebuilds",
    "tidings_projector_rebuild_events",
    "tidings_projector_rebuild_left_events",
    "tidings_nats_errors_total",
];

/// Watches figures move.
struct Watch {
    addresses: Vec<String>,
    moved: BTreeSet<String>,
}

impl Watch {
    /// Waits until each of these series has risen because of the cause.
    async fn moves(&mut self, cause: &str, expected: &[&str], work: impl Future<Output = ()>) {
        let before = figures(&self.addresses).await;
        work.await;
        let value = |figures: &Figures, series: &str| figures.get(series).copied().unwrap_or_default();
        until(cause, &self.addresses, |now| {
            expected.iter().all(|series| value(now, series) > value(&before, series))
        })
        .await;
        self.moved.extend(expected.iter().map(|series| metric_of(series)));
    }
}

/// The metric that a series belongs to.
fn metric_of(series: &str) -> String {
    let (name, _) = taken_apart(series);
    let stem = ["_bucket", "_count", "_sum"].iter().find_map(|suffix| name.strip_suffix(suffix));
    stem.filter(|stem| stem.ends_with("_seconds")).unwrap_or(name).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_moves_when_its_cause_happens() {
    let limits =
        "[gateway.tenants.lab]\nconnections_per_user = 8\npublish_per_minute = 1\npublish_burst = 1\n";
    let mut scene = Scene::start(|setup| setup.file(limits)).await;
    // Where memory and windows are as small as can be, replays and full queues are easily had.
    let small = [
        LISTEN,
        ("TIDINGS_GATEWAY__HOT_TAIL_BYTES", "1 B"),
        ("TIDINGS_GATEWAY__WINDOW_MESSAGES", "1"),
        ("TIDINGS_GATEWAY__WORKERS", "1"),
    ];
    let mut small = scene.system.another_gateway(&small).await;
    let small_figures = address_of(&mut small.process).await;
    let addresses = [&*scene.gateway, &*scene.projector, &*small_figures].map(str::to_owned);
    let mut watch = Watch { addresses: addresses.to_vec(), moved: BTreeSet::new() };

    started(&mut watch).await;
    connected(&mut watch, &scene).await;
    refused(&mut watch, &scene).await;
    let _short = replayed(&mut watch, &scene, &small.address).await;
    projected(&mut watch, &scene).await;
    reloaded(&mut watch, &scene).await;
    watch
        .moves("NATS restarts", &["tidings_nats_reconnects_total"], async {
            scene.system.nats.kill().await.unwrap();
            scene.system.nats.restart().await.unwrap();
        })
        .await;

    let _dispatcher = dispatched(&mut watch, &scene).await;
    let (_canary, address) = canary::measures(&mut scene).await;
    watch.addresses.push(address);
    watch.moved.extend(canary::METRICS.map(str::to_owned));

    let there = figures(&watch.addresses).await;
    queries::check(&there);
    let there: BTreeSet<String> = there.keys().map(|series| metric_of(series)).collect();
    // Without a source there are no figures of any; the projector's tests have some.
    let documented = listed().into_iter().map(|metric| metric.name);
    let documented: BTreeSet<String> =
        documented.filter(|name| !name.starts_with("tidings_source_")).collect();
    assert_eq!(there, documented, "the documents list all metrics, and no others");
    watch.moved.extend(SHOWN_ELSEWHERE.map(str::to_owned));
    assert_eq!(watch.moved, documented, "each has a cause here");
    scene.system.check_well();
}

/// What has moved by the start of the processes alone.
async fn started(watch: &mut Watch) {
    let expected = [
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
        "process_virtual_memory_bytes",
        "tidings_catalog_loaded_timestamp_seconds",
        "tidings_nats_connected",
        "tidings_nats_received_bytes_total",
        "tidings_nats_sent_bytes_total",
        r#"tidings_projector_active{shard="0"}"#,
        r#"tidings_projector_takeovers_total{shard="0"}"#,
    ];
    let with_labels = ["tidings_build_info", "tidings_catalog_info"];
    until("the start", &watch.addresses, |now| {
        let has = |metric: &str| now.keys().any(|series| metric_of(series) == metric);
        expected.iter().all(|series| now.get(*series).is_some_and(|value| *value > 0.0))
            && with_labels.iter().all(|metric| has(metric))
    })
    .await;
    watch.moved.extend(expected.iter().map(|series| metric_of(series)));
    watch.moved.extend(with_labels.map(str::to_owned));
}

/// Returns a dispatcher that is watched from there on. No channel is configured.
async fn dispatched(watch: &mut Watch, scene: &Scene) -> Tidings {
    let mut dispatcher = scene.system.dispatcher(&[LISTEN]).await;
    watch.addresses.push(address_of(&mut dispatcher).await);
    let expected =
        [r#"tidings_dispatcher_active{shard="0"}"#, r#"tidings_dispatcher_takeovers_total{shard="0"}"#];
    until("the dispatcher leads", &watch.addresses, |now| {
        expected.iter().all(|series| now.get(*series) == Some(&1.0))
    })
    .await;
    watch.moved.extend(expected.iter().map(|series| metric_of(series)));
    let expected = [
        r#"tidings_dispatcher_scheduled_deliveries_total{shard="0"}"#,
        r#"tidings_dispatcher_lateness_seconds_count{shard="0"}"#,
        r#"tidings_dispatcher_decided_deliveries_total{shard="0",status="skipped"}"#,
        r#"tidings_dispatcher_skipped_deliveries_total{shard="0",reason="no_channel"}"#,
    ];
    watch.moves("a fallback is due", &expected, scene.note("dora", 1, "")).await;
    dispatcher
}

async fn connected(watch: &mut Watch, scene: &Scene) {
    let gateway = scene.system.address();
    let mut clients = Vec::new();
    let expected = [
        r#"tidings_gateway_handshakes_total{result="accepted"}"#,
        r#"tidings_gateway_connections{form="plain",state="live"}"#,
        r#"tidings_gateway_connections{form="sequenced",state="live"}"#,
        r#"tidings_gateway_tenant_connections{tenant="lab"}"#,
        r#"tidings_gateway_consumer_saves_total{result="saved"}"#,
        "tidings_gateway_consumer_save_seconds_count",
    ];
    watch
        .moves("two clients connect", &expected, async {
            clients.push(Scene::sequenced(gateway, "ada", "one").await);
            clients.push(Scene::dial(gateway, "ada", "two").open().await);
        })
        .await;
    let expected = [
        r#"tidings_projector_events_total{shard="0"}"#,
        r#"tidings_projector_envelopes_total{shard="0",cause="event"}"#,
        r#"tidings_projector_delay_seconds_count{shard="0"}"#,
        r#"tidings_gateway_delivered_messages_total{source="live"}"#,
        r#"tidings_gateway_tenant_delivered_messages_total{tenant="lab"}"#,
        "tidings_gateway_sent_bytes_total",
        "tidings_gateway_delivery_seconds_count",
        r#"tidings_gateway_mailbox_envelopes{shard="0"}"#,
        r#"tidings_gateway_mailbox_bytes{shard="0"}"#,
        r#"tidings_gateway_hot_tail_envelopes{shard="0"}"#,
        r#"tidings_gateway_hot_tail_bytes{shard="0"}"#,
    ];
    let mut sequence = 0;
    watch
        .moves("a message is delivered", &expected, async {
            scene.note("ada", 1, "").await;
            sequence = clients[0].next_json(BOUND).await["seq"].as_u64().unwrap();
            clients[1].next_json(BOUND).await;
        })
        .await;
    let expected = [
        "tidings_gateway_acknowledgements_total",
        "tidings_gateway_received_messages_total",
        "tidings_gateway_received_bytes_total",
    ];
    watch
        .moves("a client acknowledges", &expected, async {
            clients[0].send_json(&json!({ "action": "ack", "seq": sequence })).await;
        })
        .await;
    let published = r#"tidings_gateway_tenant_published_events_total{tenant="lab"}"#;
    watch
        .moves("a client publishes", &[published], async {
            clients[0]
                .send_json(&json!({ "action": "note", "id": "1", "data": { "user": "ada", "n": 2 } }))
                .await;
        })
        .await;
    let expected = [
        r#"tidings_gateway_closes_total{by="client",code="1000"}"#,
        r#"tidings_gateway_closes_total{by="gateway",code="1002"}"#,
        r#"tidings_gateway_closes_total{by="nobody",code="1006"}"#,
    ];
    watch
        .moves("connections end", &expected, async {
            let (mut plain, mut sequenced) = (clients.pop().unwrap(), clients.pop().unwrap());
            let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            plain.send(Message::Close(Some(close))).await;
            // A Pong is a control frame, of at most 125 bytes.
            sequenced.send(Message::Pong(vec![0; 126].into())).await;
            sequenced.close_code(BOUND).await;
            drop(Scene::sequenced(gateway, "ada", "three").await);
        })
        .await;
}

async fn refused(watch: &mut Watch, scene: &Scene) {
    let gateway = scene.system.address();
    let forged = r#"tidings_gateway_handshakes_total{result="TOKEN_SIGNATURE"}"#;
    watch
        .moves("a token is forged", &[forged], async {
            let token =
                token("another-secret-of-32-or-more-bytes!!", json!({ "tenant": "lab", "sub": "eve" }));
            harness::Dial::new(gateway).bearer(&token).refused().await;
        })
        .await;
    let expected = [
        r#"tidings_gateway_errors_total{code="UNKNOWN_ACTION"}"#,
        r#"tidings_gateway_errors_total{code="RATE_LIMITED"}"#,
        r#"tidings_gateway_limit_refusals_total{limit="publish_per_minute"}"#,
        r#"tidings_gateway_tenant_limit_refusals_total{tenant="lab",limit="publish_per_minute"}"#,
    ];
    let mut client = Scene::sequenced(gateway, "eve", "one").await;
    watch
        .moves("a client asks for too much", &expected, async {
            client.send_json(&json!({ "action": "fly" })).await;
            for id in ["1", "2"] {
                client
                    .send_json(&json!({ "action": "note", "id": id, "data": { "user": "eve", "n": 3 } }))
                    .await;
            }
        })
        .await;
    client.close().await;
}

/// Returns a gateway that is watched from there on.
async fn replayed(watch: &mut Watch, scene: &Scene, small: &str) -> Gateway {
    let gateway = scene.system.address();
    for device in ["memory", "stream", "scan"] {
        Scene::sequenced(gateway, "bob", device).await.close().await;
    }
    let padding = "x".repeat(8 * 1024);
    for n in 1..=40 {
        scene.note("bob", n, &padding).await;
    }
    let expected = [
        r#"tidings_gateway_delivered_messages_total{source="memory"}"#,
        r#"tidings_gateway_hot_tail_reads_total{result="hit"}"#,
    ];
    watch
        .moves("a device returns", &expected, async {
            Scene::sequenced(gateway, "bob", "memory").await.close().await;
        })
        .await;
    let expected = [
        r#"tidings_gateway_delivered_messages_total{source="stream"}"#,
        r#"tidings_gateway_hot_tail_reads_total{result="miss"}"#,
        r#"tidings_gateway_connections{form="sequenced",state="catching_up"}"#,
    ];
    let narrow = harness::Transport::default().receive_buffer(4 * 1024);
    let mut stalled = Vec::new();
    watch
        .moves("a device returns to a gateway that holds nothing, and does not read", &expected, async {
            let dial = Scene::dial(small, "bob", "stream").subprotocol("tidings.v1");
            stalled.push(dial.by(&narrow).open().await);
        })
        .await;
    // Its index begins behind what the device has missed.
    let short = [LISTEN, ("TIDINGS_GATEWAY__MAILBOX_REACH", "1")];
    let mut short = scene.system.another_gateway(&short).await;
    watch.addresses.push(address_of(&mut short.process).await);
    let scanned = r#"tidings_gateway_delivered_messages_total{source="scan"}"#;
    watch
        .moves("a device returns to a gateway that has to scan", &[scanned], async {
            let dial = Scene::dial(&short.address, "bob", "scan").subprotocol("tidings.v1");
            stalled.push(dial.by(&narrow).open().await);
        })
        .await;
    watch
        .moves("a client does not keep up", &["tidings_gateway_full_queues_total"], async {
            let dial = Scene::dial(small, "bob", "slow").subprotocol("tidings.v1");
            stalled.push(dial.by(&narrow).open().await);
            for n in 1..=40 {
                scene.note("bob", n, &padding).await;
            }
        })
        .await;
    short
}

async fn projected(watch: &mut Watch, scene: &Scene) {
    let system = &scene.system;
    let rejected = r#"tidings_projector_rejected_events_total{shard="0",reason="unknown-event"}"#;
    watch
        .moves("an event has no message", &[rejected], async {
            system.publish("lab", "note.burnt", &json!({})).await;
        })
        .await;
    let repeated = r#"tidings_projector_repeated_events_total{shard="0"}"#;
    watch
        .moves("an event comes twice", &[repeated], async {
            let event = json!({
                "specversion": "1.0", "id": "same", "source": "test", "type": "note.sent",
                "data": { "user": "ada", "n": 1 },
            });
            for _ in 0..2 {
                publish_cloud_event(system, &event.to_string()).await;
            }
        })
        .await;
    let late = r#"tidings_projector_envelopes_total{shard="0",cause="late"}"#;
    watch
        .moves("messages come faster than their rate", &[late], async {
            for n in 0..3 {
                system.publish("lab", "gauge.read", &json!({ "user": "ada", "n": n })).await;
            }
        })
        .await;
    let rebuilt = r#"tidings_projector_envelopes_total{shard="0",cause="rebuild"}"#;
    watch
        .moves("a tenant is rebuilt", &[rebuilt], async {
            system.command(&["projector", "rebuild", "--tenant", "lab"]).finish(BOUND).await.succeeded();
        })
        .await;
}

async fn publish_cloud_event(system: &System, event: &str) {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Content-Type", "application/cloudevents+json");
    system.publish_raw("events.lab.note.sent", headers, event).await;
}

async fn reloaded(watch: &mut Watch, scene: &Scene) {
    for (is_spoiled, result) in [(true, "refused"), (false, "unchanged")] {
        let reloads = format!("tidings_catalog_reloads_total{{result={result:?}}}");
        watch
            .moves("catalogs are reloaded", &[&reloads], async {
                scene.spoil_catalog(is_spoiled);
                scene.system.gateway.signal(Signal::HUP);
            })
            .await;
    }
}
