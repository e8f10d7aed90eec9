//! Everything is saved while events keep coming, and comes back into an empty NATS.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use harness::{BOUND, Client, Gateway, Launch, System, eventually};
use rustix::process::Signal;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use crate::site::{dial, incident};

const LONG: Duration = Duration::from_secs(120);

/// The ids of the incidents among these messages.
fn ids(messages: &[Value]) -> Vec<u64> {
    let id = |message: &Value| message["data"]["id"].as_str()?.strip_prefix("e-")?.parse().ok();
    messages.iter().filter_map(id).collect()
}

pub(crate) fn id(number: u64) -> String {
    format!("e-{number}")
}

pub(crate) async fn publish(system: &System, number: u64) {
    system.publish("ops", "incident.created", &incident(&id(number))).await;
}

async fn until(client: &mut Client, number: u64) -> Vec<Value> {
    client.until(LONG, |message| message["data"]["id"] == *id(number)).await
}

/// A sequenced client of this user; `welcome` is not among what it receives next.
async fn connect(address: &str, user: &str, since: Option<&str>) -> (Client, Value) {
    let dial = dial(address, user).subprotocol("tidings.v1");
    let dial = since.into_iter().fold(dial, |dial, since| dial.query("since", since));
    let mut client = dial.open().await;
    let welcome = client.next_json(BOUND).await;
    assert_eq!(welcome["action"], "welcome");
    (client, welcome)
}

async fn acknowledge(client: &mut Client, message: &Value) {
    client.send_json(&json!({ "action": "ack", "seq": message["seq"] })).await;
}

/// Twenty incidents, of which the tenth is an event with an id; before it there is something for Kim and Lee, and an event that
/// is delivered later; behind it another one.
async fn publish_twenty(system: &System) {
    for number in 1..=9 {
        publish(system, number).await;
    }
    for user in ["kim", "lee"] {
        let data = json!({ "userId": user, "title": "t", "message": "", "type": "info", "priority": "low" });
        system.publish("ops", "notification.created", &data).await;
    }
    schedule(system, "later", "1h").await;
    let tenth = json!({
        "specversion": "1.0", "id": "the-tenth", "source": "s", "type": "incident.created", "data": incident("e-10"),
    });
    system.publish_raw("events.ops.incident.created", HeaderMap::new(), tenth.to_string()).await;
    schedule(system, "never", "1h").await;
    for number in 11..=20 {
        publish(system, number).await;
    }
}

pub(crate) async fn schedule(system: &System, id: &str, delay: &str) {
    let event = json!({
        "specversion": "1.0", "id": id, "source": "s", "type": "incident.created", "delay": delay,
        "data": incident(id),
    });
    system.publish_raw("events.ops.incident.created", HeaderMap::new(), event.to_string()).await;
}

/// Waits until these events, and no others, are to be delivered later.
async fn wait_for_scheduled(system: &System, expected: &[&str]) {
    eventually("the events are scheduled", BOUND, async || {
        let listed = run(system, &["scheduled", "ls", "--tenant", "ops", "--json"]).await;
        let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ids: Vec<_> = listed.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
        if ids == expected { Ok(()) } else { Err(format!("{ids:?}")) }
    })
    .await;
}

/// Waits until the position of a device that has left is stored.
async fn stored(system: &System, user: &str, sequence: &Value) {
    let consumers = jetstream::new(system.client().clone()).get_key_value("CONSUMERS").await.unwrap();
    eventually("the position is stored", BOUND, async || {
        let record = consumers.get(format!("ops.{user}.d")).await.map_err(|error| error.to_string())?;
        let record: Value = serde_json::from_slice(&record.ok_or("no record")?).unwrap();
        let is_stored = record["position"].as_str().is_some_and(|at| at.ends_with(&format!("-{sequence}")));
        if is_stored && record["connected"].is_null() { Ok(()) } else { Err(record.to_string()) }
    })
    .await;
}

async fn metadata(system: &System, stream: &str) -> Option<Value> {
    let context = jetstream::new(system.client().clone());
    let info: Value = context.request(format!("STREAM.INFO.{stream}"), &json!({})).await.ok()?;
    Some(info.get("config")?["metadata"].clone())
}

