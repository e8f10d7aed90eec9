use std::collections::BTreeSet;

use proptest::prelude::*;
use tidings_model::{Epoch, Position};

use super::*;
use crate::nats::record;

/// A position whose generation has the same number as its epoch, from the second one on.
fn at(epoch: u64, sequence: u64) -> PlacedPosition {
    let generation = u32::try_from(epoch).unwrap_or_default().saturating_sub(1);
    PlacedPosition { generation, position: Position { epoch: Epoch(epoch), sequence } }
}

/// A position of which no generation was noted.
fn unplaced(epoch: u64, sequence: u64) -> PlacedPosition {
    PlacedPosition { generation: 0, ..at(epoch, sequence) }
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
    let change = Change::new(unplaced(0x18f3, 42), here(), 1_800_000_000);
    let plain = change.apply(None);
    let json = record::encode(&plain).unwrap();
    let expected = r#"{"version":1,"position":"18f3-42","since":42,"subscriptions":[],"grants":[],"last_seen":1800000000,"connected":"gateway-1","resets":0}"#;
    assert_eq!(json, expected.as_bytes());
    let full =
        edited(change, "tasks", subscribe("platform", 40)).apply(Some(&plain)).reset_to(unplaced(0x18f3, 7));
    let moved = Change::new(at(3, 5), here(), 1_800_000_000).apply(Some(&plain));
    let json = record::encode(&moved).unwrap();
    let expected = r#"{"version":1,"position":"3-5","generation":2,"subscriptions":[],"grants":[],"last_seen":1800000000,"connected":"gateway-1","resets":0}"#;
    assert_eq!(String::from_utf8(json).unwrap(), expected);
    for state in [plain, full, moved] {
        let json = record::encode(&state).unwrap();
        assert_eq!(record::decode::<ConsumerState>(&json).unwrap(), state);
    }
}

#[test]
fn a_new_epoch_replaces_the_position_and_ends_every_since() {
    let first = edited(Change::new(at(1, 50), here(), 10), "tasks", subscribe("platform", 40)).apply(None);
    let next =
        edited(Change::new(at(2, 3), here(), 11), "alerts", subscribe("platform", 3)).apply(Some(&first));
    assert_eq!(next.placed(), at(2, 3));
    let since: Vec<_> = next.subscriptions.iter().map(|(topic, it)| (topic.as_str(), it.since)).collect();
    assert_eq!(since, [("alerts", 3), ("tasks", 0)]);
}

#[test]
fn what_nobody_has_acknowledged_now_leads_to_no_other_epoch() {
    let moved = edited(Change::new(at(2, 3), here(), 10), "tasks", subscribe("platform", 2)).apply(None);
    let left = |position| Change { is_acknowledged: false, ..Change::new(position, here(), 11) };
    let late = left(at(1, 50)).apply(Some(&moved));
    assert_eq!((late.placed(), late.subscriptions.get("tasks").unwrap().since), (at(2, 3), 2));
    assert_eq!(left(at(2, 7)).apply(Some(&moved)).placed(), at(2, 7));
    assert_eq!(left(at(1, 50)).apply(None).placed(), at(1, 50));
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
    assert_eq!(change.apply(Some(&reset)).placed(), at(1, 7));
    change.resets = reset.resets;
    assert_eq!(change.apply(Some(&reset)).placed(), at(1, 60));
}

/// What a gateway says that has not heard of the move, the rebuild or the recreation.
#[test]
fn what_comes_late_leads_back_nowhere() {
    for (before, after) in [
        (at(1, 50), at(2, 3)),
        // Streams of shards may have been created in any order.
        (at(9, 50), PlacedPosition { generation: 9, ..at(2, 3) }),
        // The same generation in the next life of a stream.
        (unplaced(5, 50), unplaced(6, 3)),
        // From before generations were noted.
        (unplaced(9, 50), at(2, 3)),
        (unplaced(2, 3), at(2, 4)),
    ] {
        let stored = edited(Change::new(before, here(), 10), "tasks", subscribe("platform", 40)).apply(None);
        let moved = Change::new(after, here(), 11).apply(Some(&stored));
        assert_eq!(moved.placed(), after, "{before:?}");
        let late = edited(Change::new(before, here(), 12), "alerts", subscribe("platform", 45));
        let late = late.apply(Some(&moved));
        assert_eq!(late.placed(), after, "{before:?}");
        let is_elsewhere = !before.is_in_place_of(after);
        assert_eq!(late.subscriptions.get("alerts").unwrap().since == 0, is_elsewhere, "{before:?}");
    }
    let noted = Change::new(at(2, 3), here(), 11).apply(None);
    assert_eq!(Change::new(unplaced(2, 9), here(), 11).apply(Some(&noted)).placed(), at(2, 9));
}

/// NATS came back with what was stored before a reset that the gateway knows of.
#[test]
fn a_reset_counts_more_than_a_state_from_before_it() {
    let old = Change::new(at(2, 50), here(), 10).apply(None);
    let change = |resets, position| Change { resets, ..Change::new(position, here(), 11) };
    let known = change(1, at(2, 7)).apply(Some(&old));
    assert_eq!((known.placed(), known.resets), (at(2, 7), 1));
    assert_eq!(change(1, at(1, 9)).apply(Some(&known)).placed(), at(2, 7));
    assert_eq!(change(0, at(3, 9)).apply(Some(&known)).placed(), at(2, 7), "of a connection from before it");
    let wrapped = ConsumerState { resets: u32::MAX, ..old }.reset_to(at(1, 1));
    assert_eq!(change(u32::MAX, at(3, 9)).apply(Some(&wrapped)).placed(), at(1, 1));
    assert_eq!(change(0, at(3, 9)).apply(Some(&wrapped)).placed(), at(3, 9));
}

