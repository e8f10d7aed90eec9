//! What a browser, and any other client that sees nothing but messages and closes, learns; and clients that name no device.

use std::fs;

use harness::{BOUND, Client, Dial, SECRET, Setup, System, token};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// A handshake that names no device, as the uploads contract's clients do.
fn dial(system: &System, claims: Value) -> Dial {
    Dial::new(system.address()).bearer(&token(SECRET, claims))
}

fn ada() -> Value {
    json!({ "tenant": "ops", "sub": "ada" })
}

async fn notify(system: &System, title: &str) {
    let data = json!({ "userId": "ada", "title": title, "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
}

/// The close with which a handshake is refused that asks for one.
async fn refused(dial: Dial) -> (u16, String) {
    dial.query("refusals", "close").open().await.closed(BOUND).await
}

#[tokio::test]
async fn a_browser_learns_why_it_is_refused() {
    let mut system = System::start().await;
    let expired = json!({ "tenant": "ops", "sub": "ada", "exp": 1_000_000_000 });
    let forged = Dial::new(system.address()).bearer(&token("another-secret-of-at-least-32-bytes!!", ada()));
    let disable = system.command(&["users", "disable", "--tenant", "ops", "--user", "mallory"]);
    disable.finish(BOUND).await.succeeded();
    let with_cookie = || Dial::new(system.address()).cookie(&token(SECRET, ada()));
    for (dial, code, reason) in [
        (dial(&system, expired.clone()), 4001, "TOKEN_EXPIRED"),
        (forged, 4001, "TOKEN_SIGNATURE"),
        (Dial::new(system.address()), 4001, "TOKEN_MISSING"),
        (Dial::new(system.address()).origin(system.address()), 4001, "TOKEN_MISSING"),
        (dial(&system, ada()).query("since", "yesterday"), 4500, "POSITION"),
        (dial(&system, json!({ "tenant": "ops", "sub": "mallory" })), 4503, "USER_DISABLED"),
        (dial(&system, json!({ "tenant": "nobody", "sub": "ada" })), 4504, "TENANT_UNKNOWN"),
    ] {
        assert_eq!(refused(dial).await, (code, reason.to_owned()));
    }
    // Programs see the status, and a foreign page does not learn whether its visitor has a cookie.
    assert_eq!(dial(&system, expired).refused().await.status, 401);
    let foreign = |dial: Dial| dial.origin("https://evil.example").query("refusals", "close").refused();
    assert_eq!(foreign(with_cookie()).await.status, 403);
    assert_eq!(foreign(Dial::new(system.address())).await.status, 401);

    let narrow = system.another_gateway(&[("TIDINGS_GATEWAY__CONNECTIONS_PER_USER", "1")]).await;
    let at_narrow = || Dial::new(&narrow.address).bearer(&token(SECRET, ada()));
    let mut first = at_narrow().query("refusals", "close").open().await;
    first.expect_nothing_before_pong(BOUND).await;
    let (code, reason) = refused(at_narrow()).await;
    let (why, seconds) = reason.split_once("; retry_after=").unwrap();
    assert_eq!((code, why), (4008, "TOO_MANY_CONNECTIONS_OF_USER"));
    assert!(seconds.parse::<u32>().unwrap() > 0, "{reason}");
    system.check_well();
}

#[tokio::test]
async fn a_plain_client_is_answered_with_its_ids() {
    let mut system = System::start().await;
    let mut client = dial(&system, ada()).query("device", "one").open().await;
    client.send_json(&json!({ "action": "subscribe", "topics": ["incidents"], "id": "s1" })).await;
    let answer = client.next_json(BOUND).await;
    assert_eq!(answer["action"], "subscribed", "{answer}");
    assert_eq!((&answer["topics"], &answer["original_message_id"]), (&json!(["incidents"]), &json!("s1")));
    client.send_json(&json!({ "action": "unsubscribe", "topics": ["incidents"], "id": 2 })).await;
    let answer = client.next_json(BOUND).await;
    assert_eq!((&answer["action"], &answer["original_message_id"]), (&json!("unsubscribed"), &json!(2)));
    // Without an id, none is answered.
    client.send_json(&json!({ "action": "subscribe", "topics": ["incidents"] })).await;
    client.send_json(&json!({ "action": "ping", "id": "p1" })).await;
    let pong = client.next_json(BOUND).await;
    assert_eq!((&pong["action"], &pong["original_message_id"]), (&json!("pong"), &json!("p1")));

    // What is sent with an id that is too long is answered with it, and the connection goes on, unless it repeats.
    let long = |id: &str| Message::text(json!({ "id": id, "pad": "x".repeat(17_000) }).to_string());
    for round in 0..2 {
        for number in 0..7 {
            let id = format!("{round}-{number}");
            client.send(long(&id)).await;
            let answer = client.next_json(BOUND).await;
            assert_eq!(answer["data"]["code"], "MESSAGE_TOO_LARGE");
            assert_eq!(answer["data"]["original_message_id"], json!(id));
        }
        if round == 0 {
            client.expect_nothing_before_pong(BOUND).await;
        }
    }
    client.send(long("last")).await;
    assert_eq!(client.next_json(BOUND).await["data"]["original_message_id"], "last");
    assert_eq!(client.close_code(BOUND).await, Some(1009));

    // The answer to a route bears the id of the request, in front of the message as the catalog renders it.
    let documents = json!({ "tenant": "documents", "sub": "ada" });
    let mut client = system.open(documents).await;
    let failed =
        json!({ "userId": "ada", "docId": "d1", "errorCode": "x", "message": "m", "recoverable": true });
    system.publish("documents", "processing.failed", &failed).await;
    let message = client.next_text(BOUND).await;
    client.send_json(&json!({ "action": "progress", "docId": "d1" })).await;
    assert_eq!(client.next_text(BOUND).await, message);
    client.send_json(&json!({ "action": "progress", "docId": "d1", "id": "r1" })).await;
    let answer = message.replacen('{', r#"{"original_message_id":"r1","#, 1);
    assert_eq!(client.next_text(BOUND).await, answer);
    system.check_well();
}

/// Sequenced, as it says exactly what it has received.
async fn sequenced(system: &System) -> Client {
    let mut client = dial(system, ada()).subprotocol("tidings.v1").open().await;
    let welcome = client.next_json(BOUND).await;
    assert_eq!(welcome["consumer"], "ada/default");
    client
}

/// Receives up to the notification with this title, and acknowledges it before anything else happens; the titles.
async fn take(client: &mut Client, last: &str) -> Vec<String> {
    let messages = client.until(BOUND, |message| message["data"]["title"] == last).await;
    client.send_json(&json!({ "action": "ack", "seq": messages.last().unwrap()["seq"] })).await;
    client.send_json(&json!({ "action": "ping" })).await;
    client.until(BOUND, |message| message["action"] == "pong").await;
    let titles = messages.iter().filter_map(|message| message["data"]["title"].as_str());
    titles.map(str::to_owned).collect()
}

#[tokio::test]
async fn clients_without_a_device_do_not_take_from_each_other() {
    let mut system = System::start().await;
    let (mut desktop, mut phone) = (sequenced(&system).await, sequenced(&system).await);
    let caught_up = |message: &Value| message["action"] == "caught_up";
    desktop.until(BOUND, caught_up).await;
    phone.until(BOUND, caught_up).await;
    notify(&system, "both").await;
    assert_eq!(take(&mut desktop, "both").await, ["both"]);
    assert_eq!(take(&mut phone, "both").await, ["both"]);
    phone.close().await;

    notify(&system, "away").await;
    assert_eq!(take(&mut desktop, "away").await, ["away"]);
    let mut phone = sequenced(&system).await;
    assert_eq!(take(&mut phone, "away").await, ["away"], "the desktop has not received it for the phone");
    phone.close().await;

    // When both have left, the place is that of the one that has received least.
    notify(&system, "late").await;
    assert_eq!(take(&mut desktop, "late").await, ["late"]);
    desktop.close().await;
    let mut next = sequenced(&system).await;
    assert_eq!(take(&mut next, "late").await, ["late"]);

    // Unsubscribing in one tab does not silence another.
    let mut tab = sequenced(&system).await;
    for client in [&mut next, &mut tab] {
        client.send_json(&json!({ "action": "subscribe", "topics": ["incidents"], "id": "s" })).await;
        client.until(BOUND, |message| message["action"] == "subscribed").await;
    }
    next.send_json(&json!({ "action": "unsubscribe", "topics": ["incidents"], "id": "u" })).await;
    next.until(BOUND, |message| message["action"] == "unsubscribed").await;
    next.close().await;
    tab.close().await;
    let mut tab = sequenced(&system).await;
    tab.until(BOUND, caught_up).await;
    let data = json!({ "id": "i", "jira_id": "I-1", "title": "late", "severity": "low", "status": "open", "squad": "x" });
    system.publish("ops", "incident.created", &data).await;
    assert_eq!(take(&mut tab, "late").await, ["late"]);

    // What came before is not asked for.
    notify(&system, "before").await;
    assert_eq!(take(&mut tab, "before").await, ["before"]);
    let mut new = dial(&system, ada()).query("device", "new").query("since", "new").open().await;
    new.expect_nothing_before_pong(BOUND).await;
    let mut old = dial(&system, ada()).query("device", "old").query("since", "1-1").open().await;
    old.until(BOUND, |message| message["data"]["title"] == "before").await;
    notify(&system, "new").await;
    assert_eq!(new.next_json(BOUND).await["data"]["title"], "new");
    new.close().await;
    notify(&system, "missed").await;
    old.until(BOUND, |message| message["data"]["title"] == "missed").await;
    let mut new = dial(&system, ada()).query("device", "new").query("since", "new").open().await;
    new.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}

const KITCHEN: &str = r#"
grants = ["user:{sub}"]
[[message]]
name = "dish"
events = ["dish.ready"]
schema = "dish.schema.json"
to = "user:{data.guest}"
body = { id = "{envelope.id}", label = "dish {envelope.id}", table = "{data.table}" }
[gap.body]
type = "gap"
data = { from = "{from}", to = "{to}", why = "{reason}: reload" }
timestamp = "{time}"
"#;

#[tokio::test]
async fn plain_clients_have_gaps_and_ids_as_their_catalog_says() {
    let schemas = tempfile::tempdir().unwrap();
    let kitchen = schemas.path().join("kitchen");
    fs::create_dir_all(&kitchen).unwrap();
    fs::write(kitchen.join("dish.schema.json"), r#"{ "type": "object" }"#).unwrap();
    fs::write(kitchen.join("catalog.toml"), KITCHEN).unwrap();
    let mut system = Setup::default().schemas(schemas.path()).start().await;
    let guest = || dial(&system, json!({ "tenant": "kitchen", "sub": "ada" }));

    let mut phone = guest().query("device", "phone").query("since", "1-5").open().await;
    let gap = phone.next_json(BOUND).await;
    assert_eq!((&gap["type"], &gap["data"]["from"]), (&json!("gap"), &json!("1-5")), "{gap}");
    assert_eq!(gap["data"]["why"], "epoch: reload");
    assert!(gap["data"]["to"].as_str().unwrap().contains('-') && gap["timestamp"].is_string(), "{gap}");
    let mut desktop = guest().query("device", "desktop").open().await;
    desktop.expect_nothing_before_pong(BOUND).await;
    for table in [1, 2] {
        system.publish("kitchen", "dish.ready", &json!({ "guest": "ada", "table": table })).await;
    }
    let (one, other) = (phone.next_json(BOUND).await, phone.next_json(BOUND).await);
    assert_eq!(
        [desktop.next_json(BOUND).await, desktop.next_json(BOUND).await],
        [one.clone(), other.clone()]
    );
    let id = one["id"].as_str().unwrap();
    assert!(id.ends_with("-1.0"), "the first event's first message: {id}");
    assert_eq!(one["label"], format!("dish {id}"));
    assert_ne!(one["id"], other["id"]);
    system.check_well();
}
