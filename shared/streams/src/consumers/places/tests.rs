use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use tidings_model::{Epoch, Grants, Position};

use super::super::state::{Change, ConsumerState, Edit, Presence};
use super::super::subscription::Subscription;
use super::*;
use crate::nats::record;

fn at(sequence: u64) -> PlacedPosition {
    PlacedPosition { generation: 1, position: Position { epoch: Epoch(1), sequence } }
}

fn moved(sequence: u64) -> PlacedPosition {
    PlacedPosition { generation: 2, position: Position { epoch: Epoch(2), sequence } }
}

fn name(gateway: &str, number: u64) -> PlaceName {
    PlaceName::new(gateway.into(), 0x18f, number)
}

/// What a gateway knows of its clients, and the record in which it says so.
struct Gateway {
    name: &'static str,
    open: BTreeMap<PlaceName, OpenPlace>,
    resets: u32,
}

impl Gateway {
    fn new(name: &'static str) -> Self {
        Self { name, open: BTreeMap::new(), resets: 0 }
    }

    fn change(&self) -> Change {
        let presence = if self.open.is_empty() { Presence::Left } else { Presence::Connected };
        let mut change = Change::new(at(1), presence(self.name.to_owned()), 1);
        (change.is_acknowledged, change.resets) = (false, self.resets);
        change.places = Some(Box::new(PlacesChange { open: self.open.clone(), ..PlacesChange::default() }));
        change
    }

    /// A client comes where the device is, with its topics, and takes that place of another client.
    fn comes(&mut self, record: &mut ConsumerState, number: u64, taken: Option<PlaceName>) {
        let topics = record.subscriptions.keys().cloned().collect();
        self.open.insert(name(self.name, number), OpenPlace { position: record.placed(), topics });
        let mut change = self.change();
        change.places.as_mut().unwrap().taken.extend(taken);
        *record = change.apply(Some(record));
    }

    fn receives(&mut self, record: &mut ConsumerState, number: u64, position: PlacedPosition) {
        self.open.get_mut(&name(self.name, number)).unwrap().position = position;
        *record = self.change().apply(Some(record));
    }

    fn goes(&mut self, record: &mut ConsumerState, number: u64) {
        let name = name(self.name, number);
        let place = self.open.remove(&name).unwrap();
        let mut change = self.change();
        change.places.as_mut().unwrap().left.insert(name, place.position);
        *record = change.apply(Some(record));
    }

    fn chooses(&mut self, record: &mut ConsumerState, number: u64, topic: &str, edit: Edit) {
        let topics = &mut self.open.get_mut(&name(self.name, number)).unwrap().topics;
        topics.retain(|known| known != topic);
        if edit != Edit::Unsubscribe {
            topics.push(topic.to_owned());
        }
        let mut change = self.change();
        change.subscriptions.insert(topic.to_owned(), edit);
        *record = change.apply(Some(record));
    }
}

fn record(sequence: u64) -> ConsumerState {
    Change::new(at(sequence), Presence::Left("nobody".to_owned()), 1).apply(None)
}

fn subscribe() -> Edit {
    Edit::Subscribe(Subscription { filter: BTreeMap::new(), since: 0 })
}

fn abandoned(record: &ConsumerState) -> Vec<(PlaceName, PlacedPosition)> {
    record.places.abandoned(|_| true).map(|(name, position)| (name.clone(), position)).collect()
}

