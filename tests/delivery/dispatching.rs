//! Messages that nobody has received go to a webhook: gateways stopped, dispatchers killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use harness::{BOUND, SECRET, Setup, System, eventually, token};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const CATALOG: &str = r#"
grants = ["user:{sub}", "role:{role}"]
[[message]]
name = "note"
events = ["note.added"]
schema = "any.schema.json"
to = ["user:{data.user?}", "role:{data.role?}"]
body = { type = "note", n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "0s"
unless = "connected"
[[message.fallback]]
channel = "webhook"
after = "2s"
payload = { reminder = "{n}" }
"#;

/// A program that takes webhooks. Keeps the headers and the body of each.
#[derive(Default)]
pub(crate) struct Receiver {
    requests: Mutex<Vec<(BTreeMap<String, String>, Value)>>,
    /// Whether it keeps the next request waiting for ever.
    hangs: AtomicBool,
    /// Whether it is gone.
    pub(crate) is_gone: AtomicBool,
}

impl Receiver {
    /// Starts it, and returns its URL.
    async fn start(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let receiver = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = Arc::clone(&receiver);
                tokio::spawn(async move { receiver.serve(stream).await });
            }
        });
        url
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut text = Vec::new();
        let (headers, body) = loop {
            let found = String::from_utf8_lossy(&text).into_owned();
            if let Some((head, body)) = found.split_once("\r\n\r\n") {
                let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
                let headers: BTreeMap<_, _> =
                    lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
                if body.len() >= headers["content-length"].parse().unwrap() {
                    break (headers, serde_json::from_str(body).unwrap());
                }
            }
            let mut more = [0; 4096];
            let read = stream.read(&mut more).await.ok().filter(|read| *read > 0)?;
            text.extend(&more[..read]);
        };
        self.requests.lock().unwrap().push((headers, body));
        if self.hangs.swap(false, Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let status = if self.is_gone.load(Ordering::SeqCst) { "410 Gone" } else { "204 No Content" };
        stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").as_bytes()).await.ok()
    }

    fn bodies(&self) -> Vec<Value> {
        self.requests.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }

    /// Waits until so many have come that have this body, and returns their ids.
    async fn ids_of(&self, body: &Value, times: usize) -> Vec<String> {
        eventually(&format!("{body} comes {times} times"), BOUND, async || {
            let requests = self.requests.lock().unwrap();
            let ids: Vec<_> = requests
                .iter()
                .filter(|(_, found)| found == body)
                .map(|(headers, _)| headers["webhook-id"].clone())
                .collect();
            if ids.len() >= times { Ok(ids) } else { Err(format!("{requests:?}")) }
        })
        .await
    }
}

fn write(folder: &Path, catalog: &str) {
    let folder = folder.join("hooks");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("catalog.toml"), catalog).unwrap();
    std::fs::write(folder.join("any.schema.json"), "{}").unwrap();
}

/// What is listed of a user's deliveries: the channel's status of each, once none waits.
async fn decided(system: &System, user: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} deliveries to {user} are decided"), BOUND, async || {
        let arguments = ["deliveries", "ls", "--tenant", "hooks", "--user", user, "--json"];
        let listed = system.command(&arguments).finish(BOUND).await.succeeded();
        let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let is_open = |delivery: &Value| delivery.get("due").is_some() || delivery["status"] == "attempted";
        if listed.len() == count && !listed.iter().any(is_open) {
            Ok(listed)
        } else {
            Err(format!("{listed:?}"))
        }
    })
    .await
}

