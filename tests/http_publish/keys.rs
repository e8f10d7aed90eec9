//! API keys: made, shown once, bound, revoked everywhere, and of no use to who reads the bucket.

use async_nats::jetstream;
use futures_util::StreamExt as _;
use harness::{BOUND, SECRET, System, eventually, token};
use serde_json::{Value, json};

use crate::{Post, cloud_event, incident};

/// `tidings keys <arguments>`, and what it printed.
async fn keys(system: &System, arguments: &[&str]) -> String {
    let arguments = [&["keys"], arguments].concat();
    system.command(&arguments).finish(BOUND).await.succeeded()
}

async fn create(system: &System, arguments: &[&str]) -> String {
    let arguments = [&["create", "--tenant", "ops"], arguments].concat();
    keys(system, &arguments).await.trim_end().to_owned()
}

/// The keys of `ops`, as `ls` lists them.
async fn listed(system: &System) -> Vec<Value> {
    let text = keys(system, &["ls", "--tenant", "ops", "--json"]).await;
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn id_of(key: &str) -> &str {
    key.split('_').nth(1).unwrap()
}

/// Publishes until the gateway knows of what was done: `Ok`, or the code of the refusal.
async fn becomes(address: &str, key: &str, event: &str, expected: Result<(), &str>) {
    eventually(&format!("{event} is answered with {expected:?}"), BOUND, async || {
        let answer = Post::to(address, key).event(event).json(&incident("1")).send().await;
        let found = if answer.status == 200 { Ok(()) } else { Err(answer.code().1) };
        if found == expected { Ok(()) } else { Err(answer.body.clone()) }
    })
    .await;
}

#[tokio::test]
async fn a_key_publishes_what_it_is_bound_to_until_it_is_revoked() {
    let mut system = System::start().await;
    let second = system.another_gateway(&[]).await;
    let key = create(&system, &["--event", "incident.*", "--reason", "cron"]).await;
    let other = create(&system, &["--event", "task.created", "--source", "/tasks"]).await;
    for address in [system.address(), &second.address] {
        becomes(address, &key, "incident.created", Ok(())).await;
        becomes(address, &key, "task.created", Err("EVENT_FORBIDDEN")).await;
        becomes(address, &other, "incident.created", Err("EVENT_FORBIDDEN")).await;
    }
    let mut foreign = cloud_event("1", "1");
    foreign["type"] = json!("task.created");
    let answer = Post::to(system.address(), &other).cloud_event(&foreign).send().await;
    assert_eq!(answer.code(), (403, "EVENT_FORBIDDEN"), "another source");

    let all = listed(&system).await;
    let entry = all.iter().find(|entry| entry["id"] == id_of(&key)).unwrap();
    assert_eq!((&entry["events"], &entry["source"]), (&json!(["incident.*"]), &Value::Null));
    assert_eq!((&entry["created"]["reason"], &entry["revoked"]), (&json!("cron"), &Value::Null));
    let table = keys(&system, &["ls", "--tenant", "ops"]).await;
    assert!(table.contains(id_of(&key)) && table.contains("/tasks"), "{table}");

    // Another secret, another id, and what is no key.
    let forged = format!("tdk_{}_{}", id_of(&key), "0".repeat(64));
    let strange = format!("tdk_{}_{}", "0".repeat(16), "0".repeat(64));
    for wrong in [&forged, &strange, "tdk_", "tdk_x_y"] {
        let answer =
            Post::to(system.address(), wrong).event("incident.created").json(&incident("1")).send().await;
        assert_eq!(answer.code(), (401, "KEY_UNKNOWN"), "{wrong}");
    }
    // It opens no WebSocket and is no administrator's.
    let refused = system.dial().bearer(&key).refused().await;
    assert_eq!(refused.status, 401);

    let revoked =
        keys(&system, &["revoke", "--tenant", "ops", "--id", id_of(&key), "--reason", "leaked"]).await;
    assert!(revoked.contains("is revoked"), "{revoked}");
    for address in [system.address(), &second.address] {
        becomes(address, &key, "incident.created", Err("KEY_REVOKED")).await;
    }
    let table = keys(&system, &["ls", "--tenant", "ops"]).await;
    assert!(table.contains("revoked "), "{table}");
    let again = keys(&system, &["revoke", "--tenant", "ops", "--id", id_of(&key)]).await;
    assert!(again.contains("as it has been since"), "{again}");
    let unknown = system.command(&["keys", "revoke", "--tenant", "ops", "--id", "0123456789abcdef"]);
    assert!(unknown.finish(BOUND).await.failed().contains("there is no API key 0123456789abcdef"));
    assert!(second.process.output().contains("KEY_REVOKED"), "the audit log says so");
    system.check_well();
}

/// What lies in NATS cannot be used, and no key is in any log.
#[tokio::test]
async fn a_key_is_nowhere_but_with_its_owner() {
    let system = System::start().await;
    let key = create(&system, &["--event", "*"]).await;
    becomes(system.address(), &key, "incident.created", Ok(())).await;
    let secret = key.rsplit('_').next().unwrap();
    let context = jetstream::new(system.client().clone());
    let mut names = context.stream_names();
    while let Some(name) = names.next().await {
        let stream = context.get_stream(name.unwrap()).await.unwrap();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let Ok(message) = stream.get_raw_message(sequence).await else { continue };
            let text = format!(
                "{} {:?} {}",
                message.subject,
                message.headers,
                String::from_utf8_lossy(&message.payload)
            );
            assert!(!text.contains(secret), "{text}");
        }
    }
    let entry = context.get_stream("KV_KEYS").await.unwrap().get_raw_message(1).await.unwrap();
    let stored: Value = serde_json::from_slice(&entry.payload).unwrap();
    let digest = stored["digest"].as_str().unwrap();
    for used in [digest.to_owned(), format!("tdk_{}_{digest}", id_of(&key))] {
        let answer =
            Post::to(system.address(), &used).event("incident.created").json(&incident("1")).send().await;
        assert_eq!(answer.status, 401);
    }
    assert!(!system.gateway.output().contains(secret) && !system.projector.output().contains(secret));
    assert!(!keys(&system, &["ls", "--tenant", "ops", "--json"]).await.contains(digest));
}