#[test]
fn the_device_is_where_the_client_is_that_has_received_least_at_any_gateway() {
    let (mut one, mut other, mut record) = (Gateway::new("one"), Gateway::new("other"), record(10));
    one.comes(&mut record, 1, None);
    one.receives(&mut record, 1, at(15));
    assert_eq!(record.placed(), at(15));
    other.comes(&mut record, 1, None);
    one.receives(&mut record, 1, at(20));
    assert_eq!(record.placed(), at(15), "the other one has not received it");
    assert_eq!(record.gateways().collect::<BTreeSet<_>>(), ["one", "other"].into());
    other.goes(&mut record, 1);
    one.receives(&mut record, 1, at(30));
    assert_eq!(record.placed(), at(15), "the other one is away");
    let left = abandoned(&record);
    assert_eq!(left, [(name("other", 1), at(15))]);
    one.comes(&mut record, 2, Some(left[0].0.clone()));
    one.receives(&mut record, 2, at(30));
    assert_eq!(record.placed(), at(30), "it is back, and has everything");
    one.goes(&mut record, 1);
    other.comes(&mut record, 3, Some(name("one", 1)));
    one.goes(&mut record, 2);
    assert_eq!(record.connected.as_deref(), Some("other"), "one of them is still there");
    other.receives(&mut record, 3, at(40));
    other.goes(&mut record, 3);
    assert_eq!((record.placed(), record.connected.as_deref()), (at(30), None));
    assert!(record.places.is_empty(), "when all have left, the position is all that remains");
}

#[test]
fn a_killed_gateway_leaves_its_places_behind() {
    let (mut one, mut other, mut record) = (Gateway::new("one"), Gateway::new("other"), record(10));
    one.comes(&mut record, 1, None);
    other.comes(&mut record, 1, None);
    other.receives(&mut record, 1, at(20));
    // It comes back with the same name and does not know what it had.
    one.open.clear();
    one.comes(&mut record, 2, None);
    one.receives(&mut record, 2, at(20));
    assert_eq!(abandoned(&record), [(name("one", 1), at(10))]);
    assert_eq!(record.placed(), at(10), "its client is not back yet");
    // One of another name is known to be gone by those that look for it.
    let is_known = |name: &PlaceName| name.gateway() != "other";
    let gone: Vec<_> = record.places.abandoned(is_known).map(|(name, _)| name.clone()).collect();
    assert_eq!(gone, [name("one", 1), name("other", 1)]);
}

#[test]
fn a_place_of_another_epoch_holds_the_device_until_its_client_is_back() {
    let (mut one, mut other, mut record) = (Gateway::new("one"), Gateway::new("other"), record(5));
    one.comes(&mut record, 1, None);
    other.comes(&mut record, 1, None);
    other.goes(&mut record, 1);
    one.receives(&mut record, 1, moved(2));
    assert_eq!(record.placed(), at(5));
    other.comes(&mut record, 2, Some(name("other", 1)));
    other.receives(&mut record, 2, moved(1));
    assert_eq!(record.placed(), moved(1));
}

#[test]
fn a_topic_stays_stored_while_a_client_at_any_gateway_is_subscribed() {
    let (mut one, mut other, mut record) = (Gateway::new("one"), Gateway::new("other"), record(1));
    one.comes(&mut record, 1, None);
    one.chooses(&mut record, 1, "a", subscribe());
    other.comes(&mut record, 1, None);
    let topics = |record: &ConsumerState| record.subscriptions.keys().cloned().collect::<Vec<_>>();
    one.chooses(&mut record, 1, "a", Edit::Unsubscribe);
    assert_eq!(topics(&record), ["a"], "the other tab wants it");
    one.chooses(&mut record, 1, "b", subscribe());
    other.chooses(&mut record, 1, "a", Edit::Unsubscribe);
    assert_eq!(topics(&record), ["b"]);
    one.chooses(&mut record, 1, "b", Edit::Unsubscribe);
    assert_eq!(topics(&record), [""; 0], "the other tab never wanted it");
}

#[test]
fn after_a_reset_everybody_goes_on_from_there() {
    let (mut one, mut other, mut record) = (Gateway::new("one"), Gateway::new("other"), record(50));
    one.comes(&mut record, 1, None);
    other.comes(&mut record, 1, None);
    other.goes(&mut record, 1);
    record = record.reset_to(at(7));
    assert_eq!((record.placed(), abandoned(&record)), (at(7), Vec::new()));
    // A gateway that has not heard of it does not undo it.
    one.receives(&mut record, 1, at(60));
    assert_eq!(record.placed(), at(7));
    one.resets = 1;
    one.receives(&mut record, 1, at(8));
    assert_eq!(record.placed(), at(8));
}

