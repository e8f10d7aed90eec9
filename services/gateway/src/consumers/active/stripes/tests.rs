use tidings_model::{Epoch, PlacedPosition, Position};
use tidings_streams::consumers::{Edit, Presence, Subscription};

use super::*;

const INTERVAL: Duration = Duration::from_secs(1);

fn name(number: usize) -> ConsumerName {
    let tenant = tidings_model::Tenant::parse("ops").unwrap();
    ConsumerName::new(tenant, format!("user-{number}"), "phone").unwrap()
}

fn at(epoch: u64, sequence: u64) -> PlacedPosition {
    PlacedPosition { generation: 0, position: Position { epoch: Epoch(epoch), sequence } }
}

fn change(sequence: u64) -> Change {
    Change::new(at(1, sequence), Presence::Connected("here".to_owned()), 0)
}

/// So many connected consumers, all of them saved.
fn connected(count: usize) -> (Stripes, StoredConsumer) {
    let stripes = Stripes::default();
    let stored = StoredConsumer::from(change(0).apply(None));
    for name in (0..count).map(name) {
        let mut stripe = stripes.of(&name);
        stripe.arrive(&name, &stored, change(0));
        stripe.take_change(&name).unwrap();
        stripe.saved(&name, stored.clone());
    }
    for mut stripe in stripes.all() {
        stripe.take_changed(Duration::ZERO);
    }
    (stripes, stored)
}

fn leave(stripes: &Stripes, name: &ConsumerName) {
    let mut stripe = stripes.of(name);
    assert!(stripe.leave(name));
    stripe.note(name, change(7));
}

fn take_left(stripes: &Stripes) -> Vec<ConsumerName> {
    stripes.all().flat_map(|mut stripe| stripe.take_left()).collect()
}

fn take_changed(stripes: &Stripes) -> Vec<ConsumerName> {
    stripes.all().flat_map(|mut stripe| stripe.take_changed(INTERVAL)).collect()
}

fn count(stripes: &Stripes) -> usize {
    stripes.all().map(|stripe| stripe.names().count()).sum()
}

