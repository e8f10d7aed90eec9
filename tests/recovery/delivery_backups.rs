//! After a restore, each fallback is decided once: what was decided stays so, and what was not read is.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::TryStreamExt as _;
use harness::{BOUND, Setup, System, Tidings, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::backups::{lose_everything, path, run, serve};

/// No webhook is configured, so that each delivery is decided when it is due: it is skipped.
const CATALOG: &str = r#"
grants = ["user:{sub}"]
[[message]]
name = "note"
events = ["note.added"]
schema = "any.schema.json"
to = "user:{data.user}"
body = { type = "note" }
[[message.fallback]]
channel = "webhook"
after = "0s"
[[message.fallback]]
channel = "webhook"
after = "1h"
"#;

/// Publishes a note for each of these users.
async fn publish(system: &System, users: &[&str]) {
    for user in users {
        system.publish("hooks", "note.added", &json!({ "user": user })).await;
    }
}

async fn dispatcher(system: &System) -> Tidings {
    let mut dispatcher = system.command(&["dispatcher"]).start();
    dispatcher.line("this dispatcher leads", BOUND).await;
    // What is stored before the first one has noted where it begins is not sent.
    let streams = async_nats::jetstream::new(system.client().clone());
    eventually("it is noted where it begins", BOUND, async || {
        let stream = streams.get_stream("DELIVERIES").await.map_err(|error| error.to_string())?;
        let noted = stream.get_last_raw_message_by_subject("deliveries.through.0").await;
        noted.map(drop).map_err(|error| error.to_string())
    })
    .await;
    dispatcher
}

async fn stop(dispatcher: Tidings) {
    dispatcher.signal(Signal::KILL);
    _ = dispatcher.end(BOUND).await;
}

/// For each user, how many deliveries wait and how many facts there are about others.
async fn known(system: &System) -> Result<BTreeMap<String, (usize, usize)>, String> {
    let listed = run(system, &["deliveries", "ls", "--tenant", "hooks", "--json"]).await;
    let mut known: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for line in listed.lines() {
        let delivery: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let (waiting, decided) = known.entry(delivery["user"].as_str().unwrap().to_owned()).or_default();
        *if delivery.get("due").is_some() { waiting } else { decided } += 1;
    }
    Ok(known)
}

/// Waits until of two deliveries to each of these users one is decided and one waits; there are none to others.
async fn until_known(system: &System, users: &[&str]) {
    let expected: BTreeMap<_, _> = users.iter().map(|user| ((*user).to_owned(), (1, 1))).collect();
    eventually("the fallbacks are decided", BOUND, async || {
        let known = known(system).await?;
        if known == expected { Ok(()) } else { Err(format!("{known:?}, expected {expected:?}")) }
    })
    .await;
}

/// How many facts there are about deliveries to a user.
async fn facts(system: &System, user: &str) -> usize {
    let streams = async_nats::jetstream::new(system.client().clone());
    let stream = streams.get_stream("DELIVERIES").await.unwrap();
    let subject = format!("deliveries.facts.hooks.{user}.>");
    let found: Vec<_> = stream.info_with_subjects(subject).await.unwrap().try_collect().await.unwrap();
    found.iter().map(|(_, messages)| messages).sum()
}

/// One note is older than the first dispatcher (`old`), one is read by none before the backup (`late`).
#[tokio::test]
async fn a_fallback_is_decided_once_whatever_is_restored() {
    let (schemas, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let catalog = schemas.path().join("hooks");
    std::fs::create_dir(&catalog).unwrap();
    std::fs::write(catalog.join("catalog.toml"), CATALOG).unwrap();
    std::fs::write(catalog.join("any.schema.json"), "{}").unwrap();
    let mut system = Setup::default().schemas(schemas.path()).start().await;
    let folder: &Path = &folder.path().join("backup");
    publish(&system, &["old"]).await;
    let streams = async_nats::jetstream::new(system.client().clone());
    let envelopes = streams.get_stream("ENVELOPES").await.unwrap();
    eventually("it is projected", BOUND, async || {
        envelopes.get_last_raw_message_by_subject("envelopes.hooks.>").await.map(drop)
    })
    .await;
    let first = dispatcher(&system).await;
    publish(&system, &["ada", "bo", "eve"]).await;
    until_known(&system, &["ada", "bo", "eve"]).await;
    stop(first).await;
    publish(&system, &["late"]).await;
    run(&system, &["backup", path(folder)]).await;
    let purged = folder.with_extension("purged");
    std::fs::write(&purged, "hooks/eve\n").unwrap();

    for until in [None, Some("2300-01-01T00:00:00Z")] {
        lose_everything(&mut system, None).await;
        let restore = ["restore", path(folder), "--purged", path(&purged)];
        let until = until.into_iter().flat_map(|until| ["--until", until]);
        run(&system, &restore.into_iter().chain(until.clone()).collect::<Vec<_>>()).await;
        let gateway = serve(&mut system).await;
        let next = dispatcher(&system).await;
        publish(&system, &["new"]).await;
        // Envelopes that are made again are those of a rebuild, of which none is new.
        let late = if until.count() == 0 { &["late"][..] } else { &[] };
        until_known(&system, &[&["ada", "bo", "new"][..], late].concat()).await;
        for user in ["ada", "bo"] {
            assert_eq!(facts(&system, user).await, 1, "{user}");
        }
        stop(next).await;
        drop(gateway);
    }
}
