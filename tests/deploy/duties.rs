//! What production grants each process is enough for all of its duties.

use std::path::Path;

use async_nats::jetstream::stream::Config;
use harness::{BOUND, Dial, eventually};
use serde_json::{Value, json};

use crate::deployment::{Deployment, Made, token_of};

mod source;

/// The status of a request of the admin interface, and the answer.
async fn request(method: &str, address: &str, path: &str, token: &str) -> (u16, String) {
    let method = method.parse().unwrap();
    let request =
        reqwest::Client::new().request(method, format!("{address}/api/v1/{path}")).bearer_auth(token);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

pub(super) fn incident(id: &str) -> Value {
    json!({ "id": id, "jira_id": "I", "title": "t", "severity": "low", "status": "open", "squad": "s" })
}

async fn hears_incidents(address: &str, user: &str) -> harness::Client {
    let token = token_of("ops", user, &json!({ "role": "sre" }));
    let mut client = eventually("the client is let in", BOUND, async || {
        Dial::new(address).bearer(&token).try_open().await.map_err(|refusal| refusal.body)
    })
    .await;
    client.send_json(&json!({ "action": "subscribe", "topics": ["incidents"] })).await;
    client.expect_nothing_before_pong(BOUND).await;
    client
}

#[tokio::test]
async fn no_process_needs_more_than_it_is_granted() {
    let made = Made::with_source(2, "TEAM", "TICKETS");
    source::configure(&made, &["TICKETS"]);
    source::permit_a_part(&made);
    let deployment = made.start().await;
    let team = source::create(&deployment, &["TICKETS", "HALF", "MOST"]).await;
    // The projector makes the streams.
    let first = deployment.projector(0).await;
    let (gateway, address) = deployment.gateway().await;
    let dispatcher = deployment.dispatcher(0).await;
    let mut ada = hears_incidents(&address, "ada").await;
    source::fill(&team, "TICKETS").await;
    for number in 0..source::MESSAGES {
        assert_eq!(ada.next_json(BOUND).await["data"]["id"], number.to_string());
    }
    deployment.publish("ops", "incident.created", &incident("i")).await;
    assert_eq!(ada.next_json(BOUND).await["type"], "incident");
    let data = incident("j").to_string();
    deployment.run(&["publish", "--tenant", "ops", "incident.created", "--data", &data]).await;
    assert_eq!(ada.next_json(BOUND).await["data"]["id"], "j");
    let (later, never) = (incident("later").to_string(), incident("never").to_string());
    let publish = |data| ["publish", "--tenant", "ops", "incident.created", "--id", "s", "--data", data];
    deployment.run(&[&publish(&never)[..], &["--delay", "1h"]].concat()).await;
    let listed = deployment.run(&["scheduled", "ls", "--tenant", "ops"]).await;
    assert!(listed.contains("incident.created"), "{listed}");
    deployment
        .run(&["scheduled", "cancel", "--tenant", "ops", "--source", "tidings-cli", "incident.created", "s"])
        .await;
    deployment.run(&[&publish(&later)[..], &["--delay", "1ms"]].concat()).await;
    assert_eq!(ada.next_json(BOUND).await["data"]["id"], "later");

    produces_over_http(&deployment, &address).await;
    assert_eq!(ada.next_json(BOUND).await["data"]["id"], "h");
    retries_over_http(&deployment, &address).await;
    over_http(&address).await;
    assert_eq!(ada.close_code(BOUND).await, Some(4503));
    let second = deployment.projector(1).await;
    by_command(&deployment).await;
    let mut bob = hears_incidents(&address, "bob").await;
    deployment.publish("ops", "incident.created", &incident("k")).await;
    // The move sends clients to their next connection, on which they have what they missed.
    loop {
        match bob.next_json_or_close(BOUND).await {
            Ok(message) if message["data"]["id"] == "k" => break,
            Ok(_) => {}
            Err(_) => bob = hears_incidents(&address, "bob").await,
        }
    }
    for process in [first, second, gateway, dispatcher] {
        let output = process.output();
        assert!(!output.contains("ERROR"), "{output}");
        assert!(!output.contains("may this NATS user"), "{output}");
    }
    saves(&deployment, &made.path("backup")).await;
    source::says_what_is_missing(&made, &deployment, &team).await;
}

/// An administrator saves everything.
async fn saves(deployment: &Deployment<'_>, folder: &Path) {
    let folder = folder.to_str().unwrap();
    let saved = deployment.run(&["backup", folder]).await;
    assert!(saved.contains("saved 14 streams"), "{saved}");
    deployment.run(&["backup", "--check", folder]).await;
}

async fn over_http(address: &str) {
    let root = token_of("ops", "root", &json!({ "scope": "openid tidings:admin" }));
    let own = reqwest::Client::new().put(format!("{address}/api/preferences")).bearer_auth(&root);
    let muted = json!({ "muted_until": "2030-01-17T08:00:00Z" }).to_string();
    let set = own.header("Content-Type", "application/json").body(muted).send().await.unwrap();
    assert_eq!(set.status().as_u16(), 200);
    for (method, path) in [
        ("GET", "connections"),
        ("GET", "keys"),
        ("GET", "consumers"),
        ("GET", "deliveries"),
        ("GET", "consumers?user=ada"),
        ("GET", "users/root/preferences"),
        ("DELETE", "users/bob"),
        ("POST", "users/ada/disable"),
        ("GET", "users/ada"),
        ("GET", "users/ada/contacts"),
    ] {
        let (status, body) = request(method, address, path, &root).await;
        assert_eq!(status, 200, "{method} {path}: {body}");
    }
    let put = reqwest::Client::new().put(format!("{address}/api/v1/users/ada/contacts")).bearer_auth(&root);
    let put = put.header("Content-Type", "application/json").body(r#"{"email":["ada@example.com"]}"#);
    assert_eq!(put.send().await.unwrap().status().as_u16(), 200);
}

/// A producer with an API key, which sends its event twice.
async fn produces_over_http(deployment: &Deployment<'_>, address: &str) {
    let key = deployment.run(&["keys", "create", "--tenant", "ops", "--event", "incident.*"]).await;
    let post = async || {
        let url = format!("{address}/api/v1/events/incident.created");
        let request =
            reqwest::Client::new().post(url).bearer_auth(key.trim_end()).header("Idempotency-Key", "h");
        let request = request.header("Content-Type", "application/json").body(incident("h").to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let first = eventually("the gateway knows the key", BOUND, async || {
        let (status, body) = post().await;
        if status == 200 { Ok(body) } else { Err(body) }
    });
    assert!(first.await.contains("\"duplicate\":false"));
    let (status, again) = post().await;
    assert!(status == 200 && again.contains("\"duplicate\":true"), "{again}");
    let (_, id) = key.split_once('_').unwrap();
    let id = id.split_once('_').unwrap().0;
    deployment.run(&["keys", "ls", "--tenant", "ops"]).await;
    deployment.run(&["keys", "revoke", "--tenant", "ops", "--id", id]).await;
}

/// An event that is larger than what `REJECTED` takes is tried again as it lies in `EVENTS`.
async fn retries_over_http(deployment: &Deployment<'_>, address: &str) {
    let root = token_of("ops", "root", &json!({ "scope": "openid tidings:admin" }));
    let streams = deployment.streams().await;
    let unlimited = streams.get_stream("REJECTED").await.unwrap().cached_info().config.clone();
    streams.update_stream(Config { max_message_size: 1_000, ..unlimited.clone() }).await.unwrap();
    deployment.publish("ops", "incident.created", &json!({ "no": "incident".repeat(500) })).await;
    let position = eventually("the rejection is listed", BOUND, async || {
        let (status, listed) = request("GET", address, "rejections", &root).await;
        let first: Value = serde_json::from_str(&listed).map_err(|_| format!("{status}: {listed}"))?;
        let is_omitted = first["omitted_bytes"].as_u64().is_some_and(|bytes| bytes > 0);
        first["position"].as_str().filter(|_| is_omitted).map(str::to_owned).ok_or(listed)
    })
    .await;
    let (status, body) = request("POST", address, &format!("rejections/{position}/retry"), &root).await;
    assert_eq!(status, 200, "{body}");
    streams.update_stream(unlimited).await.unwrap();
}

/// What administrators do from the command line.
async fn by_command(deployment: &Deployment<'_>) {
    let of_ops = |words: &[&str]| {
        words.iter().copied().chain(["--tenant", "ops"]).map(str::to_owned).collect::<Vec<_>>()
    };
    deployment.publish("ops", "incident.created", &json!({ "no": "incident" })).await;
    for words in [
        &["connections", "ls"][..],
        &["consumers", "ls"],
        &["consumers", "show", "--user", "ada", "--device", "default"],
        &["consumers", "reset", "--user", "ada", "--device", "default", "--to", "new"],
        &["preferences", "set", "--user", "ada", "--mute-until", "2030-01-17T08:00:00Z"],
        &["preferences", "show", "--user", "ada"],
        &["users", "enable", "--user", "ada"],
        &["contacts", "set", "--user", "ada", "--data", r#"{"phone_number":["+4930123456"]}"#],
        &["contacts", "show", "--user", "ada"],
        &["contacts", "reseal"],
        &["contacts", "forget", "--user", "ada"],
        &["users", "purge", "--user", "ada"],
        &["deliveries", "ls"],
        &["projector", "rebuild"],
        &["projector", "move", "--to", "1"],
    ] {
        let arguments = of_ops(words);
        deployment.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    deployment.run(&["projector", "ls"]).await;
    deployment.run(&["check", "--allow-breaking"]).await;
    eventually("the rejection is listed", BOUND, async || {
        let listed = deployment.run(&["rejected", "ls", "--tenant", "ops"]).await;
        if listed.contains("incident.created") { Ok(()) } else { Err(listed) }
    })
    .await;
    deployment.run(&["rejected", "retry", "--tenant", "ops", "--all"]).await;
    deployment.run(&["rejected", "drop", "--tenant", "ops", "--all"]).await;
}
