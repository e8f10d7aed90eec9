//! Messages that nobody has received go to a webhook: gateways stopped, dispatchers killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use harness::{BOUND, Setup, System, Tidings, eventually};
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
struct Receiver {
    requests: Mutex<Vec<(BTreeMap<String, String>, Value)>>,
    /// Whether it keeps the next request waiting for ever.
    hangs: AtomicBool,
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
        stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await.ok()
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

fn catalogs(folder: &Path) {
    let folder = folder.join("hooks");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("catalog.toml"), CATALOG).unwrap();
    std::fs::write(folder.join("any.schema.json"), "{}").unwrap();
}

async fn dispatcher(system: &System) -> Tidings {
    let mut dispatcher = system.command(&["dispatcher"]).start();
    dispatcher.line("this dispatcher leads", BOUND).await;
    dispatcher
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

#[tokio::test]
async fn what_nobody_has_received_goes_to_the_webhook_of_the_tenant() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Arc::new(Receiver::default()));
    catalogs(folder.path());
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let url = receiver.start().await;
    let file = format!(
        "[webhook]\nallow_http = true\nallowed_networks = [\"127.0.0.0/8\"]\n\
         [dispatcher.webhooks.hooks]\nurl = {url:?}\nkey_file = {keys:?}\n"
    );
    let mut system = Setup::default().schemas(folder.path()).file(&file).start().await;
    let first = dispatcher(&system).await;
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
    let second = dispatcher(&system).await;
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
