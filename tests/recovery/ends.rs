//! With which code a service ends, by how it ends; and numbers that are no positions.

use harness::{BOUND, Launch, Nats, SCHEMAS, SECRET, System, nats, nats_with};
use rustix::process::Signal;

use crate::site::{dial, hears, listener};

fn launch(nats: &Nats, command: &str) -> Launch {
    Launch::tidings([command])
        .folder(nats.folder())
        .variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
        .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
        .variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:0")
        .variable("TIDINGS_GATEWAY__DRAIN_TIME", "0s")
        .variable("TIDINGS_NATS__URL", nats.url())
}

#[tokio::test]
async fn a_signal_ends_a_service_with_zero_and_giving_up_with_one() {
    let nats = nats().await;
    for signal in [Signal::INT, Signal::TERM] {
        let mut projector = launch(&nats, "projector").start();
        projector.line("projector runs", BOUND).await;
        let mut gateway = launch(&nats, "gateway").start();
        gateway.line("the gateway is ready", BOUND).await;
        for (name, process) in [("projector", projector), ("gateway", gateway)] {
            process.signal(signal);
            let (status, output) = process.end(BOUND).await;
            assert_eq!(status.code(), Some(0), "{name} {signal:?}: {output}");
        }
    }
    // Each gives up after it has begun.
    let small = nats_with(|options| options.config("max_payload: 65536")).await;
    let failed = launch(&small, "projector").finish(BOUND).await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.errors.contains("max_payload"), "{failed:?}");
}

#[tokio::test]
async fn numbers_at_their_end_are_no_positions() {
    let system = System::start().await;
    let mut client = listener(dial(system.address(), "ada")).await;
    hears(&system, &mut client, "one").await;
    client.close().await;
    let reset = |to: &'static str| {
        let arguments =
            ["consumers", "reset", "--tenant", "ops", "--user", "ada", "--device", "d", "--to", to];
        system.command(&arguments).finish(BOUND)
    };
    for to in ["18446744073709551615", "18446744073709551616", "99999999999999999999999", "9000", "-1", "x"] {
        let failed = reset(to).await;
        assert_ne!(failed.code, Some(0), "{to}: {failed:?}");
        assert!(!failed.errors.contains("panicked"), "{to}: {failed:?}");
    }
    reset("0").await.succeeded();
    // A record with such a number breaks nothing.
    for (device, position) in [("old", "18f3-18446744073709551615"), ("far", "0-18446744073709551615")] {
        let record = format!(
            r#"{{"version":1,"position":"{position}","subscriptions":[],"grants":["user:ada"],"last_seen":18446744073709551615,"connected":null,"resets":4294967295}}"#
        );
        let subject = format!("$KV.CONSUMERS.ops.ada.{device}");
        system.publish_raw(&subject, async_nats::HeaderMap::new(), record).await;
    }
    let mut position = String::new();
    for line in system
        .command(&["consumers", "ls", "--tenant", "ops", "--json"])
        .finish(BOUND)
        .await
        .succeeded()
        .lines()
    {
        let shown: serde_json::Value = serde_json::from_str(line).unwrap();
        if shown["device"] == "d" {
            shown["position"].as_str().unwrap().clone_into(&mut position);
        }
    }
    let epoch = position.split('-').next().unwrap();
    let record = format!(
        r#"{{"version":1,"position":"{epoch}-18446744073709551615","subscriptions":[],"grants":["user:ada"],"last_seen":1,"connected":null,"resets":0}}"#
    );
    system.publish_raw("$KV.CONSUMERS.ops.ada.end", async_nats::HeaderMap::new(), record).await;
    let listed = system.command(&["consumers", "ls", "--tenant", "ops"]).finish(BOUND).await.succeeded();
    assert_eq!(listed.lines().count(), 5, "{listed}");
    let token = crate::site::token_of("ops", "ada");
    for device in ["old", "far", "end"] {
        let dial = harness::Dial::new(system.address()).query("device", device).bearer(&token);
        let mut client = dial.open().await;
        client.send_json(&serde_json::json!({ "action": "subscribe", "topics": ["incidents"] })).await;
        hears(&system, &mut client, device).await;
    }
    let until = format!("{epoch}-18446744073709551615");
    let dial =
        harness::Dial::new(system.address()).query("device", "new").query("since", &until).bearer(&token);
    let mut client = dial.open().await;
    client.send_json(&serde_json::json!({ "action": "ack", "seq": u64::MAX })).await;
    client.send_json(&serde_json::json!({ "action": "subscribe", "topics": ["incidents"] })).await;
    hears(&system, &mut client, "new").await;
    assert!(!system.gateway.output().contains("panicked"));
}
