//! What waits in `SCHEDULED`, and what counts of what was due.

use std::time::Duration;

use async_nats::HeaderMap;
use futures_util::TryStreamExt as _;
use harness::{BOUND, eventually};
use tidings_model::{Epoch, Position, RawEvent, ScheduleSubject, Tenant};
use tidings_streams::{EventHistory, Schedules, Topology};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{Scene, settings};

/// An event with an id, at this sequence of `EVENTS`, that says this about its delivery.
fn event(sequence: u64, delivery: (&str, &str)) -> RawEvent {
    let headers = [("Tidings-Event-Id", "one"), delivery];
    RawEvent {
        subject: "events.t.note.added".to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        payload: format!("{{\"n\":{sequence}}}").into(),
        position: Position { epoch: Epoch(1), sequence },
        stored_at: OffsetDateTime::now_utc(),
    }
}

async fn set(schedules: &Schedules, raw: &RawEvent) {
    let event = raw.read().unwrap();
    schedules.set(raw, &event, event.delivery.unwrap()).await.unwrap();
}

/// In how many hours the events are due that wait.
async fn hours(schedules: &Schedules) -> Vec<i64> {
    let listed: Vec<_> = schedules.list(&Tenant::parse("t").unwrap()).try_collect().await.unwrap();
    listed.iter().map(|waiting| (waiting.at - OffsetDateTime::now_utc()).whole_minutes() / 55).collect()
}

const NEVER: (&str, &str) = ("Tidings-Deliver-At", "never");

fn hour(delay: &str) -> (&str, &str) {
    ("Tidings-Delay", delay)
}

#[tokio::test]
async fn a_former_leader_changes_nothing() {
    let scene = Scene::new().await;
    let schedules = Schedules::new(&scene.topology);
    set(&schedules, &event(5, hour("1h"))).await;
    set(&schedules, &event(7, hour("2h"))).await;
    for _ in 0..2 {
        for former in [event(5, hour("1h")), event(6, NEVER), event(3, ("Tidings-Delay", "0s"))] {
            set(&schedules, &former).await;
            assert_eq!(hours(&schedules).await, [2]);
        }
    }
    set(&schedules, &event(8, NEVER)).await;
    for former in [event(7, hour("2h")), event(8, NEVER), event(5, hour("1h"))] {
        set(&schedules, &former).await;
        assert!(hours(&schedules).await.is_empty());
    }
    set(&schedules, &event(9, hour("3h"))).await;
    assert_eq!(hours(&schedules).await, [3]);
    assert_eq!(scene.count("EVENTS").await, 0);
}

#[tokio::test]
async fn what_was_due_counts_once_and_only_if_nothing_was_said_since() {
    let scene = Scene::new().await;
    let schedules = Schedules::new(&scene.topology);
    let mut history =
        EventHistory::open(&scene.topology, &Tenant::parse("t").unwrap(), None, None).await.unwrap();
    let mut next = async || {
        while history.peek().is_none() {
            tokio::time::timeout(BOUND, history.ready()).await.unwrap();
        }
        history.take().unwrap()
    };
    set(&schedules, &event(5, ("Tidings-Delay", "0s"))).await;
    let due = next().await;
    assert_eq!((due.subject.as_str(), &due.payload[..]), ("events.t.note.added", &b"{\"n\":5}"[..]));
    let read = due.read().unwrap();
    assert_eq!((read.id.as_str(), read.delivery), ("one", None));
    assert!(!schedules.is_void(&due, &read).await.unwrap());
    // It was read again meanwhile.
    set(&schedules, &event(5, ("Tidings-Delay", "0s"))).await;

    // nats-server was killed before it had removed what waited.
    let mut headers = HeaderMap::new();
    for (name, value) in due.headers.iter().filter(|(name, _)| !name.starts_with("Nats-")) {
        headers.insert(name.as_str(), value.as_str());
    }
    let subject = "scheduled.t.note.added.-.one.due";
    scene.context.publish_with_headers(subject, headers, due.payload.clone()).await.unwrap().await.unwrap();
    let twice = next().await;
    assert!(schedules.is_void(&twice, &twice.read().unwrap()).await.unwrap());
    assert!(!schedules.is_void(&due, &read).await.unwrap(), "the first still counts");

    // The same id once more.
    set(&schedules, &event(20, ("Tidings-Delay", "0s"))).await;
    let again = next().await;
    assert_eq!(&again.payload[..], b"{\"n\":20}");
    assert!(!schedules.is_void(&again, &again.read().unwrap()).await.unwrap());
    set(&schedules, &event(21, NEVER)).await;
    assert!(schedules.is_void(&again, &again.read().unwrap()).await.unwrap());
    // An operator retries it, or somebody else says that it was due.
    let copy = RawEvent { headers: vec![("Tidings-Scheduled".to_owned(), "1-2".to_owned())], ..due };
    assert!(!schedules.is_void(&copy, &copy.read().unwrap()).await.unwrap());
}

