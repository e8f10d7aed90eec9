//! `tidings send` does by hand what the systems' documents do with `wscat`: it sends, and prints what comes.

use harness::{BOUND, SECRET, Setup, System, eventually, token};
use serde_json::{Value, json};

fn lines(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Sends as this tenant's Ada.
struct Hand {
    system: System,
    token: String,
    url: String,
}

impl Hand {
    async fn of(tenant: &str) -> Self {
        let system = Setup::default().start().await;
        let token = token(SECRET, json!({ "tenant": tenant, "sub": "ada", "role": "sre" }));
        let url = system.address().replacen("http", "ws", 1) + "/api/ws";
        Self { system, token, url }
    }

    fn send(&self, arguments: &[&str]) -> harness::Launch {
        let given = ["send", "--token", &self.token, "--url", &self.url];
        self.system.command(&[&given, arguments].concat())
    }
}

#[tokio::test]
async fn messages_are_answered_one_after_the_other() {
    let hand = Hand::of("ops").await;
    let incident = r#"{"type":"notification","action":"created","id":"msg-1","data":{"title":"Test","message":"This is a test","type":"info","priority":"normal"}}"#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("message.json"), incident).unwrap();
    let file = format!("@{}", folder.path().join("message.json").display());
    let input = "{\"action\":\"subscribe\",\"topics\":[\"incidents\"],\"id\":7}\n\n{\"action\":\"ping\",\"id\":\"p\"}\n";
    let arguments = [r#"{"type":"ping"}"#, &file, "-"];
    let printed = lines(&hand.send(&arguments).input(input).finish(BOUND).await.succeeded());
    let answers: Vec<_> = printed.iter().filter(|line| line["type"] != "notification").collect();
    let actions: Vec<_> =
        answers.iter().map(|answer| answer["action"].as_str().unwrap_or("stored")).collect();
    assert_eq!(actions, ["pong", "published", "subscribed", "pong"], "{printed:?}");
    assert_eq!(answers[1]["original_message_id"], "msg-1");
    assert_eq!(answers[2]["original_message_id"], 7);

    // The refusal is printed as a client receives it, and the rest is sent all the same.
    let refused = hand.send(&[r#"{"action":"nonsense"}"#, r#"{"action":"ping"}"#]).finish(BOUND).await;
    assert_eq!(refused.code, Some(1), "{}", refused.errors);
    let printed = lines(&refused.output);
    assert_eq!(
        (&printed[0]["type"], &printed[0]["data"]["code"]),
        (&json!("error"), &json!("UNKNOWN_ACTION"))
    );
    assert_eq!(printed[1]["action"], "pong");
    assert!(refused.errors.contains("the gateway refuses the message: "), "{}", refused.errors);
}

#[tokio::test]
async fn routes_are_answered_and_what_comes_meanwhile_is_printed() {
    let hand = Hand::of("documents").await;
    let progress = json!({ "userId": "ada", "docId": "d1", "pagesProcessed": 3, "totalPages": 9 });
    hand.system.publish("documents", "processing.progressed", &progress).await;
    let request = r#"{"action":"progress","docId":"d1"}"#;
    let expected = json!({ "status": "progress", "docId": "d1", "pagesProcessed": 3, "totalPages": 9 });
    eventually("the progress is projected", BOUND, async || {
        let printed = hand.send(&[request]).finish(BOUND).await.output;
        if lines(&printed).contains(&expected) { Ok(()) } else { Err(printed) }
    })
    .await;

    let mut staying = hand.send(&["--stay", "10m", request]).start();
    staying.line(r#""pagesProcessed":3"#, BOUND).await;
    let progress = json!({ "userId": "ada", "docId": "d1", "pagesProcessed": 4, "totalPages": 9 });
    hand.system.publish("documents", "processing.progressed", &progress).await;
    staying.line(r#""pagesProcessed":4"#, BOUND).await;
}

#[tokio::test]
async fn mistakes_are_named() {
    let hand = Hand::of("ops").await;
    for (message, reason) in [
        ("ping", "is not JSON"),
        ("[1]", "is not a JSON object"),
        (r#"{"action":"ack","seq":1}"#, "`ack` has no answer"),
        ("@no-such-file", "cannot read @no-such-file"),
    ] {
        let why = hand.send(&[message]).finish(BOUND).await.failed();
        assert!(why.contains(reason), "{message}: {why}");
    }
    let nobody = ["send", "--token", &hand.token, "--url", "ws://127.0.0.1:1/api/ws", r#"{"action":"ping"}"#];
    let why = hand.system.command(&nobody).finish(BOUND).await.failed();
    assert!(why.ends_with("is a gateway running there?"), "{why}");
}
