//! The access log: one line when a connection begins and one when it has ended, without tokens and messages, of those that
//! are to be logged.

use harness::{BOUND, Dial, SECRET, Setup, System, eventually, token};
use reqwest::header::HeaderName;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A device of ada that was given one message.
async fn open(system: &System, token: &str, device: &str) -> harness::Client {
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let dial = Dial::new(system.address()).bearer(token).query("device", device);
    let mut client = dial.header(HeaderName::from_static("traceparent"), &parent).open().await;
    client.expect_nothing_before_pong(BOUND).await;
    client
}

/// The lines about a device, when there are so many.
async fn lines_of(log: impl Fn() -> String, device: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} lines of {device}"), BOUND, async || {
        let log = log();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let lines: Vec<_> =
            lines.filter(|line| line["target"] == "access" && line["device"] == device).collect();
        if lines.len() == count { Ok(lines) } else { Err(log) }
    })
    .await
}

#[tokio::test]
async fn a_connection_has_a_line_when_it_begins_and_one_when_it_has_ended() {
    let setup = Setup::default().variable("TIDINGS_TELEMETRY__LOG_FORMAT", "json");
    let system = setup.variable("TIDINGS_GATEWAY__ACCESS_LOG", "1").start().await;
    let token = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    let mut normal = open(&system, &token, "normal").await;
    let mut disabled = open(&system, &token, "disabled").await;
    let lost = open(&system, &token, "lost").await;
    let data = json!({
        "userId": "ada", "title": "the title", "message": "", "type": "info", "priority": "low",
    });
    system.publish("ops", "notification.created", &data).await;
    normal.next_json(BOUND).await;
    disabled.next_json(BOUND).await;
    normal.send_json(&json!({ "action": "ping" })).await;
    normal.next_json(BOUND).await;

    let close = CloseFrame { code: CloseCode::Normal, reason: "a text of the client".into() };
    normal.send(Message::Close(Some(close))).await;
    drop(lost);
    let log = || system.gateway.output();
    for device in ["normal", "lost"] {
        lines_of(log, device, 2).await;
    }
    let disable = ["users", "disable", "--tenant", "ops", "--user", "ada"];
    system.command(&disable).finish(BOUND).await.succeeded();
    assert_eq!(disabled.close_code(BOUND).await, Some(4503));

    for (device, by, code, messages) in [
        ("normal", "client", 1000, json!([1, 2])),
        ("lost", "nobody", 1006, Value::Null),
        ("disabled", "gateway", 4503, json!([1, 1])),
    ] {
        let lines = lines_of(log, device, 2).await;
        for (line, message) in lines.iter().zip(["connected", "disconnected"]) {
            assert_eq!(line["message"], message, "{line}");
            assert_eq!((&line["tenant"], &line["user"]), (&json!("ops"), &json!("ada")), "{line}");
            assert_eq!((&line["from"], &line["trace"]), (&json!("127.0.0.1"), &json!(TRACE)), "{line}");
            assert_eq!(line["connection"], lines[0]["connection"], "{line}");
        }
        assert_eq!(lines[0]["form"], "plain");
        let end = &lines[1];
        assert_eq!((&end["by"], &end["code"]), (&json!(by), &json!(code)), "{end}");
        assert!(end["seconds"].is_u64(), "{end}");
        assert!(messages.is_null() || json!([end["sent"], end["received"]]) == messages, "{end}");
        assert_eq!(by == "gateway", end["reason"] != "", "{end}");
    }
    for secret in [&*token, "the title", "a text of the client"] {
        assert!(!log().contains(secret), "{}", log());
    }
}

#[tokio::test]
async fn no_connection_is_logged_unless_it_is_configured() {
    let system = Setup::default().variable("TIDINGS_TELEMETRY__LOG_FORMAT", "json").start().await;
    let token = token(SECRET, json!({ "tenant": "ops", "sub": "ada" }));
    open(&system, &token, "one").await.close().await;
    let System { gateway, .. } = system;
    gateway.interrupt();
    let (_, output) = gateway.end(BOUND).await;
    assert!(!output.contains("\"access\""), "{output}");
}