#[test]
fn a_consumer_is_as_old_as_the_first_position_that_anyone_knows() {
    let change = |position| Change::new(position, here(), 10);
    let first = change(at(2, 40)).apply(None);
    assert_eq!(first.since, 40);
    assert_eq!(change(at(2, 50)).apply(Some(&first)).since, 40);
    assert_eq!(change(at(2, 30)).apply(Some(&first)).since, 30, "a gateway that saves late saw it first");
    assert_eq!(first.reset_to(at(2, 50)).since, 40);
    assert_eq!(first.reset_to(at(2, 7)).since, 7, "an operator has it sent what is older");
    // Sequences of another place say nothing, whichever gateway saves first.
    for (earlier, later) in [(at(2, 40), at(3, 5)), (at(3, 5), at(2, 40))] {
        assert_eq!(change(later).apply(Some(&change(earlier).apply(None))).since, 0, "{earlier:?}");
    }
}

#[test]
fn what_is_subscribed_to_again_before_it_is_saved_hides_nothing() {
    let change = |edit| edited(Change::new(at(1, 50), here(), 10), "tasks", edit);
    let stored = change(subscribe("platform", 11)).apply(None);
    let (gone, again) = (change(Edit::Unsubscribe), change(subscribe("platform", 3)));
    let since = |state: &ConsumerState| state.subscriptions.get("tasks").unwrap().since;
    assert_eq!(since(&gone.clone().followed_by(again.clone()).apply(Some(&stored))), 3);
    assert_eq!(since(&again.apply(Some(&gone.apply(Some(&stored))))), 3);
    assert_eq!(since(&change(subscribe("platform", 40)).apply(Some(&stored))), 11, "it is not new");
}

fn any_change() -> impl Strategy<Value = Change> {
    let edit = prop_oneof![
        Just(None),
        (0_u64..50).prop_map(|since| Some(subscribe("platform", since))),
        Just(Some(Edit::Unsubscribe)),
    ];
    (1_u64..4, 0_u64..50, any::<bool>(), 0_u32..3, 0_u64..50, edit).prop_map(
        |(epoch, sequence, is_acknowledged, resets, seen_at, edit)| {
            let change = Change::new(at(epoch, sequence), here(), seen_at);
            let subscriptions = edit.map(|edit| ("tasks".to_owned(), edit)).into_iter().collect();
            Change { is_acknowledged, resets, subscriptions, ..change }
        },
    )
}

fn rank(PlacedPosition { generation, position }: PlacedPosition) -> (u32, Epoch, u64) {
    (generation, position.epoch, position.sequence)
}

fn merge(changes: &[Change]) -> ConsumerState {
    let merged = changes.iter().fold(None, |state, change| Some(change.apply(state.as_ref())));
    merged.expect("there is at least one")
}

proptest! {
    /// In whatever order gateways save, and however often, the position is the furthest of the newest place.
    #[test]
    fn acknowledgements_merge_in_any_order_and_any_number(
        changes in prop::collection::vec(any_change(), 1..10),
        repeated in any::<prop::sample::Index>(),
        order in any::<prop::sample::Index>(),
    ) {
        let acknowledged = |change| Change { is_acknowledged: true, resets: 0, subscriptions: [].into(), ..change };
        let mut changes: Vec<_> = changes.into_iter().map(acknowledged).collect();
        let merged = merge(&changes);
        let furthest = changes.iter().map(|change| rank(change.position)).max();
        prop_assert_eq!(Some(rank(merged.placed())), furthest);
        prop_assert_eq!(Some(merged.last_seen), changes.iter().map(|it| it.seen_at).max());
        changes.push(changes[repeated.index(changes.len())].clone());
        let middle = order.index(changes.len());
        changes.rotate_left(middle);
        changes.reverse();
        prop_assert_eq!(merge(&changes), merged);
    }

    /// Whatever a gateway says, the order of resets, places and sequences is never left.
    #[test]
    fn no_change_leads_back(changes in prop::collection::vec(any_change(), 2..10)) {
        let mut stored = changes[0].apply(None);
        for change in &changes[1..] {
            let next = change.apply(Some(&stored));
            prop_assert!(
                (next.resets, rank(next.placed())) >= (stored.resets, rank(stored.placed())),
                "{stored:?} to {next:?}"
            );
            stored = next;
        }
    }

    /// A gateway that saves once what it heard in turn says the same, and hides nothing of a topic.
    #[test]
    fn changes_that_are_saved_together_lead_where_they_lead_in_turn(
        stored in any_change(), earlier in any_change(), later in any_change(),
    ) {
        let is_reset = earlier.resets != stored.resets || later.resets != stored.resets;
        let stored = stored.apply(None);
        let (earlier, later) = (Change { is_acknowledged: true, ..earlier }, Change { is_acknowledged: true, ..later });
        let in_turn = later.apply(Some(&earlier.apply(Some(&stored))));
        let together = earlier.followed_by(later).apply(Some(&stored));
        prop_assert_eq!((together.placed(), together.resets), (in_turn.placed(), in_turn.resets));
        let since = |state: &ConsumerState| state.subscriptions.get("tasks").map(|tasks| tasks.since);
        prop_assert!(is_reset || since(&together) <= since(&in_turn), "{together:?} {in_turn:?}");
        prop_assert_eq!(since(&together).is_some(), since(&in_turn).is_some());
    }
}