/// Restores, kills that in the middle, and fails unless nothing uses what is there then.
async fn restore_half(system: &System, folder: &Path) {
    for attempt in 0.. {
        let restore = system.command(&["restore", path(folder)]).start();
        eventually("the restore has begun", BOUND, async || {
            metadata(system, "EVENTS").await.filter(|metadata| !metadata.is_null()).ok_or("no EVENTS")
        })
        .await;
        restore.signal(Signal::KILL);
        restore.end(BOUND).await;
        if metadata(system, "EVENTS").await.unwrap()["tidings.restoring"].is_string() {
            return;
        }
        assert!(attempt < 20, "no restore could be killed before it was complete");
        delete_all(system).await;
    }
}

async fn delete_all(system: &System) {
    use futures_util::TryStreamExt as _;
    let context = jetstream::new(system.client().clone());
    let names: Vec<String> = context.stream_names().try_collect().await.unwrap();
    for name in names {
        context.delete_stream(name).await.unwrap();
    }
}

pub(crate) fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

pub(crate) async fn serve(system: &mut System) -> Gateway {
    system.projector = system.command(&["projector"]).start();
    system.projector.line("projector runs", BOUND).await;
    system.another_gateway(&[]).await
}

/// Ends the processes of a system, and what NATS has.
pub(crate) async fn lose_everything(system: &mut System, gateway: Option<Gateway>) {
    drop(gateway);
    for process in [&system.gateway, &system.projector] {
        process.signal(Signal::KILL);
    }
    system.nats.wipe().await.unwrap();
    system.nats.restart().await.unwrap();
    eventually("NATS is back", BOUND, async || {
        system.client().flush().await.map_err(|error| error.to_string())?;
        if metadata(system, "EVENTS").await.is_none() { Ok(()) } else { Err("it has streams".to_owned()) }
    })
    .await;
}

/// Kills a backup in the middle, and fails unless it does not look like one.
async fn back_up_half(system: &System, folder: &Path) {
    let partial = folder.with_extension("partial");
    let backup = system.command(&["backup", path(folder)]).start();
    eventually("the backup has begun", BOUND, async || {
        let has_begun = partial.join("KV_CONSUMERS.snapshot").exists() || folder.exists();
        if has_begun { Ok(()) } else { Err("nothing is there") }
    })
    .await;
    backup.signal(Signal::KILL);
    backup.end(BOUND).await;
    if folder.exists() {
        // It was quicker.
        std::fs::remove_dir_all(folder).unwrap();
    } else {
        let failed = system.command(&["backup", "--check", path(&partial)]).finish(BOUND).await.failed();
        assert!(failed.contains("this is no backup, or one that was not completed"), "{failed}");
    }
}

/// Publishes one event after the other until told to stop.
async fn keep_publishing(system: &System, stopped: &AtomicBool, from: u64, published: &AtomicU64) {
    let mut number = from;
    while !stopped.load(Ordering::Relaxed) {
        publish(system, number).await;
        published.store(number, Ordering::Relaxed);
        number += 1;
    }
}

