use proptest::prelude::*;
use tidings_model::Epoch;

use super::*;
use crate::nats::record;

fn at(epoch: u64, sequence: u64) -> Position {
    Position { epoch: Epoch(epoch), sequence }
}

fn here() -> Presence {
    Presence::Connected("gateway-1".to_owned())
}

fn subscribe(squad: &str, since: u64) -> Edit {
    let filter = [("squad".to_owned(), BTreeSet::from([squad.to_owned()]))];
    Edit::Subscribe(Subscription { filter: filter.into(), since })
}

fn edited(mut change: Change, topic: &str, edit: Edit) -> Change {
    change.subscriptions.insert(topic.to_owned(), edit);
    change
}

#[test]
fn what_is_stored_is_compact_and_leads_back() {
    let change = Change::new(at(0x18f3, 42), here(), 1_800_000_000);
    let plain = change.apply(None);
    let json = record::encode(&plain).unwrap();
    let expected = r#"{"version":1,"position":"18f3-42","subscriptions":[],"grants":[],"last_seen":1800000000,"connected":"gateway-1","resets":0}"#;
    assert_eq!(json, expected.as_bytes());
    let full = edited(change, "tasks", subscribe("platform", 40)).apply(Some(&plain)).reset_to(at(0x18f3, 7));
    for state in [plain, full] {
        let json = record::encode(&state).unwrap();
        assert_eq!(record::decode::<ConsumerState>(&json).unwrap(), state);
    }
}

#[test]
fn a_new_epoch_replaces_the_position_and_ends_every_since() {
    let first = edited(Change::new(at(1, 50), here(), 10), "tasks", subscribe("platform", 40)).apply(None);
    let next =
        edited(Change::new(at(2, 3), here(), 11), "alerts", subscribe("platform", 3)).apply(Some(&first));
    assert_eq!(next.position, at(2, 3));
    let since: Vec<_> = next.subscriptions.iter().map(|(topic, it)| (topic.as_str(), it.since)).collect();
    assert_eq!(since, [("alerts", 3), ("tasks", 0)]);
}

#[test]
fn what_nobody_has_acknowledged_now_leads_to_no_other_epoch() {
    let moved = edited(Change::new(at(2, 3), here(), 10), "tasks", subscribe("platform", 2)).apply(None);
    let left = |position| Change { is_acknowledged: false, ..Change::new(position, here(), 11) };
    let late = left(at(1, 50)).apply(Some(&moved));
    assert_eq!((late.position, late.subscriptions.get("tasks").unwrap().since), (at(2, 3), 2));
    assert_eq!(left(at(2, 7)).apply(Some(&moved)).position, at(2, 7));
    assert_eq!(left(at(1, 50)).apply(None).position, at(1, 50));
}

#[test]
fn another_filter_keeps_since_when_the_topic_is_wanted() {
    let first = edited(Change::new(at(1, 50), here(), 10), "tasks", subscribe("platform", 40)).apply(None);
    let again =
        edited(Change::new(at(1, 60), here(), 11), "tasks", subscribe("security", 60)).apply(Some(&first));
    let tasks = again.subscriptions.get("tasks").unwrap();
    assert_eq!(tasks.since, 40);
    assert!(tasks.filter["squad"].contains("security"));
    let given_up = edited(Change::new(at(1, 60), here(), 12), "tasks", Edit::Unsubscribe).apply(Some(&again));
    assert!(given_up.subscriptions.is_empty());
}

#[test]
fn only_the_gateway_that_has_the_device_can_say_that_it_left() {
    let connected = Change::new(at(1, 1), here(), 10).apply(None);
    let left =
        |gateway: &str| Change::new(at(1, 1), Presence::Left(gateway.to_owned()), 10).apply(Some(&connected));
    assert_eq!(left("gateway-2").connected.as_deref(), Some("gateway-1"));
    assert_eq!(left("gateway-1").connected, None);
}

#[test]
fn who_has_not_heard_of_a_reset_does_not_undo_it() {
    let reset = Change::new(at(1, 50), here(), 10).apply(None).reset_to(at(1, 7));
    let mut change = Change::new(at(1, 60), here(), 11);
    assert_eq!(change.apply(Some(&reset)).position, at(1, 7));
    change.resets = reset.resets;
    assert_eq!(change.apply(Some(&reset)).position, at(1, 60));
}

proptest! {
    #[test]
    fn changes_of_one_epoch_merge_in_any_order_and_any_number(
        mut changes in prop::collection::vec((0_u64..50, 0_u64..50), 1..10).prop_map(|saves| {
            let change = |(sequence, seen_at)| Change::new(at(1, sequence), here(), seen_at);
            saves.into_iter().map(change).collect::<Vec<_>>()
        }),
        repeated in any::<prop::sample::Index>(),
    ) {
        let merge = |changes: &[Change]| {
            let merged = changes.iter().fold(None, |state, change| Some(change.apply(state.as_ref())));
            merged.expect("there is at least one")
        };
        let merged = merge(&changes);
        prop_assert_eq!(Some(merged.position.sequence), changes.iter().map(|it| it.position.sequence).max());
        prop_assert_eq!(Some(merged.last_seen), changes.iter().map(|it| it.seen_at).max());
        changes.push(changes[repeated.index(changes.len())].clone());
        changes.reverse();
        prop_assert_eq!(merge(&changes), merged);
    }
}
