//! Events that are delivered later: each once, not before its time, whatever is killed, and alike in a rebuild.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use harness::{BOUND, eventually};
use serde_json::{Value, json};
use tidings_model::RawEvent;
use tidings_streams::{EventHistory, Schedules};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::process::Process;
use crate::support::{Scene, number};

/// Longer than any test takes.
const WINDOW: Duration = Duration::from_secs(120);

fn text(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap()
}

fn note(id: u64, n: u64, deliver_at: &str) -> Value {
    let data = json!({ "n": n, "user": "u" });
    let id = id.to_string();
    json!({ "specversion": "1.0", "id": id, "source": "s", "type": "t", "deliverat": deliver_at, "data": data })
}

/// Publishes notes, in their order.
async fn publish(scene: &Scene, notes: impl IntoIterator<Item = Value>) {
    let mut sent = Vec::new();
    for note in notes {
        let ack = scene.context.publish("events.t.note.added", note.to_string().into()).await.unwrap();
        sent.push(ack.into_future());
    }
    try_join_all(sent).await.unwrap();
}

/// Waits until nothing is to be delivered any more, and everything that was due is projected.
async fn until_nothing_waits(scene: &Scene, bound: Duration) {
    // Whatever schedules was read.
    scene.until_all_done().await;
    eventually("everything was due", bound, async || {
        let tenant = tidings_model::Tenant::parse("t").unwrap();
        let waiting: Vec<_> =
            Schedules::new(&scene.topology).list(&tenant).try_collect().await.map_err(line)?;
        let stream = scene.context.get_stream("SCHEDULED").await.map_err(line)?;
        let due = stream.info_with_subjects("scheduled.*.*.*.*.*.due").await.map_err(line)?;
        let due: Vec<_> = due.try_collect().await.map_err(line)?;
        let (waiting, due) = (waiting.len(), due.iter().map(|(_, messages)| messages).sum::<usize>());
        let taken =
            events(scene).await.iter().filter(|event| event.header("Tidings-Scheduled").is_some()).count();
        if waiting == 0 && taken >= due {
            Ok(())
        } else {
            Err(format!("{waiting} wait, {taken} of {due} are taken"))
        }
    })
    .await;
    scene.until_all_done().await;
}

fn line(error: impl Into<async_nats::Error>) -> String {
    error.into().to_string()
}

/// Everything in `EVENTS`.
async fn events(scene: &Scene) -> Vec<RawEvent> {
    let tenant = tidings_model::Tenant::parse("t").unwrap();
    let mut history = EventHistory::open(&scene.topology, &tenant, None, None).await.unwrap();
    let (all, mut events) = (scene.state("EVENTS").await.unwrap().1, Vec::new());
    while u64::try_from(events.len()).unwrap() < all {
        history.ready().await;
        events.extend(std::iter::from_fn(|| history.take()));
    }
    events
}

/// A thousand events that wait while everything was killed.
struct Waiting {
    scene: Scene,
    projector: Process,
    /// The ends of `ENVELOPES` and `EVENTS` by then.
    envelopes: u64,
    events: u64,
    due: OffsetDateTime,
    later: OffsetDateTime,
}

impl Waiting {
    /// Numbers up to 1,000 are delivered as published, those after them replace one before; every tenth is cancelled. `None` if
    /// the machine is so busy that some are due before all are scheduled.
    async fn for_at_least(time: Duration) -> Option<Self> {
        let mut scene = Scene::on(harness::nats().await, WINDOW).await;
        let first = Process::start(&scene);
        let second = Process::start(&scene);
        scene.publish_until_written(&mut 0, BOUND).await;
        let envelopes = scene.state("ENVELOPES").await.unwrap().0;
        let due = OffsetDateTime::now_utc() + time;
        let later = due + Duration::from_secs(1);
        publish(&scene, (1..=1_000).map(|id| note(id, 10_000 + id, &text(due)))).await;
        first.kill().await;
        let replacing = (1..=1_000).filter(|id| id % 3 == 0);
        publish(&scene, replacing.map(|id| note(id, 20_000 + id, &text(later)))).await;
        publish(&scene, (1..=1_000).filter(|id| id % 10 == 0).map(|id| note(id, 0, "never"))).await;
        // As if there had been no answer.
        let again = (1..=1_000).filter(|id| id % 10 == 1).map(|id| {
            let (n, at) = if id % 3 == 0 { (20_000, later) } else { (10_000, due) };
            note(id, n + id, &text(at))
        });
        publish(&scene, again).await;
        let events = scene.state("EVENTS").await.unwrap().0;
        scene.nats.kill().await.unwrap();
        second.kill().await;
        scene.nats.restart().await.unwrap();
        let projector = Process::start(&scene);
        eventually("NATS answers", BOUND, async || scene.state("EVENTS").await.map(drop)).await;
        scene.until_all_done().await;
        let is_early = OffsetDateTime::now_utc() < due;
        is_early.then_some(Self { scene, projector, envelopes, events, due, later })
    }
}

