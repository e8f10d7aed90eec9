//! Exactly once and in order, although projectors are killed repeatedly under mixed load.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream;
use futures_util::future::try_join_all;
use harness::{BOUND, eventually};
use serde_json::{Value, json};
use tidings_streams::StoredEnvelope;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::process::Process;
use crate::support::{Scene, number};

/// Every repetition is within it.
const WINDOW: Duration = Duration::from_secs(120);

#[tokio::test]
async fn the_active_one_killed_under_load_leaves_everything_in_its_place() {
    let scene = Scene::on(harness::nats().await, WINDOW).await;
    under_load(&scene, kill(&scene, 6, Turn::HasWritten)).await;
}

#[tokio::test]
#[ignore = "takes more than a minute: `cargo test -p tidings-projector -- --ignored a_minute_of_kills`"]
async fn a_minute_of_kills_leaves_everything_in_its_place() {
    let scene = Scene::on(harness::nats().await, WINDOW).await;
    under_load(&scene, kill(&scene, 60, Turn::HasLived)).await;
}

#[tokio::test]
async fn what_is_made_anew_is_complete_whoever_is_killed_meanwhile() {
    let scene = Scene::on(harness::nats().await, WINDOW).await;
    let context = jetstream::new(scene.topology.client());
    let mut events = Vec::new();
    for n in 1..=2_000 {
        events.push(Published { sequence: publish(&context, n).await, n, kind: Kind::of(n) });
    }
    let projector = scene.projector().await;
    scene.until_all_done().await;
    projector.stop().await;
    let next = scene.ask(0, None).await;
    events.extend(publish_during(&scene, kill(&scene, 5, Turn::HasLived)).await);
    let projector = scene.projector().await;
    scene.until_current(next).await;
    scene.until_all_done().await;
    events.sort_by_key(|event| event.sequence);
    let made = scene.at(next).await;
    let made: Vec<_> = made.iter().filter(|stored| !is_gauge(stored)).map(place).collect();
    let expected = expected(&events).1;
    assert_eq!(made.iter().zip(&expected).find(|(found, expected)| found != expected), None);
    assert_eq!(made.len(), expected.len());
    projector.stop().await;
}

/// When the older of two projectors is killed, at least a second after the last kill.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// When it alone has written, and another one stands by.
    HasWritten,
    /// At any time. A projector lives for two seconds then, and the server does not reassign a lease before three
    /// have passed: many are killed while they wait, start or recover.
    HasLived,
}

async fn kill(scene: &Scene, kills: u32, turn: Turn) {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut older = Process::start(scene);
    for _ in 0..kills {
        if turn == Turn::HasWritten {
            until_something_is_written(scene).await;
        }
        let younger = Process::start(scene);
        seconds.tick().await;
        std::mem::replace(&mut older, younger).kill().await;
    }
    until_something_is_written(scene).await;
    older.kill().await;
}

async fn until_something_is_written(scene: &Scene) {
    let before = scene.state("ENVELOPES").await.unwrap().0;
    eventually("something is written", BOUND, async || match scene.state("ENVELOPES").await?.0 {
        written if written > before => Ok(()),
        written => Err(format!("{written} envelopes, as before")),
    })
    .await;
}

/// Runs `faults` while producers publish, and returns what they have published.
async fn publish_during(scene: &Scene, faults: impl Future<Output = ()>) -> Vec<Published> {
    let stopped = CancellationToken::new();
    let producers = (1..=3).map(|number| {
        let context = jetstream::new(scene.topology.client());
        tokio::spawn(produce(context, number, stopped.clone()))
    });
    let producers: Vec<_> = producers.collect();
    faults.await;
    stopped.cancel();
    try_join_all(producers).await.unwrap().concat()
}

/// Runs `faults` while producers publish, and compares the result with what they have published.
async fn under_load(scene: &Scene, faults: impl Future<Output = ()>) {
    let stored = scene.count_stored().await;
    let mut events = publish_during(scene, faults).await;
    events.sort_by_key(|event| event.sequence);
    let all = events.iter().map(|event| if is_repeated(event.n) { 2 } else { 1 }).sum::<u64>();
    assert_eq!(scene.state("EVENTS").await.unwrap(), (all, all), "repetitions are there, too");

    let projector = scene.projector().await;
    scene.until_all_done().await;
    let gauges = until_newest_gauges_are_written(scene, &events).await;
    let envelopes = scene.envelopes().await;
    let placed = envelopes.iter().filter(|stored| !is_gauge(stored)).map(place);
    let (all, expected) = expected(&events);
    let wrong = placed.clone().zip(&expected).find(|(found, expected)| found != *expected);
    assert_eq!(wrong, None, "found and expected");
    assert_eq!(placed.count(), expected.len());
    // Replaced envelopes were written, too.
    assert_eq!(stored.count().await, all + gauges);
    // A rejected event may be repeated, and is rejected again.
    let bad = events.iter().filter(|event| event.kind == Kind::Bad);
    let rejected = bad.map(|event| if is_repeated(event.n) { 2 } else { 1 }).sum::<u64>();
    assert_eq!(scene.state("REJECTED").await.unwrap().1, rejected);
    projector.stop().await;
}