pub(crate) async fn run(system: &System, arguments: &[&str]) -> String {
    let keys = ("TIDINGS_CONTACTS__KEYS", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    system.command(arguments).variable(keys.0, keys.1).finish(LONG).await.succeeded()
}

#[tokio::test]
async fn everything_is_saved_under_load_and_comes_back() {
    let mut system = System::start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("backup");
    let mut clients = Vec::new();
    for user in ["ada", "bo"] {
        let (mut client, _) = connect(system.address(), user, None).await;
        client.send_json(&json!({ "action": "subscribe", "topics": ["incidents"] })).await;
        client.until(BOUND, |message| message["action"] == "subscribed").await;
        clients.push(client);
    }
    let [mut ada, mut bo] = <[_; 2]>::try_from(clients).ok().unwrap();
    publish_twenty(&system).await;
    let seen = until(&mut bo, 5).await;
    let fifth = seen.last().unwrap().clone();
    acknowledge(&mut bo, &fifth).await;
    bo.close().await;
    stored(&system, "bo", &fifth["seq"]).await;
    run(&system, &["users", "disable", "--tenant", "ops", "--user", "eve"]).await;
    for user in ["kim", "lee"] {
        let data = r#"{"email":["somebody@example.com"]}"#;
        run(&system, &["contacts", "set", "--tenant", "ops", "--user", user, "--data", data]).await;
    }

    let (stopped, published) = (AtomicBool::new(false), AtomicU64::new(20));
    let ((before, after), ()) = tokio::join!(
        async {
            back_up_half(&system, &folder).await;
            let before = published.load(Ordering::Relaxed);
            let said = run(&system, &["backup", path(&folder)]).await;
            assert!(said.contains("saved 12 streams"), "{said}");
            let after = published.load(Ordering::Relaxed);
            stopped.store(true, Ordering::Relaxed);
            (before, after)
        },
        keep_publishing(&system, &stopped, 21, &published),
    );
    let last = published.load(Ordering::Relaxed);
    for number in last + 1..=last + 3 {
        publish(&system, number).await;
    }
    let seen = until(&mut ada, last + 3).await;
    let newest = seen.last().unwrap().clone();
    acknowledge(&mut ada, &newest).await;
    ada.close().await;
    stored(&system, "ada", &newest["seq"]).await;
    let (ada, welcome) = connect(system.address(), "ada", None).await;
    let stood = welcome["position"].as_str().unwrap().to_owned();
    ada.close().await;
    run(&system, &["backup", "--check", path(&folder)]).await;
    assert_damage_is_found(&folder).await;
    let said = system.command(&["backup", path(&folder)]).finish(BOUND).await.failed();
    assert!(said.contains("exists already"), "{said}");
    let said = system.command(&["restore", path(&folder)]).finish(BOUND).await.failed();
    assert!(said.contains("this NATS is not empty: it has the streams"), "{said}");

    wait_for_scheduled(&system, &["later", "never"]).await;
    lose_everything(&mut system, None).await;
    restore_half(&system, &folder).await;
    let mut waiting = system.command(&["gateway"]).start();
    waiting.line("the streams are being restored from a backup", BOUND).await;
    waiting.signal(Signal::KILL);
    let purged = folder.with_extension("purged");
    std::fs::write(&purged, "# left\nops/kim\n").unwrap();
    let said = run(&system, &["restore", path(&folder), "--purged", path(&purged)]).await;
    assert!(said.contains("restored 12 streams"), "{said}");
    let said = system.command(&["restore", path(&folder)]).finish(BOUND).await.failed();
    assert!(said.contains("this NATS is not empty"), "{said}");

    let gateway = serve(&mut system).await;
    assert_resumes(&system, &gateway, (before, after, last), &stood).await;
    let refused = dial(&gateway.address, "eve").refused().await;
    assert_eq!((refused.status, refused.body.contains("disabled")), (403, true), "{}", refused.body);
    wait_for_scheduled(&system, &["later", "never"]).await;
    assert_purged(&system, "ops").await;
    assert!(system.projector.is_running() && !system.projector.output().contains("panicked"));

    let fifteenth = stored_at(&system, 15).await;
    lose_everything(&mut system, Some(gateway)).await;
    let said = system.command(&["restore", path(&folder), "--until", "nothing"]).finish(LONG).await.failed();
    assert!(said.contains("no event of the backup has the id"), "{said}");
    for (until, last) in [("the-tenth", 10), (&*fifteenth, 15)] {
        let purged = path(&purged);
        run(&system, &["restore", path(&folder), "--until", until, "--purged", purged]).await;
        let gateway = serve(&mut system).await;
        assert_begins_again(&system, &gateway, last).await;
        let scheduled = if last == 10 { &["later"][..] } else { &["later", "never"] };
        wait_for_scheduled(&system, scheduled).await;
        assert_purged(&system, "ops~1").await;
        lose_everything(&mut system, Some(gateway)).await;
    }
}

/// When the event with this incident was stored.
async fn stored_at(system: &System, number: u64) -> String {
    let events = jetstream::new(system.client().clone()).get_stream("EVENTS").await.unwrap();
    let mut sequence = 1;
    loop {
        let event = events.get_raw_message(sequence).await.unwrap();
        if String::from_utf8_lossy(&event.payload).contains(&format!("\"{}\"", id(number))) {
            return event.time.format(&Rfc3339).unwrap();
        }
        sequence += 1;
    }
}

/// Kim was purged after the backup, and Lee was not.
async fn assert_purged(system: &System, place: &str) {
    let context = jetstream::new(system.client().clone());
    let envelopes = context.get_stream("ENVELOPES").await.unwrap();
    let contacts = context.get_key_value("CONTACTS").await.unwrap();
    for (user, is_there) in [("kim", false), ("lee", true)] {
        let subject = format!("envelopes.{place}.*.user.{user}.>");
        let found = envelopes.get_last_raw_message_by_subject(&subject).await.is_ok();
        assert_eq!(found, is_there, "{subject}");
        assert_eq!(contacts.get(format!("ops.{user}")).await.unwrap().is_some(), is_there, "{user}");
    }
}

/// Everything up to an incident was projected again: a device is told a gap, and receives all of that, and what follows.
async fn assert_begins_again(system: &System, gateway: &Gateway, last: u64) {
    let (mut bo, _) = connect(&gateway.address, "bo", None).await;
    publish(system, 1_000).await;
    let seen = until(&mut bo, 1_000).await;
    assert_eq!((&seen[0]["action"], &seen[0]["reason"]), (&json!("gap"), &json!("epoch")), "{seen:?}");
    assert!(ids(&seen).into_iter().eq((1..=last).chain([1_000])), "{:?}", ids(&seen));
    bo.close().await;
}

/// A device that stood before the cut receives exactly what follows; one that stood behind it is told a gap.
async fn assert_resumes(
    system: &System,
    gateway: &Gateway,
    (before, after, last): (u64, u64, u64),
    stood: &str,
) {
    let (mut bo, _) = connect(&gateway.address, "bo", None).await;
    let (mut ada, _) = connect(&gateway.address, "ada", Some(stood)).await;
    let first_new = last + 100;
    publish(system, first_new).await;
    let seen = until(&mut bo, first_new).await;
    assert!(seen.iter().all(|message| message["action"] != "gap"), "{seen:?}");
    let received = ids(&seen);
    let (kept, new) = received.split_at(received.len() - 1);
    assert_eq!(new, [first_new]);
    let newest = *kept.last().unwrap();
    assert!(kept.iter().copied().eq(6..=newest), "{received:?}");
    assert!((before..=after + 1).contains(&newest), "{before} to {after}: {newest}");

    let seen = until(&mut ada, first_new).await;
    let gap = &seen[0];
    assert_eq!((&gap["action"], &gap["reason"]), (&json!("gap"), &json!("epoch")), "{seen:?}");
    assert_eq!(gap["from"], *stood, "{gap}");
    assert_ne!(stood.split('-').next(), gap["to"].as_str().unwrap().split('-').next());
    // What was projected since the restore.
    let received = ids(&seen);
    assert!(received.iter().copied().eq((received[0]..=newest).chain([first_new])), "{received:?}");
    assert!(received[0] > 20 || received == [first_new], "{received:?}");
}

/// Damages copies of a backup in each way, and fails unless each is refused with what is wrong.
async fn assert_damage_is_found(folder: &Path) {
    type Damage = fn(&Path);
    let damages: [(Damage, &str); 7] = [
        (
            |copy| truncate(&copy.join("EVENTS.snapshot")),
            "EVENTS.snapshot: its content is not what was written",
        ),
        (
            |copy| flip(&copy.join("ENVELOPES.snapshot")),
            "ENVELOPES.snapshot: its content is not what was written",
        ),
        (|copy| flip(&copy.join("backup.json")), "backup.json: its content is not what was written"),
        (|copy| std::fs::remove_file(copy.join("KV_USERS.tail")).unwrap(), "KV_USERS.tail"),
        (
            |copy| std::fs::write(copy.join("SHA256SUMS"), b"\xFFrubbish").unwrap(),
            "SHA256SUMS: it is not text",
        ),
        (
            |copy| std::fs::write(copy.join("SHA256SUMS"), b"x  ../y\n").unwrap(),
            "SHA256SUMS: its lines are not",
        ),
        (|copy| std::fs::remove_file(copy.join("SHA256SUMS")).unwrap(), "this is no backup"),
    ];
    for (damage, expected) in damages {
        let copies = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copies.path().join(entry.file_name())).unwrap();
        }
        damage(copies.path());
        let check = Launch::tidings(["backup", "--check", path(copies.path())]);
        let said = check.finish(BOUND).await.failed();
        assert!(said.contains(expected), "expected {expected:?}, got {said:?}");
    }
}

fn truncate(file: &Path) {
    let length = file.metadata().unwrap().len();
    std::fs::File::options().write(true).open(file).unwrap().set_len(length / 2).unwrap();
}

fn flip(file: &Path) {
    let mut content = std::fs::read(file).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 1;
    std::fs::write(file, content).unwrap();
}