/// The record as gateways knew it before there were places.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only that they are there is read")]
struct Former {
    version: u64,
    position: Position,
    #[serde(default)]
    generation: u32,
    #[serde(default)]
    since: u64,
    subscriptions: Subscriptions,
    grants: Grants,
    last_seen: u64,
    connected: Option<String>,
    resets: u32,
}

#[test]
fn records_are_compact_and_can_be_read_by_gateways_of_former_versions() {
    let (mut one, mut other, mut record) = (Gateway::new("one"), Gateway::new("other/2"), record(10));
    one.comes(&mut record, 1, None);
    one.chooses(&mut record, 1, "a", subscribe());
    other.comes(&mut record, 16, None);
    other.chooses(&mut record, 16, "b", subscribe());
    one.comes(&mut record, 2, None);
    one.goes(&mut record, 2);
    let json = String::from_utf8(record::encode(&record).unwrap()).unwrap();
    let places = concat!(
        r##"{"\u0000places":{"filter":{"18f-1/one":["#a","@1/1-10"],"18f-16/other/2":["@1/1-10","everything"],"##,
        r##""18f-2/one":["@1/1-10","left"]},"since":0},"a":"##
    );
    assert!(json.contains(places), "{json}");
    assert_eq!(record::decode::<ConsumerState>(json.as_bytes()).unwrap(), record);
    let former: Former =
        serde_json::from_value(tidings_model::json::parse(json.as_bytes()).unwrap()).unwrap();
    assert_eq!(former.subscriptions.len(), 3);
    for (part, wrong) in [
        ("@1/1-10", "@1/1-x"),
        ("@1/1-10", "1/1-10"),
        ("@1/1-10", "@01/1-10"),
        ("\"left\"", "\"right\""),
        ("\"left\"", "\"left\",\"#a\""),
        ("\"left\"", "\"left\",\"everything\""),
        ("18f-2/one", "18F-2/one"),
        ("18f-2/one", "2/one"),
        ("]},\"since\":0", "]},\"since\":1"),
    ] {
        assert!(json.contains(part));
        let error = record::decode::<ConsumerState>(json.replacen(part, wrong, 1).as_bytes());
        assert!(error.is_err(), "{part} {wrong}");
    }
}

proptest! {
    /// Whatever clients do and wherever: none loses what it has not received, and nothing changes if something is said twice.
    #[test]
    fn nobody_is_passed_over(steps in prop::collection::vec((any::<bool>(), 0..4u8, 0..3u64, 1..5u64), 1..60)) {
        let (mut gateways, mut record) = ([Gateway::new("one"), Gateway::new("other")], record(1));
        let mut number = 0;
        for (is_other, step, which, further) in steps {
            let gateway = &mut gateways[usize::from(is_other)];
            let chosen = gateway.open.keys().nth(usize::try_from(which).unwrap()).cloned();
            match (step, chosen) {
                (0, _) => {
                    number += 1;
                    let taken = abandoned(&record).into_iter().min_by_key(|(_, position)| place_order(*position, at(0)));
                    gateway.comes(&mut record, number, taken.map(|(name, _)| name));
                }
                (1, Some(name)) => gateway.goes(&mut record, name.number),
                (_, Some(name)) => {
                    let known = gateway.open[&name].position.position.sequence;
                    gateway.receives(&mut record, name.number, at(known + further));
                }
                _ => {}
            }
            let again = gateway.change().apply(Some(&record));
            let said = |state: &ConsumerState| (state.placed(), state.places.clone(), state.subscriptions.clone());
            prop_assert_eq!(said(&again), said(&record), "nothing changes if it is said twice");
            for open in gateways.iter().flat_map(|gateway| gateway.open.values()) {
                prop_assert!(record.placed().position.sequence <= open.position.position.sequence);
            }
            prop_assert_eq!(record.places.is_empty(), gateways.iter().all(|gateway| gateway.open.is_empty()));
        }
    }
}