/// nats-server has read what is due, and has not stored it yet, when something else is said about it.
#[tokio::test]
async fn what_is_said_in_the_moment_in_which_an_event_is_due_is_not_lost() {
    let scene = Scene::new().await;
    let schedules = Schedules::new(&scene.topology);
    let tenant = Tenant::parse("t").unwrap();
    let mut history = EventHistory::open(&scene.topology, &tenant, None, None).await.unwrap();
    let mut next = async || {
        while history.peek().is_none() {
            tokio::time::timeout(BOUND, history.ready()).await.unwrap();
        }
        history.take().unwrap()
    };
    let mut is_void = async || {
        let due = next().await;
        schedules.is_void(&due, &due.read().unwrap()).await.unwrap()
    };
    set(&schedules, &event(5, hour("1h"))).await;
    let fifth = scene.last("SCHEDULED").await;
    set(&schedules, &event(7, hour("2h"))).await;
    let seventh = scene.last("SCHEDULED").await;
    scene.store_as_due(&fifth).await;
    assert_eq!(hours(&schedules).await, [2], "what replaces it waits");
    assert!(is_void().await);
    // Whatever a former leader says.
    set(&schedules, &event(6, hour("3h"))).await;
    assert_eq!(hours(&schedules).await, [2]);

    set(&schedules, &event(8, NEVER)).await;
    scene.store_as_due(&seventh).await;
    assert!(is_void().await);
    set(&schedules, &event(7, hour("2h"))).await;
    assert!(hours(&schedules).await.is_empty(), "it stays cancelled");

    let ninth = event(9, hour("1h"));
    set(&schedules, &ninth).await;
    let waiting = scene.last("SCHEDULED").await;
    let subject = ScheduleSubject::of(&ninth.read().unwrap());
    let first = Position { epoch: Epoch(1), sequence: 12 };
    schedules.settle(&subject, ninth.position, first).await.unwrap();
    assert!(hours(&schedules).await.is_empty());
    scene.store_as_due(&waiting).await;
    assert!(is_void().await, "it was due already");
}

/// They wait on a subject without their position.
#[tokio::test]
async fn what_an_earlier_version_has_scheduled_is_replaced_cancelled_and_due() {
    let scene = Scene::new().await;
    let schedules = Schedules::new(&scene.topology);
    let earlier = async |sequence: u64, at: OffsetDateTime| {
        let mut headers = HeaderMap::new();
        headers.insert("Tidings-Event-Id", "one");
        headers.insert("Tidings-Scheduled", format!("1-{sequence}"));
        headers.insert("Nats-Schedule", format!("@at {}", at.format(&Rfc3339).unwrap()));
        headers.insert("Nats-Schedule-Target", "scheduled.t.note.added.-.one.due");
        let subject = "scheduled.t.note.added.-.one.at";
        scene.context.publish_with_headers(subject, headers, "{}".into()).await.unwrap().await.unwrap();
    };
    let in_an_hour = || OffsetDateTime::now_utc() + Duration::from_secs(3_600);
    earlier(5, in_an_hour()).await;
    assert_eq!(hours(&schedules).await, [1]);
    set(&schedules, &event(5, hour("1h"))).await;
    assert_eq!(scene.count("SCHEDULED").await, 1, "the event was read again");
    set(&schedules, &event(7, hour("2h"))).await;
    assert_eq!(hours(&schedules).await, [2]);
    earlier(9, in_an_hour()).await;
    for event in [event(9, hour("1h")), event(10, NEVER), event(9, hour("1h"))] {
        set(&schedules, &event).await;
    }
    assert!(hours(&schedules).await.is_empty());
    earlier(11, OffsetDateTime::now_utc()).await;
    eventually("it is due", BOUND, async || match scene.count("EVENTS").await {
        1 => Ok(()),
        events => Err(format!("{events} events")),
    })
    .await;
}

/// As an earlier version has created it; only a projector alters it.
#[tokio::test]
async fn an_older_stream_of_events_takes_what_is_due() {
    let scene = Scene::new().await;
    let mut config = scene.stream("EVENTS").await.cached_info().config.clone();
    config.sources.as_mut().unwrap().retain(|source| source.name != "SCHEDULED");
    scene.context.update_stream(config.clone()).await.unwrap();
    Topology::find(&scene.nats.client().await, &settings()).await.unwrap();
    assert_eq!(scene.stream("EVENTS").await.cached_info().config.sources, config.sources);
    // Whatever was due before is taken, too.
    let schedules = Schedules::new(&scene.topology);
    set(&schedules, &event(5, ("Tidings-Delay", "0s"))).await;
    let until = async |stream: &str, expected: u64| {
        eventually(stream, BOUND, async || match scene.state(stream).await.last_sequence {
            last if last == expected => Ok(()),
            last => Err(last.to_string()),
        })
        .await;
    };
    until("SCHEDULED", 2).await;
    assert_eq!(scene.count("EVENTS").await, 0);
    let topology = scene.other_topology().await;
    until("EVENTS", 1).await;
    // A lost stream is made again.
    scene.context.delete_stream("SCHEDULED").await.unwrap();
    topology.restore().await.unwrap();
    set(&schedules, &event(6, hour("1h"))).await;
    assert_eq!(hours(&schedules).await, [1]);
    let config = scene.stream("SCHEDULED").await.cached_info().config.clone();
    assert_eq!((config.max_age, config.max_bytes), (Duration::ZERO, -1), "nothing that waits expires");
}
