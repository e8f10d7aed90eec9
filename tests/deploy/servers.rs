//! Several NATS servers: one that is down at the start, one that falls silent, one that is cut off from the others.

use harness::{BOUND, FlakyProxy, SECRET, Setup, System, free_port, token};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const INCIDENT: &str =
    r#"{"id":"i","jira_id":"I","title":"t","severity":"low","status":"open","squad":"platform"}"#;

#[tokio::test]
async fn a_start_succeeds_while_a_server_is_down() {
    let system = System::start().await;
    let closed = format!("nats://127.0.0.1:{}", free_port());
    // The one that answers nothing has a time-out of its own.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("nats://{}", mute.local_addr().unwrap());
    let url = format!("{closed},{silent},{}", system.nats.url());
    // The order is random: each of several starts succeeds.
    for _ in 0..4 {
        let publish = system.command(&["publish", "--tenant", "ops", "incident.created", "--data", INCIDENT]);
        let variables = [("TIDINGS_NATS__URL", url.as_str()), ("TIDINGS_NATS__CONNECT_TIMEOUT", "1s")];
        publish.variables(variables).finish(BOUND).await.succeeded();
    }
    let variables = [("TIDINGS_NATS__URL", url.as_str()), ("TIDINGS_NATS__CONNECT_TIMEOUT", "1s")];
    let _gateway = system.another_gateway(&variables).await;
    let none = format!("{closed},{silent}");
    let publish = system.command(&["publish", "--tenant", "ops", "incident.created", "--data", INCIDENT]);
    let variables = [("TIDINGS_NATS__URL", none.as_str()), ("TIDINGS_NATS__CONNECT_TIMEOUT", "1s")];
    publish.variables(variables).finish(BOUND).await.failed();
}

/// Two ways to the same server, of which one swallows everything from some moment on.
#[tokio::test]
async fn a_server_that_falls_silent_is_left_for_another() {
    let system = Setup::default().start().await;
    let cables = [FlakyProxy::to(system.nats.url()).await, FlakyProxy::to(system.nats.url()).await];
    let url = cables.each_ref().map(FlakyProxy::url).join(",");
    let mut gateway = system.another_gateway(&[("TIDINGS_NATS__URL", &url)]).await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada", "role": "sre" }));
    let mut client = harness::Dial::new(&gateway.address).bearer(&ada).open().await;
    client.send_json(&json!({ "action": "subscribe", "topics": ["incidents"] })).await;
    client.expect_nothing_before_pong(BOUND).await;
    // One of them is in use; whichever it is, the process goes on with the other. Twice, so that each was used.
    for round in 0..2 {
        for (index, cable) in cables.iter().enumerate() {
            cable.silence();
            let data = json!({
                "id": format!("{round}-{index}"), "jira_id": "I", "title": "t", "severity": "low",
                "status": "open", "squad": "platform",
            });
            system.publish("ops", "incident.created", &data).await;
            let heard = client.next_json(BOUND).await;
            assert_eq!(heard["data"]["id"], data["id"]);
            cable.plug();
        }
    }
    let lost = gateway.process.line("lost the connection to NATS", BOUND).await;
    assert!(lost.contains("WARN"), "{lost}");
}

/// A server that answers pings and nothing that is asked of JetStream, as one does that is cut off from its cluster.
#[tokio::test]
async fn a_server_without_jetstream_is_left_for_another() {
    let system = System::start().await;
    let cut_off = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{}", cut_off.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        loop {
            let (stream, _) = cut_off.accept().await.unwrap();
            tokio::spawn(answer_pings(stream));
        }
    });
    let (good, bad) = (FlakyProxy::to(system.nats.url()).await, FlakyProxy::to(&url).await);
    bad.pull();
    let urls = format!("{},{}", good.url(), bad.url());
    let mut gateway = system.another_gateway(&[("TIDINGS_NATS__URL", &urls)]).await;
    let ada = token(SECRET, json!({ "tenant": "ops", "sub": "ada", "role": "sre" }));
    let mut client = harness::Dial::new(&gateway.address).bearer(&ada).open().await;
    client.send_json(&json!({ "action": "subscribe", "topics": ["incidents"] })).await;
    client.expect_nothing_before_pong(BOUND).await;

    bad.plug();
    good.pull();
    // Now there is none but the other.
    let warned = gateway.process.line("JetStream does not answer through this NATS server", 2 * BOUND);
    warned.await;
    good.plug();
    let data = serde_json::from_str(INCIDENT).unwrap();
    system.publish("ops", "incident.created", &data).await;
    assert_eq!(client.next_json(2 * BOUND).await["data"]["id"], "i");
    answering.abort();
}

/// As much of NATS as a client needs to believe that all is well.
async fn answer_pings(stream: TcpStream) -> std::io::Result<()> {
    let info = json!({
        "server_id": "cut-off", "server_name": "cut-off", "version": "2.15.1", "proto": 1, "go": "go1.26", "host": "127.0.0.1",
        "port": 4222, "headers": true, "max_payload": 1_048_576,
    });
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("INFO {info}\r\n").as_bytes()).await?;
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        if line.starts_with(b"PING") {
            stream.write_all(b"PONG\r\n").await?;
        }
        line.clear();
    }
    Ok(())
}