#[tokio::test]
async fn each_is_delivered_once_and_not_before_its_time_whatever_is_killed() {
    let mut time = Duration::from_secs(10);
    let waiting = loop {
        match Waiting::for_at_least(time).await {
            Some(waiting) => break waiting,
            None => time *= 3,
        }
        assert!(time < WINDOW, "1,000 events are not scheduled within {time:?}");
    };
    let Waiting { scene, projector, envelopes: live, events: last, due, later } = waiting;
    until_nothing_waits(&scene, 6 * BOUND).await;

    let expected = (1..=1_000).filter(|id| id % 10 != 0);
    let expected: BTreeSet<_> =
        expected.map(|id| if id % 3 == 0 { 20_000 + id } else { 10_000 + id }).collect();
    let envelopes = scene.envelopes().await;
    let delivered: Vec<_> = envelopes.iter().skip(usize::try_from(live).unwrap()).map(number).collect();
    let delivered: Vec<_> = delivered.into_iter().filter(|n| *n >= 10_000).collect();
    let distinct: BTreeSet<_> = delivered.iter().copied().collect();
    assert_eq!(distinct.symmetric_difference(&expected).collect::<Vec<_>>(), Vec::<&u64>::new());
    assert_eq!(delivered.len(), expected.len(), "each once");
    for event in events(&scene).await.iter().filter(|event| event.position.sequence > last) {
        let data = event.read().unwrap().data;
        let at = if data["n"].as_u64().unwrap() > 20_000 { later } else { due };
        assert!(event.stored_at >= at, "{} is before {at}", event.stored_at);
    }

    // What was cancelled stays so when everything is projected again.
    let before: Vec<_> = envelopes.iter().map(number).collect();
    let next = scene.ask(0, None).await;
    scene.until_current(next).await;
    let again: Vec<_> = scene.at(next).await.iter().map(number).collect();
    assert_eq!(again, before);
    projector.kill().await;
}