/// A system whose tenant has this catalog, and a webhook there.
pub(crate) async fn system_with(catalog: &str, folder: &Path, receiver: &Arc<Receiver>) -> System {
    write(folder, catalog);
    let keys = folder.join("keys");
    std::fs::write(&keys, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let (url, keys) = (receiver.start().await, keys.display().to_string());
    let file = format!(
        "[webhook]\nallow_http = true\nallowed_networks = [\"127.0.0.0/8\"]\n\
         [dispatcher.webhooks.hooks]\nurl = {url:?}\nkey_file = {keys:?}\n"
    );
    Setup::default().schemas(folder).file(&file).start().await
}

#[tokio::test]
async fn what_was_not_sent_is_made_again_by_command_and_over_http() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Arc::new(Receiver::default()));
    let system = system_with(CATALOG, folder.path(), &receiver).await;
    let _dispatcher = system.dispatcher(&[]).await;
    receiver.is_gone.store(true, Ordering::SeqCst);
    system.publish("hooks", "note.added", &json!({ "user": "eve", "n": 1 })).await;
    let failed = decided(&system, "eve", 2).await;
    assert_eq!(failed.iter().map(|delivery| &delivery["status"]).collect::<Vec<_>>(), ["failed", "failed"]);
    receiver.is_gone.store(false, Ordering::SeqCst);

    let retry = async |arguments: &[&str]| {
        let arguments = [&["deliveries", "retry", "--tenant", "hooks"], arguments].concat();
        system.command(&arguments).finish(BOUND).await
    };
    let wrong = retry(&["--user", "eve", "--status", "unknown"]).await;
    assert!(wrong.failed().contains("no such delivery of tenant hooks is `unknown`"));
    let id = failed[0]["delivery"].as_str().unwrap();
    let retried = retry(&["--delivery", id]).await.succeeded();
    assert!(retried.contains(&format!("{id} by webhook to \"eve\"")), "{retried}");
    let is_sent = async |id: &str| {
        eventually("it is sent", BOUND, async || {
            let all = decided(&system, "eve", 2).await;
            let sent = all.iter().find(|delivery| delivery["delivery"] == id && delivery["status"] == "sent");
            if sent.is_some() { Ok(()) } else { Err(format!("{all:?}")) }
        })
        .await;
    };
    is_sent(id).await;

    let admin = token(SECRET, json!({ "tenant": "hooks", "sub": "root", "scope": "tidings:admin" }));
    let ask = async |method: &str, path: &str| {
        let url = format!("{}/api/v1/deliveries{path}", system.address());
        let request = reqwest::Client::new().request(method.parse().unwrap(), url).bearer_auth(&admin);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (_, listed) = ask("GET", "?user=eve&status=failed").await;
    let listed: Value = serde_json::from_str(&listed).unwrap_or_else(|error| panic!("{error}: {listed}"));
    let (id, name) = (listed["delivery"].as_str().unwrap(), listed["name"].as_str().unwrap());
    assert_eq!(id, failed[1]["delivery"]);
    let retry = format!("/eve/{name}/retry");
    assert_eq!(ask("POST", &retry).await, (204, String::new()));
    is_sent(id).await;
    let (status, refused) = ask("POST", &retry).await;
    assert!(status == 409 && refused.contains("DELIVERY_DECIDED"), "{status} {refused}");
    let (status, shown) = ask("GET", &format!("/eve/{name}")).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let facts: Vec<_> =
        shown["facts"].as_array().unwrap().iter().map(|fact| fact["status"].as_str().unwrap()).collect();
    assert_eq!((status, facts), (200, vec!["attempted", "failed", "attempted", "sent"]));
    assert_eq!(ask("GET", &format!("/ada/{name}")).await.0, 404);
    assert_eq!(ask("GET", "/ada/nothing").await.0, 400);
}

#[tokio::test]
async fn what_nobody_has_received_goes_to_the_webhook_of_the_tenant() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Arc::new(Receiver::default()));
    let mut system = system_with(CATALOG, folder.path(), &receiver).await;
    let first = system.dispatcher(&[]).await;
    let claims = |user: &str| json!({ "tenant": "hooks", "sub": user, "role": "sre" });
    let mut ada = system.open(claims("ada")).await;
    let _bob = system.open(claims("bob")).await;

    // Who is connected receives it, and nothing is sent.
    system.publish("hooks", "note.added", &json!({ "user": "ada", "n": 1 })).await;
    assert_eq!(ada.next_json(BOUND).await["n"], 1);
    // Who goes on reading answers the gateway's Ping, which acknowledges.
    tokio::spawn(async move { while ada.next_json_or_close(4 * BOUND).await.is_ok() {} });
    for delivery in decided(&system, "ada", 2).await {
        assert_eq!(delivery["status"], "skipped", "{delivery}");
    }
    assert_eq!(receiver.bodies(), Vec::<Value>::new());

    // Without gateways, everybody with the role is notified, also in the names of gateways that are gone.
    system.gateway.signal(Signal::KILL);
    eventually("the gateway is gone", BOUND, async || {
        if system.gateway.is_running() { Err("it runs") } else { Ok(()) }
    })
    .await;
    system.publish("hooks", "note.added", &json!({ "role": "sre", "n": 2 })).await;
    let note = json!({ "type": "note", "n": 2 });
    assert_eq!(receiver.ids_of(&note, 2).await.len(), 2, "ada and bob");
    assert_eq!(receiver.ids_of(&json!({ "reminder": 2 }), 2).await.len(), 2, "who still has not received it");
    for (headers, _) in receiver.requests.lock().unwrap().iter() {
        assert!(headers["webhook-signature"].starts_with("v1,"), "{headers:?}");
    }

    // A dispatcher is killed while the receiver keeps it waiting; the next one repeats that, with the same id.
    receiver.hangs.store(true, Ordering::SeqCst);
    system.publish("hooks", "note.added", &json!({ "user": "eve", "n": 3 })).await;
    let note = json!({ "type": "note", "n": 3 });
    let before = receiver.ids_of(&note, 1).await;
    first.signal(Signal::KILL);
    _ = first.end(BOUND).await;
    let second = system.dispatcher(&[]).await;
    let ids = receiver.ids_of(&note, 2).await;
    assert_eq!(ids, [before[0].clone(), before[0].clone()]);
    let deliveries = decided(&system, "eve", 2).await;
    assert_eq!(deliveries.iter().map(|delivery| &delivery["status"]).collect::<Vec<_>>(), ["sent", "sent"]);
    assert!(deliveries.iter().any(|delivery| delivery["delivery"] == before[0].as_str()), "{deliveries:?}");
    let event = deliveries[0]["event"].as_str().unwrap();
    let shown =
        system.command(&["deliveries", "show", "--tenant", "hooks", event]).finish(BOUND).await.succeeded();
    assert_eq!(shown.matches("\"attempted\"").count(), 3, "{shown}");
    assert!(
        !second.output().contains("ERROR") && !second.output().contains("panicked"),
        "{}",
        second.output()
    );
}
