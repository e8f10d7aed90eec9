//! What production grants the NATS users of Tidings is enough for all of this, each user by itself.
//!
//! The script that grants it runs with an `nsc` of the test's own, which notes what it is told; the users are then made as
//! the real one would: by tokens that an account signs, with which the server runs as it does in production.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{BOUND, Launch, Nats, SCHEMAS, SECRET, Tidings, nats_with};
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::site::{admin, json_lines, open, request, token_of};

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");

/// Notes each call, its arguments on a line each, and makes the files that it is asked for.
const NSC: &str = r#"#!/bin/sh
for argument; do
    printf '%s\n' "$argument" >> calls
    [ "$last" = --output-file ] && : > "$argument"
    last=$argument
done
echo >> calls
"#;

/// The script's users on a nats-server.
struct Deployment {
    folder: TempDir,
    nats: Nats,
}

impl Deployment {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let calls = calls_of_script(folder.path());
        let (operator, account, system) =
            (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
        for name in ["projector", "gateway", "admin"] {
            let user = KeyPair::new_user();
            let token = token_of_user(&calls, name, &user, &account);
            let seed = user.seed().unwrap();
            let text = format!(
                "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
                 -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
            );
            fs::write(folder.path().join(format!("{name}.creds")), text).unwrap();
        }
        let jwt = |pair: &KeyPair, kind: &Value| signed(&pair.public_key(), &operator, kind);
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        });
        let preload = json!({
            account.public_key(): jwt(&account, &json!({ "type": "account", "version": 2, "limits": limits })),
            system.public_key(): jwt(&system, &json!({ "type": "account", "version": 2 })),
        });
        let config = format!(
            "max_control_line: 64KB\noperator: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {preload}",
            jwt(&operator, &json!({ "type": "operator", "version": 2 })),
            system.public_key(),
        );
        let nats = nats_with(|options| options.config(config)).await;
        Self { folder, nats }
    }

    /// `tidings` as this user.
    fn tidings(&self, user: &str, arguments: &[&str]) -> Launch {
        Launch::tidings(arguments.iter().copied())
            .variable("TIDINGS_NATS__URL", self.nats.url())
            .variable("TIDINGS_NATS__CREDENTIALS", self.creds(user))
            .variable("TIDINGS_SCHEMAS__DIRECTORY", SCHEMAS)
            .variable("TIDINGS_ACCESS__HS256_SECRET", SECRET)
            .variable("TIDINGS_GATEWAY__LISTEN", "127.0.0.1:0")
            .variable("TIDINGS_GATEWAY__ADMIN_LISTEN", "127.0.0.1:0")
            .variable("TIDINGS_GATEWAY__DRAIN_TIME", "0s")
            .folder(self.folder.path())
    }

    fn creds(&self, user: &str) -> PathBuf {
        self.folder.path().join(format!("{user}.creds"))
    }

    /// Runs a command as the administrator.
    async fn run(&self, arguments: &[&str]) -> String {
        self.tidings("admin", arguments).finish(BOUND).await.succeeded()
    }
}

/// What the script tells `nsc`.
fn calls_of_script(folder: &Path) -> Vec<Vec<String>> {
    let nsc = folder.join("nsc");
    fs::write(&nsc, NSC).unwrap();
    fs::set_permissions(&nsc, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let script = format!("{DEPLOY}/nats-users.sh");
    let ran = std::process::Command::new("sh").arg(script).env("PATH", path).current_dir(folder).status();
    assert!(ran.unwrap().success());
    let calls = fs::read_to_string(folder.join("calls")).unwrap();
    calls.split("\n\n").map(|call| call.lines().map(str::to_owned).collect()).collect()
}

/// What an option lists for a user; `None` if nothing is said, which permits everything.
fn listed<'c>(calls: &'c [Vec<String>], user: &str, option: &str) -> Option<Vec<&'c str>> {
    let of_user = |call: &&Vec<String>| {
        call.starts_with(&["add".to_owned(), "user".to_owned()]) && call.contains(&user.to_owned())
    };
    let call = calls.iter().find(of_user).unwrap_or_else(|| panic!("the script adds no user {user}"));
    let value = call.iter().skip_while(|argument| *argument != option).nth(1);
    value.map(|list| list.split(',').collect())
}

fn token_of_user(calls: &[Vec<String>], name: &str, user: &KeyPair, account: &KeyPair) -> String {
    let listed = |option: &str| match listed(calls, name, option) {
        Some(list) => json!({ "allow": list }),
        None => json!({}),
    };
    let claims = json!({
        "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
        "pub": listed("--allow-pub"), "sub": listed("--allow-sub"),
    });
    signed(&user.public_key(), account, &claims)
}

/// A token of NATS about whom this key is of.
fn signed(subject: &str, issuer: &KeyPair, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let payload = json!({
        "jti": subject, "iat": 1_700_000_000, "iss": issuer.public_key(), "sub": subject, "name": "test", "nats": claims,
    });
    let text = format!("{}.{}", part(&header), part(&payload));
    let signature = URL_SAFE_NO_PAD.encode(issuer.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}

/// Where a gateway listens.
async fn address_of(gateway: &mut Tidings) -> String {
    let line = gateway.line("gateway listens", BOUND).await;
    gateway.line("the gateway is ready", BOUND).await;
    let (_, port) = line.rsplit_once("127.0.0.1:").unwrap();
    format!("http://127.0.0.1:{}", port.trim())
}

/// Whether a pattern has this subject in it.
fn holds(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for part in pattern.split('.') {
        match (part, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, token) if token == Some(part) => {}
            _ => return false,
        }
    }
    tokens.next().is_none()
}

