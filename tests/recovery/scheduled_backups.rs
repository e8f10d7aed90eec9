//! Each event that was scheduled is delivered once, whatever is restored: nats-server takes a restored stream for another one, so
//! `EVENTS` takes again from `SCHEDULED` all that was due.

use std::collections::BTreeMap;
use std::path::Path;

use async_nats::jetstream;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Stream;
use harness::{BOUND, Gateway, Setup, System, eventually};
use serde_json::Value;
use time::format_description::well_known::Rfc3339;

use crate::backups::{id, lose_everything, path, publish, run, schedule, serve};

async fn stream(system: &System, name: &str) -> Stream {
    jetstream::new(system.client().clone()).get_stream(name).await.unwrap()
}

async fn messages(system: &System, name: &str) -> Vec<StreamMessage> {
    let stream = stream(system, name).await;
    let state = &stream.cached_info().state;
    let mut messages = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        messages.extend(stream.get_raw_message(sequence).await);
    }
    messages
}

/// How many events in `EVENTS` came from `SCHEDULED`.
async fn taken(system: &System) -> usize {
    let events = messages(system, "EVENTS").await;
    events.iter().filter(|event| event.headers.get("Tidings-Scheduled").is_some()).count()
}

/// The envelopes of each incident in the place where the tenant's envelopes are: while all are made again, those of what is read
/// live are in the place before, too.
async fn delivered(system: &System) -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<u32, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for envelope in messages(system, "ENVELOPES").await {
        let Ok(body) = serde_json::from_slice::<Value>(&envelope.payload) else { continue };
        let Some(id) = body["data"]["id"].as_str() else { continue };
        let place = envelope.subject.split('.').nth(1).unwrap_or_default();
        let generation = place.split_once('~').map_or(0, |(_, generation)| generation.parse().unwrap());
        let found = places.entry(generation).or_default().entry(id.to_owned()).or_default();
        found.push(format!("{} {}", envelope.subject, envelope.sequence));
    }
    places.pop_last().map(|(_, found)| found).unwrap_or_default()
}

/// Waits until these incidents are delivered, and fails if one is twice.
async fn until_delivered(system: &System, numbers: &[u64]) {
    eventually("all are delivered", BOUND, async || {
        let found = delivered(system).await;
        assert!(found.values().all(|envelopes| envelopes.len() == 1), "{found:?}");
        let is_there = |number: &u64| found.contains_key(&id(*number));
        if numbers.iter().all(is_there) && found.len() == numbers.len() {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

/// Restores, waits until `EVENTS` has taken again what was due, and fails if any of it is delivered again.
async fn restore(system: &mut System, arguments: &[&str], (due, last): (usize, u64)) -> Gateway {
    run(system, arguments).await;
    let gateway = serve(system).await;
    eventually("what was due is taken again", BOUND, async || {
        let taken = taken(system).await;
        if taken == due { Ok(()) } else { Err(format!("{taken} of {due}")) }
    })
    .await;
    // Whatever comes of it is read before this.
    publish(system, last).await;
    until_delivered(system, &[1, 2, 3, 4, last]).await;
    gateway
}

/// The time at which `EVENTS` has stored this one.
async fn stored_at(system: &System, sequence: u64) -> String {
    stream(system, "EVENTS").await.get_raw_message(sequence).await.unwrap().time.format(&Rfc3339).unwrap()
}

/// One (1) was due; so was another one (2), and the event that has scheduled it is not retained any more; the third is due after
/// the moment to which a restore goes back.
#[tokio::test]
async fn what_was_due_is_delivered_once_whatever_is_restored() {
    // What comes again later than that is no repetition.
    let mut system = Setup::default().variable("TIDINGS_STREAMS__DUPLICATE_WINDOW", "100ms").start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder: &Path = &folder.path().join("backup");
    for number in [1, 2] {
        schedule(&system, &id(number), "0s").await;
    }
    until_delivered(&system, &[1, 2]).await;
    stream(&system, "EVENTS").await.delete_message(2).await.unwrap();
    schedule(&system, &id(3), "6s").await;
    publish(&system, 4).await;
    let last = stream(&system, "EVENTS").await.cached_info().state.last_sequence;
    assert_eq!(taken(&system).await, 2, "the machine is too busy: the third may not be due by now");
    let until = stored_at(&system, last).await;
    until_delivered(&system, &[1, 2, 3, 4]).await;
    run(&system, &["backup", path(folder)]).await;

    lose_everything(&mut system, None).await;
    let gateway = restore(&mut system, &["restore", path(folder)], (6, 5)).await;
    lose_everything(&mut system, Some(gateway)).await;
    let arguments = ["restore", path(folder), "--until", &until];
    let gateway = restore(&mut system, &arguments, (5, 6)).await;
    lose_everything(&mut system, Some(gateway)).await;
    // nats-server counts nanoseconds, and knows no time after the year 2262.
    let arguments = ["restore", path(folder), "--until", "2300-01-01T00:00:00Z"];
    restore(&mut system, &arguments, (6, 7)).await;
}