#[test]
fn a_consumer_that_leaves_lists_no_other() {
    let (stripes, stored) = connected(1_000);
    leave(&stripes, &name(3));
    assert_eq!(take_left(&stripes), [name(3)]);
    assert_eq!(take_left(&stripes), []);
    let mut stripe = stripes.of(&name(3));
    let (change, _) = stripe.take_change(&name(3)).unwrap();
    assert_eq!(change.position.position.sequence, 7);
    assert!(stripe.saved(&name(3), stored));
    drop(stripe);
    assert_eq!(count(&stripes), 999, "saved and gone");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_is_saved_once_an_interval_however_often_it_acknowledges() {
    let (stripes, stored) = connected(10);
    for sequence in 1..=5 {
        stripes.of(&name(1)).note(&name(1), change(sequence));
    }
    assert_eq!(take_changed(&stripes), [], "it has just been saved");
    tokio::time::advance(INTERVAL).await;
    assert_eq!(take_changed(&stripes), [name(1)]);
    let (saved, _) = stripes.of(&name(1)).take_change(&name(1)).unwrap();
    assert_eq!(saved.position.position.sequence, 5);
    assert!(stripes.of(&name(1)).saved(&name(1), stored));
    tokio::time::advance(INTERVAL).await;
    assert_eq!(take_changed(&stripes), []);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_saved_is_listed_again_and_only_moves_forward() {
    let (stripes, _) = connected(10);
    tokio::time::advance(INTERVAL).await;
    stripes.of(&name(1)).note(&name(1), change(5));
    assert_eq!(take_changed(&stripes), [name(1)]);
    let (failed, _) = stripes.of(&name(1)).take_change(&name(1)).unwrap();
    stripes.of(&name(1)).note(&name(1), change(4));
    stripes.of(&name(1)).put_back(&name(1), *failed);
    assert!(take_changed(&stripes).contains(&name(1)));
    let (again, _) = stripes.of(&name(1)).take_change(&name(1)).unwrap();
    assert_eq!(again.position.position.sequence, 5);
}

#[test]
fn of_a_record_that_is_refused_for_good_the_position_is_saved() {
    let (stripes, stored) = connected(3);
    let subscriptions = [("incidents".to_owned(), Edit::Unsubscribe)].into();
    let too_large = Change { subscriptions, ..change(5) };
    stripes.of(&name(1)).note(&name(1), too_large);
    let (refused, _) = stripes.of(&name(1)).take_change(&name(1)).unwrap();
    stripes.of(&name(1)).note(&name(1), change(7));
    stripes.of(&name(1)).leave_out(&name(1), &refused);
    let (rest, _) = stripes.of(&name(1)).take_change(&name(1)).unwrap();
    assert_eq!((rest.position.position.sequence, rest.subscriptions.len()), (7, 0));
    assert!(stripes.of(&name(1)).saved(&name(1), stored));

    // What is refused without subscriptions, too, is given up, and with it a consumer that has left.
    leave(&stripes, &name(1));
    let (refused, _) = stripes.of(&name(1)).take_change(&name(1)).unwrap();
    stripes.of(&name(1)).leave_out(&name(1), &refused);
    assert_eq!(count(&stripes), 2);
    stripes.of(&name(2)).note(&name(2), change(8));
    let (refused, _) = stripes.of(&name(2)).take_change(&name(2)).unwrap();
    stripes.of(&name(2)).leave_out(&name(2), &refused);
    assert!(stripes.of(&name(2)).take_change(&name(2)).is_none());
    assert_eq!(count(&stripes), 2, "it is connected");
}

#[test]
fn a_subscription_from_before_another_epoch_hides_nothing_of_it() {
    let (stripes, _) = connected(3);
    let subscription = Subscription { filter: tidings_protocol::Filter::default().into(), since: 40 };
    let mut subscribed = change(40);
    subscribed.subscriptions.insert("incidents".to_owned(), Edit::Subscribe(subscription));
    stripes.of(&name(1)).note(&name(1), subscribed);
    let mut moved = change(2);
    moved.position = at(9, 2);
    stripes.of(&name(1)).note(&name(1), moved);
    let (saved, _) = stripes.of(&name(1)).take_change(&name(1)).unwrap();
    assert_eq!(saved.position, at(9, 2));
    let since = saved.subscriptions.values().map(|edit| match edit {
        Edit::Subscribe(subscription) => Some(subscription.since),
        Edit::Unsubscribe => None,
    });
    assert_eq!(since.collect::<Vec<_>>(), [Some(0)]);
}

#[test]
fn of_a_purged_user_nothing_is_saved() {
    let (stripes, stored) = connected(3);
    stripes.of(&name(1)).note(&name(1), change(5));
    let is_meant = |found: &ConsumerName| *found == name(1);
    stripes.all().for_each(|mut stripe| stripe.purge(is_meant));
    assert!(stripes.of(&name(1)).take_change(&name(1)).is_none());
    assert!(!stripes.of(&name(1)).saved(&name(1), stored), "a save that came behind is undone");
    leave(&stripes, &name(1));
    assert_eq!((count(&stripes), take_left(&stripes)), (2, vec![]));
}

#[tokio::test(start_paused = true)]
async fn every_idle_consumer_is_refreshed_in_some_round() {
    let (stripes, _) = connected(500);
    let refreshed = |stripes: &Stripes| -> usize {
        (0..STRIPES).map(|round| stripes.in_round(round).idle(INTERVAL).len()).sum()
    };
    assert_eq!(refreshed(&stripes), 0);
    tokio::time::advance(INTERVAL).await;
    assert_eq!(refreshed(&stripes), 500);
}

/// `cargo test --package tidings-gateway --lib leaving_costs -- --ignored --nocapture`
#[test]
#[ignore = "measures"]
#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn leaving_costs_the_same_however_many_stay() {
    for staying in [1_000, 100_000, 500_000] {
        let (stripes, stored) = connected(staying + 1_000);
        let start = std::time::Instant::now();
        for name in (staying..staying + 1_000).map(name) {
            leave(&stripes, &name);
        }
        let left = take_left(&stripes);
        for name in &left {
            let mut stripe = stripes.of(name);
            stripe.take_change(name).unwrap();
            stripe.saved(name, stored.clone());
        }
        println!("{staying} stay, {} leave: {:?}", left.len(), start.elapsed());
    }
}

#[test]
fn a_connection_that_leaves_another_epoch_undoes_no_acknowledgement() {
    let saying = |position, is_acknowledged| Change { position, is_acknowledged, ..change(0) };
    for (earlier, later, expected) in [
        (saying(at(2, 3), true), saying(at(1, 50), false), at(2, 3)),
        (saying(at(1, 50), false), saying(at(2, 3), true), at(2, 3)),
        (saying(at(1, 50), true), saying(at(2, 3), true), at(2, 3)),
        (saying(at(1, 50), true), saying(at(1, 60), false), at(1, 60)),
    ] {
        let (stripes, _) = connected(1);
        let mut stripe = stripes.of(&name(0));
        stripe.note(&name(0), earlier.clone());
        stripe.note(&name(0), later.clone());
        let (change, _) = stripe.take_change(&name(0)).unwrap();
        assert_eq!((change.position, change.is_acknowledged), (expected, true), "{earlier:?} {later:?}");
    }
}

/// A save that was under way is answered only now: what it says is of the bucket that is gone.
#[test]
fn what_the_store_has_lost_is_not_taken_for_stored() {
    let (stripes, stored) = connected(1);
    stripes.note_lost(|_| change(3));
    assert!(stripes.of(&name(0)).saved(&name(0), stored));
    stripes.of(&name(0)).note(&name(0), change(4));
    let (pending, known) = stripes.take_change(&name(0)).unwrap();
    assert!(pending.is_lost);
    assert_eq!(known, StoredConsumer::from(change(0).apply(None)));
}