#[test]
fn each_user_writes_what_is_its_own_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let calls = calls_of_script(folder.path());
    let users = ["projector", "gateway", "ops-producer"];
    for (subject, writers) in [
        ("envelopes.ops.durable.all.-.note.-", &["projector"][..]),
        ("envelopes_3.ops.durable.all.-.note.-", &["projector"]),
        ("envelopes_4.ops.durable.all.-.note.-", &[]),
        ("places_1.ops", &["projector"]),
        ("$KV.PLACEMENTS.ops", &["projector"]),
        ("rejected.ops.1.1", &["projector"]),
        ("fences.7", &["projector", "gateway"]),
        ("purges.ops.user.ada", &["gateway"]),
        ("purges_2.ops.user.ada", &["gateway"]),
        ("$KV.CONSUMERS.ops.ada", &["gateway"]),
        ("events.ops.incident.created", &["gateway", "ops-producer"]),
        ("events.shelter.incident.created", &["gateway"]),
        ("$JS.ACK.EVENTS.projector_1.1.1.1.1.0", &["projector"]),
        ("$JS.API.CONSUMER.CREATE.EVENTS.projector_2", &["projector"]),
        ("$JS.API.CONSUMER.DELETE.EVENTS.projector", &[]),
        ("$JS.API.STREAM.INFO.ENVELOPES_3", &["projector", "gateway"]),
        ("$JS.API.STREAM.DELETE.ENVELOPES", &[]),
        ("$JS.API.STREAM.UPDATE.ENVELOPES", &[]),
        ("$JS.API.STREAM.PURGE.EVENTS", &[]),
    ] {
        let may = |user: &&str| {
            let granted = listed(&calls, user, "--allow-pub").unwrap();
            granted.iter().any(|pattern| holds(pattern, subject))
        };
        let found: Vec<_> = users.into_iter().filter(may).collect();
        assert_eq!(found, writers, "{subject}");
    }
}

/// Events that are rejected are looked at, tried again and removed by way of the gateway.
async fn check_rejections(deployment: &Deployment, address: &str) {
    let publish = ["publish", "--tenant", "ops", "incident.exploded", "--data", "{}", "--unchecked"];
    deployment.tidings("admin", &publish).finish(BOUND).await.failed();
    let (status, body) = request("GET", address, "rejections", &admin()).await;
    let rejections = json_lines(&body);
    assert_eq!((status, rejections.len()), (200, 1), "{body}");
    let path = format!("rejections/{}", rejections[0]["position"].as_str().unwrap());
    let (status, body) = request("GET", address, &path, &admin()).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = request("POST", address, &format!("{path}/retry"), &admin()).await;
    assert_eq!(status, 200, "{body}");
    harness::eventually("it is rejected again, and removed", BOUND, async || {
        match request("DELETE", address, &path, &admin()).await {
            (204, _) => Ok(()),
            (status, body) => Err(format!("{status} {body}")),
        }
    })
    .await;
}

#[tokio::test]
async fn no_user_needs_more_than_it_is_granted() {
    let deployment = Deployment::start().await;
    // The projector makes the streams.
    let mut projector = deployment.tidings("projector", &["projector"]).start();
    projector.line("projector runs", BOUND).await;
    let mut gateway = deployment.tidings("gateway", &["gateway"]).start();
    let address = address_of(&mut gateway).await;
    let mut ada = open(&address, &token_of("ada", &json!({ "role": "sre" }))).await;
    ada.send_json(&json!({ "action": "subscribe", "topics": ["incidents"] })).await;
    ada.expect_nothing_before_pong(BOUND).await;
    let incident = r#"{"id":"i","jira_id":"I","title":"t","severity":"low","status":"open","squad":"s"}"#;
    deployment.run(&["publish", "--tenant", "ops", "incident.created", "--data", incident]).await;
    assert_eq!(ada.next_json(BOUND).await["type"], "incident");

    let (status, body) = request("GET", &address, "connections", &admin()).await;
    assert_eq!((status, json_lines(&body).len()), (200, 1), "{body}");
    let (status, body) = request("GET", &address, "consumers", &admin()).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = request("DELETE", &address, "users/bob", &admin()).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = request("POST", &address, "users/ada/disable", &admin()).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(ada.close_code(BOUND).await, Some(4503));

    check_rejections(&deployment, &address).await;
    let mut second = deployment.tidings("projector", &["projector"]);
    second = second.variable("TIDINGS_PROJECTOR__SHARD", "1");
    let mut second = second.start();
    second.line("projector runs", BOUND).await;
    deployment.run(&["projector", "rebuild", "--tenant", "ops"]).await;
    deployment.run(&["projector", "move", "--tenant", "ops", "--to", "1"]).await;
    let bob = token_of("bob", &json!({ "role": "sre" }));
    open(&address, &bob).await;
    let (status, body) = request("DELETE", &address, "users/bob", &admin()).await;
    assert_eq!(status, 200, "{body}");
    for process in [&gateway, &projector, &second] {
        let output = process.output();
        assert!(!output.contains("NATS refuses"), "{output}");
    }
}