/// What was cancelled or replaced while no projector ran is not delivered, although it was due by then.
#[tokio::test]
async fn the_order_of_events_decides_and_not_when_they_are_read() {
    let scene = Scene::on(harness::nats().await, WINDOW).await;
    let now = || text(OffsetDateTime::now_utc());
    let far = text(OffsetDateTime::now_utc() + Duration::from_secs(3_600));
    publish(&scene, [note(1, 1, &now()), note(2, 2, &now()), note(3, 3, &far), note(2, 0, "never")]).await;
    publish(&scene, [note(3, 4, &now()), note(4, 5, &far), note(4, 0, "never"), note(4, 6, &now())]).await;
    // Like any other event: refused at once, and with a time that is none.
    let bad =
        json!({ "specversion": "1.0", "id": "b", "source": "s", "type": "t", "deliverat": far, "data": {} });
    publish(&scene, [bad, note(5, 7, "tomorrow"), note(6, 8, &far)]).await;
    let projector = scene.projector().await;
    scene.until_all_done().await;
    let rejected = scene.state("REJECTED").await.unwrap().1;
    eventually("the others are delivered", BOUND, async || {
        let found: BTreeSet<_> = scene.envelopes().await.iter().map(number).collect();
        if found == [1, 4, 6].into() { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(rejected, 2);
    // One without an id of its own, after a delay; its id is new.
    scene.publish_with("note.added", &[("Tidings-Delay", "1ms")], &json!({ "n": 9, "user": "u" })).await;
    scene.publish_with("note.added", &[("Tidings-Delay", "1ms")], &json!({ "n": 9, "user": "u" })).await;
    eventually("both are delivered", BOUND, async || {
        let found: Vec<_> = scene.envelopes().await.iter().map(number).filter(|n| *n == 9).collect();
        if found.len() == 2 { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    assert_eq!(scene.envelopes().await.len(), 5);
    projector.stop().await;
}

/// No projector runs as an event is replaced, and as it is due all the same. What it left in `EVENTS` is no earlier event with
/// the id of the one that has replaced it, whoever reads it back.
#[tokio::test]
async fn what_was_replaced_before_it_was_due_leaves_its_id_to_what_replaces_it() {
    let scene = Scene::on(harness::nats().await, WINDOW).await;
    let projector = scene.projector().await;
    let due = OffsetDateTime::now_utc() + Duration::from_secs(4);
    publish(&scene, [note(1, 1, &text(due)), note(2, 2, &text(due))]).await;
    scene.until_all_done().await;
    projector.stop().await;
    publish(&scene, [note(1, 3, &text(due))]).await;
    assert_eq!(
        scene.state("EVENTS").await.unwrap().1,
        3,
        "the machine is too busy: nothing may be due by now"
    );
    eventually("both are due", BOUND, async || match scene.state("EVENTS").await?.1 {
        5 => Ok(()),
        events => Err(format!("{events} events")),
    })
    .await;
    let projector = scene.projector().await;
    until_nothing_waits(&scene, BOUND).await;
    let mut delivered: Vec<_> = scene.envelopes().await.iter().map(number).collect();
    delivered.sort_unstable();
    assert_eq!(delivered, [2, 3]);
    assert_eq!(scene.state("REJECTED").await, Ok((0, 0)));
    projector.stop().await;
}

/// The numbers of the notes that wait.
async fn waiting(scene: &Scene) -> BTreeSet<String> {
    let tenant = tidings_model::Tenant::parse("t").unwrap();
    let waiting: Vec<_> = Schedules::new(&scene.topology).list(&tenant).try_collect().await.unwrap();
    waiting.into_iter().map(|event| event.id).collect()
}

/// Waits until each of these notes is delivered, and fails if one is twice.
async fn delivered_once(scene: &Scene, expected: &[u64]) {
    eventually("all are delivered", BOUND, async || {
        let found: Vec<_> = scene.envelopes().await.iter().map(number).collect();
        let distinct: BTreeSet<_> = found.iter().copied().collect();
        assert_eq!(distinct.len(), found.len(), "{found:?}");
        if expected.iter().all(|number| distinct.contains(number)) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

async fn until_due(due: OffsetDateTime) {
    eventually("it is due", BOUND, async || {
        let now = OffsetDateTime::now_utc();
        if now > due { Ok(()) } else { Err(now) }
    })
    .await;
}

/// The stream comes back without what was said lately: a note was due (1), one was cancelled (2), one was replaced (3), two were
/// scheduled (4, 5), of which one becomes due in the meantime, as does one (6) of those that it still has, while nothing runs.
#[tokio::test]
async fn what_scheduled_has_lost_is_said_again() {
    let mut scene = Scene::on(harness::nats().await, WINDOW).await;
    let projector = Process::start(&scene);
    let after = |seconds| OffsetDateTime::now_utc() + Duration::from_secs(seconds);
    let (far, sixth) = (text(after(3_600)), after(7));
    publish(&scene, [note(2, 2, &far), note(3, 3, &far), note(7, 7, &far)]).await;
    publish(&scene, [note(1, 1, &text(after(3))), note(6, 6, &text(sixth))]).await;
    scene.until_all_done().await;
    let saved = scene.nats.save(&["SCHEDULED"]).await;
    eventually("NATS answers", BOUND, async || scene.state("EVENTS").await.map(drop)).await;
    let replaced = [note(2, 0, "never"), note(3, 30, &far), note(5, 5, &far)];
    publish(&scene, replaced.into_iter().chain([note(4, 4, &text(after(1)))])).await;
    delivered_once(&scene, &[1, 4]).await;
    scene.until_all_done().await;
    scene.nats.stop().await.unwrap();
    until_due(sixth).await;
    scene.nats.bring_back(saved).await;
    eventually("NATS answers", BOUND, async || scene.state("EVENTS").await.map(drop)).await;
    delivered_once(&scene, &[1, 4, 6]).await;
    let expected = ["3", "5", "7"].map(str::to_owned).into();
    eventually("what was lost is said again", BOUND, async || {
        let found = waiting(&scene).await;
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    // Whatever came of what was lost is read before this.
    publish(&scene, [note(100, 100, &text(OffsetDateTime::now_utc()))]).await;
    delivered_once(&scene, &[1, 4, 6, 100]).await;
    assert_eq!(scene.envelopes().await.len(), 4);
    projector.kill().await;
}

/// The most memory that a process has used so far, in MB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
#[ignore = "takes two minutes: `cargo test --release --workspace --test projector fifty_thousand -- --ignored --nocapture`"]
#[expect(clippy::print_stderr, reason = "these are the figures in services/projector/README.md")]
async fn fifty_thousand_that_are_due_in_one_second_all_come() {
    const ALL: u64 = 50_000;
    let scene = Scene::on(harness::nats().await, WINDOW).await;
    let projector = Process::start(&scene);
    let due = OffsetDateTime::now_utc() + Duration::from_secs(60);
    for first in (0..ALL).step_by(1_000) {
        publish(&scene, (first..first + 1_000).map(|n| note(n, n, &text(due)))).await;
    }
    scene.until_all_done().await;
    assert!(OffsetDateTime::now_utc() < due, "the machine is too busy: nothing may be due by now");
    let nats = scene.nats.pid().unwrap();
    let waiting = [peak(nats), peak(projector.pid())];
    eventually("all are delivered", 10 * BOUND, async || match scene.state("ENVELOPES").await?.0 {
        ALL.. => Ok(()),
        written => Err(written.to_string()),
    })
    .await;
    let peaks = [peak(nats), peak(projector.pid())];
    let envelopes = scene.envelopes().await;
    let found: BTreeSet<_> = envelopes.iter().map(number).collect();
    assert_eq!((envelopes.len(), found.len()), (50_000, 50_000));
    let events = events(&scene).await;
    let stored = events.iter().filter(|event| event.header("Tidings-Scheduled").is_some());
    let last = stored.map(|event| event.stored_at).max().unwrap();
    let written = envelopes.iter().map(|envelope| envelope.stored_at).max().unwrap();
    eprintln!(
        "{ALL} due at once: the last stored after {} and projected after {}; memory of nats-server and projector in MB at \
         most, while all waited {waiting:?}, at the end {peaks:?}",
        last - due,
        written - due,
    );
    // It waits in NATS, and the projector reads no more at a time than it has room for.
    assert!(peaks[1] < 256, "the projector has used {} MB", peaks[1]);
    projector.kill().await;
}