#[tokio::test]
async fn a_key_expires() {
    let system = System::start().await;
    let key = create(&system, &["--event", "*", "--expires-in", "1s"]).await;
    becomes(system.address(), &key, "incident.created", Err("KEY_EXPIRED")).await;
}

/// As an administrator over HTTP.
#[tokio::test]
async fn administrators_make_list_and_revoke_keys() {
    let system = System::start().await;
    let admin_line = system.gateway.output();
    let (_, rest) = admin_line.split_once("the admin interface listens").unwrap();
    let port: String =
        rest.split_once("127.0.0.1:").unwrap().1.chars().take_while(char::is_ascii_digit).collect();
    let admin = format!("http://127.0.0.1:{port}/api/v1/keys");
    let bearer = token(SECRET, json!({ "tenant": "ops", "sub": "root", "scope": "tidings:admin" }));
    let ask = async |method: &str, path: &str, body: Option<Value>| {
        let request = reqwest::Client::new()
            .request(method.parse().unwrap(), format!("{admin}{path}"))
            .bearer_auth(&bearer);
        let request = match body {
            Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
            None => request,
        };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let made = json!({ "events": ["incident.*"], "source": "/a", "expires_in": 3600, "reason": "lambda" });
    let (status, body) = ask("POST", "", Some(made)).await;
    assert_eq!(status, 200, "{body}");
    let made: Value = serde_json::from_str(&body).unwrap();
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert_eq!((&made["created"]["by"], &made["source"]), (&json!("root"), &json!("/a")));
    becomes(system.address(), key, "incident.created", Ok(())).await;

    let (status, list) = ask("GET", "", None).await;
    let entry: Value = serde_json::from_str(list.trim_end()).unwrap();
    assert_eq!((status, &entry["id"], entry.get("key")), (200, &json!(id), None));
    assert!(!list.contains(key.rsplit('_').next().unwrap()));
    for (body, code) in [
        (json!({ "events": [] }), "BODY"),
        (json!({ "events": ["a.b.c"] }), "BODY"),
        (json!({ "events": ["*"], "source": "" }), "BODY"),
        (json!({ "events": ["*"], "expires_in": 0 }), "BODY"),
        (json!({ "source": "/a" }), "BODY"),
        (json!({ "events": ["*"], "reason": "x".repeat(501) }), "REASON"),
    ] {
        let (status, answer) = ask("POST", "", Some(body)).await;
        assert!(status == 400 && answer.contains(&format!("\"{code}\"")), "{answer}");
    }
    assert_eq!(ask("POST", "/0123456789abcdef/revoke", None).await.0, 404);
    let (status, body) = ask("POST", &format!("/{id}/revoke"), Some(json!({ "reason": "leaked" }))).await;
    assert!(status == 200 && body.contains("leaked"), "{body}");
    becomes(system.address(), key, "incident.created", Err("KEY_REVOKED")).await;
    let output = system.gateway.output();
    assert!(output.contains("create key") && output.contains("revoke key"), "{output}");
    assert!(!output.contains(key));
}

/// As for disabled users: what a gateway knew counts while NATS is away, and a revocation is not forgotten when the bucket
/// comes back without it.
#[tokio::test]
async fn a_revocation_outlives_the_bucket() {
    let mut system = System::start().await;
    let key = create(&system, &["--event", "*"]).await;
    becomes(system.address(), &key, "incident.created", Ok(())).await;
    let saved = system.nats.save(&["KV_KEYS"]).await;
    let revoke = async || keys(&system, &["revoke", "--tenant", "ops", "--id", id_of(&key)]).await;
    revoke().await;
    becomes(system.address(), &key, "incident.created", Err("KEY_REVOKED")).await;
    system.nats.bring_back(saved).await;
    eventually("the revocation is written again", BOUND, async || {
        let all = listed(&system).await;
        if all[0]["revoked"].is_null() { Err(format!("{all:?}")) } else { Ok(()) }
    })
    .await;
    becomes(system.address(), &key, "incident.created", Err("KEY_REVOKED")).await;
}
