use tidings_model::{Epoch, Position};
use tidings_streams::consumers::{Subscription, TopicFilter};

use super::*;

fn at(sequence: u64) -> PlacedPosition {
    PlacedPosition { generation: 1, position: Position { epoch: Epoch(1), sequence } }
}

fn moved(sequence: u64) -> PlacedPosition {
    PlacedPosition { generation: 2, position: Position { epoch: Epoch(2), sequence } }
}

fn name(number: u64) -> PlaceName {
    PlaceName::new("here".into(), 1, number)
}

impl Places {
    fn comes(&mut self, number: u64, abandoned: &[(u64, PlacedPosition)]) -> Option<PlaceId> {
        let abandoned = abandoned.iter().map(|(number, position)| (name(*number), *position)).collect();
        self.arrive(at(1), Newcomer { name: name(number), topics: Vec::new(), abandoned })
    }

    fn comes_with(&mut self, number: u64, topics: &[&str]) -> PlaceId {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        self.arrive(at(1), Newcomer { name: name(number), topics, abandoned: Vec::new() }).unwrap()
    }
}

#[test]
fn so_many_clients_have_places_and_no_more() {
    let mut places = Places::default();
    let ids: Vec<_> = (0..u64::from(MOST)).map(|number| places.comes(number, &[]).unwrap()).collect();
    assert_eq!(places.comes(100, &[]), None);
    places.leave(ids[7], None, true);
    assert_eq!(places.comes(101, &[]), Some(ids[7]));
    assert!(places.has(&name(101)) && !places.has(&name(7)));
}

#[test]
fn what_has_happened_is_said_once_and_what_is_open_each_time() {
    let mut places = Places::default();
    let (one, other) = (places.comes(1, &[]).unwrap(), places.comes(2, &[(9, at(1))]).unwrap());
    places.acknowledge(one, at(5));
    places.leave(other, Some(at(3)), true);
    let said = places.change();
    assert_eq!(said.open.keys().collect::<Vec<_>>(), [&name(1)]);
    assert_eq!(said.open[&name(1)].position, at(5));
    assert_eq!((said.left, said.taken), ([(name(2), at(3))].into(), [name(9)].into()));
    let said = places.change();
    assert_eq!((said.open.len(), said.left.len(), said.taken.len()), (1, 0, 0));
    // What it has received in another epoch may lie behind a gap of which it does not know.
    places.leave(one, Some(moved(7)), true);
    assert_eq!(places.change().left, [(name(1), at(5))].into());
}

#[test]
fn the_lowest_place_is_taken_and_the_others_are_left_behind() {
    let mut places = Places::default();
    let abandoned = [(7, at(9)), (8, at(4)), (9, at(6))];
    places.comes(1, &abandoned).unwrap();
    // Another one has read the same record.
    places.comes(2, &abandoned).unwrap();
    let said = places.change();
    assert_eq!((said.left, said.taken), ([(name(7), at(9))].into(), [name(8), name(9)].into()));
    places.comes(3, &[(7, moved(1)), (8, at(9))]).unwrap();
    assert_eq!(places.change().taken, [name(8)].into(), "in another epoch is lower than all");
}

#[test]
fn a_client_that_was_never_served_leaves_nothing_behind() {
    let mut places = Places::default();
    let came = places.comes(1, &[(9, at(4))]).unwrap();
    places.leave(came, Some(at(8)), false);
    let said = places.change();
    assert_eq!(
        (said.left, said.taken.len()),
        ([(name(9), at(4))].into(), 0),
        "but the place that it had taken"
    );
    let came = places.comes(2, &[]).unwrap();
    places.leave(came, None, false);
    assert_eq!(places.change(), PlacesChange::default());
}

#[test]
fn a_reset_moves_those_who_are_open() {
    let mut places = Places::default();
    let (one, other) = (places.comes(1, &[]).unwrap(), places.comes(2, &[]).unwrap());
    places.acknowledge(one, at(9));
    places.leave(other, None, true);
    places.reset(at(7));
    let said = places.change();
    assert_eq!((said.open[&name(1)].position, said.left.len()), (at(7), 0));
}

#[test]
fn a_topic_stays_stored_while_a_client_is_subscribed() {
    let subscribe = Edit::Subscribe(Subscription { filter: TopicFilter::default(), since: 0 });
    let mut places = Places::default();
    let one = places.comes_with(1, &["a"]);
    let other = places.comes_with(2, &["a"]);
    assert!(!places.edit(one, "a", &Edit::Unsubscribe), "the other tab wants it");
    assert!(places.edit(other, "a", &Edit::Unsubscribe));
    assert!(places.edit(one, "b", &subscribe));
    assert_eq!(places.change().open[&name(1)].topics, ["b"]);
    assert!(places.edit(one, "b", &Edit::Unsubscribe), "the other tab never wanted it");
}

#[test]
fn one_client_chooses_topics_for_the_device() {
    let mut places = Places::default();
    let one = places.comes_with(1, &[UNCHOSEN, "a"]);
    places.comes_with(2, &[UNCHOSEN, "a"]);
    assert!(places.edit(one, UNCHOSEN, &Edit::Unsubscribe), "else what it subscribes to now is not kept");
    assert!(!places.edit(one, "a", &Edit::Unsubscribe), "the other one has it from the start");
}