#[derive(Clone, Debug)]
struct Published {
    sequence: u64,
    n: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Note,
    Group,
    Completion,
    Gauge,
    Bad,
}

impl Kind {
    fn of(n: u64) -> Self {
        match n % 20 {
            0 => Self::Group,
            5 => Self::Bad,
            10 | 15 => Self::Completion,
            1 | 6 | 11 | 16 => Self::Gauge,
            _ => Self::Note,
        }
    }

    fn event(self, n: u64) -> (&'static str, Value) {
        match self {
            Self::Note => ("note.added", json!({ "n": n, "user": user(n) })),
            Self::Group => ("group.called", json!({ "n": n, "watchers": watchers() })),
            Self::Completion => ("job.completed", json!({ "n": n, "user": user(n), "job": job(n) })),
            Self::Gauge => ("gauge.read", json!({ "n": n, "user": "u", "gauge": gauge(n) })),
            Self::Bad => ("note.added", json!({ "n": n })),
        }
    }
}

fn user(n: u64) -> String {
    format!("u{}", n % 7)
}

fn watchers() -> Vec<String> {
    (0..20).map(|n| format!("w{n}")).collect()
}

fn job(n: u64) -> String {
    format!("j{}", n % 3)
}

fn gauge(n: u64) -> String {
    format!("g{}", n % 5)
}

/// Publishes an event every 20 ms.
async fn produce(context: jetstream::Context, producer: u64, stopped: CancellationToken) -> Vec<Published> {
    let mut pace = interval(Duration::from_millis(20));
    let mut published = Vec::new();
    for n in producer * 1_000_000.. {
        if stopped.run_until_cancelled(pace.tick()).await.is_none() {
            break;
        }
        published.push(Published { sequence: publish(&context, n).await, n, kind: Kind::of(n) });
    }
    published
}

/// Publishes an event, and every third one a second time at once, as if the answer had been lost.
async fn publish(context: &jetstream::Context, n: u64) -> u64 {
    let (name, data) = Kind::of(n).event(n);
    let publish = async || {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Nats-Msg-Id", n.to_string());
        let (subject, payload) = (format!("events.t.{name}"), data.to_string());
        context.publish_with_headers(subject, headers, payload.into()).await.unwrap().await.unwrap()
    };
    let sequence = publish().await.sequence;
    if is_repeated(n) {
        assert!(!publish().await.duplicate, "the projector tells");
    }
    sequence
}

fn is_repeated(n: u64) -> bool {
    n.is_multiple_of(3)
}

/// Identifies an envelope: the sequence of its event, its address, its number.
type Place = (u64, String, u64);

fn place(stored: &StoredEnvelope) -> Place {
    let envelope = &stored.envelope;
    (envelope.origin.event.sequence, envelope.subject.address.to_string(), number(stored))
}

/// The number of envelopes to be written, gauges aside, and those that are still there, in order.
fn expected(events: &[Published]) -> (u64, Vec<Place>) {
    let mut newest = BTreeMap::new();
    let mut places = Vec::new();
    for Published { sequence, n, kind } in events {
        let ids = match kind {
            Kind::Note | Kind::Completion => vec![user(*n)],
            Kind::Group => watchers(),
            Kind::Gauge | Kind::Bad => continue,
        };
        if *kind == Kind::Completion {
            newest.insert((user(*n), job(*n)), *sequence);
        }
        places.extend(ids.into_iter().map(|id| (*kind, (*sequence, format!("user:{id}"), *n))));
    }
    let all = u64::try_from(places.len()).unwrap();
    let is_there = |(kind, (sequence, _, n)): &(Kind, Place)| {
        *kind != Kind::Completion || newest[&(user(*n), job(*n))] == *sequence
    };
    (all, places.into_iter().filter(is_there).map(|(_, place)| place).collect())
}

fn is_gauge(stored: &StoredEnvelope) -> bool {
    stored.envelope.subject.slot == "gauge"
}

/// Waits until the newest envelope of each gauge is written, last and once. Returns their number.
async fn until_newest_gauges_are_written(scene: &Scene, events: &[Published]) -> u64 {
    let gauges = events.iter().filter(|event| event.kind == Kind::Gauge);
    let newest: BTreeMap<_, _> = gauges.map(|event| (gauge(event.n), event.sequence)).collect();
    let written = eventually("the newest of each gauge is written", 2 * BOUND, async || {
        let mut written: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for stored in scene.envelopes().await.iter().filter(|stored| is_gauge(stored)) {
            written.entry(gauge(number(stored))).or_default().push(place(stored).0);
        }
        let last = written.iter().map(|(gauge, sequences)| (gauge.clone(), sequences[sequences.len() - 1]));
        if last.collect::<BTreeMap<_, _>>() == newest { Ok(written) } else { Err(format!("{written:?}")) }
    })
    .await;
    for sequences in written.values() {
        assert!(sequences.is_sorted_by(|one, next| one < next), "{sequences:?}");
    }
    u64::try_from(written.values().map(Vec::len).sum::<usize>()).unwrap()
}
