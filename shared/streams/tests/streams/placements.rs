//! Placements of tenants, and the translation of positions after a rebuild.

use futures_util::{FutureExt as _, StreamExt as _};
use tidings_model::{Epoch, Place, Placement, Position, ShardNumber, Tenant};
use tidings_streams::{
    AllPlacements, Content, EnvelopeFollower, EnvelopeWriter, Followed, Outgoing, PlacementWatch, Topology,
    Translated, WriteMarkers, last_notice, translate_position,
};

use super::support::{SOON, Scene, envelope, store};

pub(crate) fn tenant() -> Tenant {
    Tenant::parse("t").unwrap()
}

pub(crate) fn place(shard: u16, generation: u32) -> Place {
    Place { shard: ShardNumber(shard), generation }
}

/// Writes the envelopes of events with these numbers; returns their sequences.
pub(crate) async fn write(
    topology: &Topology,
    generation: u32,
    numbers: impl IntoIterator<Item = u64>,
) -> Vec<u64> {
    let (mut writer, _) = EnvelopeWriter::open(topology).await.unwrap();
    let mut sequences = Vec::new();
    for n in numbers {
        let envelope = envelope(n);
        let outgoing = Outgoing { generation, ..Outgoing::from(&envelope) };
        sequences.push(store(&mut writer, outgoing).await);
    }
    sequences
}

/// Makes a place the current one, and updates the placement.
async fn switch(topology: &Topology, placement: &mut Placement, place: Place) {
    let (mut writer, _) = EnvelopeWriter::open(topology).await.unwrap();
    let sequence = writer.announce(&tenant(), place, WriteMarkers::default()).await.unwrap();
    writer.confirm().await.unwrap();
    let stream = topology.extent().await.unwrap().epoch;
    placement.switch(place, Position { epoch: place.epoch(stream), sequence });
}

/// The numbers of the events whose envelopes follow a position of the current generation.
async fn following(topology: &Topology, placement: &Placement, position: Position) -> Vec<u64> {
    let place = placement.current.place;
    let topology = topology.on(place.shard).await.unwrap();
    let stream = topology.extent().await.unwrap().epoch;
    assert_eq!(position.epoch, place.epoch(stream));
    let mut follower = EnvelopeFollower::of_generation(&topology, &tenant(), place.generation).await.unwrap();
    let mut numbers = Vec::new();
    while let Some(followed) = follower.next_pending().await.unwrap() {
        let Followed::Envelopes(envelopes) = followed else { continue };
        let behind = envelopes.iter().filter(|stored| stored.sequence > position.sequence);
        numbers.extend(behind.map(|stored| stored.envelope.origin.event.sequence));
    }
    numbers
}

#[tokio::test]
async fn whoever_stood_in_a_former_generation_goes_on_behind_the_same_event() {
    let scene = Scene::new().await;
    let topology = &scene.topology;
    let stream = topology.extent().await.unwrap().epoch;
    let mut placement = Placement::default();
    // Events 1 to 9 as sequences 1 to 9, of which the new generation omits the odd ones; 10 was stored before the
    // notice, 11 after it.
    write(topology, 0, 1..=9).await;
    write(topology, 1, [2, 4, 6, 8]).await;
    write(topology, 0, [10]).await;
    write(topology, 1, [10]).await;
    switch(topology, &mut placement, place(0, 1)).await;
    let eleventh = write(topology, 1, [11]).await[0];
    for (sequence, expected) in [
        (0, vec![2, 4, 6, 8, 10, 11]),
        (1, vec![2, 4, 6, 8, 10, 11]),
        (2, vec![4, 6, 8, 10, 11]),
        (8, vec![10, 11]),
        (9, vec![10, 11]),
    ] {
        let position = Position { epoch: stream, sequence };
        let carried =
            translate_position(topology, &tenant(), &placement, position).await.unwrap().unwrap().position;
        assert_eq!(following(topology, &placement, carried).await, expected, "{position}");
        // It is in the current generation now, and does not change.
        assert_eq!(
            translate_position(topology, &tenant(), &placement, carried).await.unwrap(),
            Some(Translated { position: carried, is_lost: false })
        );
    }
    let live = |sequence| Position { epoch: stream, sequence };
    let notice = placement.current.since.unwrap().sequence;
    // A consumer that has read everything, and one that was connected during the switch and kept counting.
    for (sequence, expected) in [(notice - 1, vec![11]), (notice, vec![11]), (eleventh, vec![])] {
        let carried = translate_position(topology, &tenant(), &placement, live(sequence))
            .await
            .unwrap()
            .unwrap()
            .position;
        assert_eq!(following(topology, &placement, carried).await, expected, "{sequence}");
    }
    let elsewhere = Position { epoch: Epoch(7), sequence: 3 };
    assert_eq!(translate_position(topology, &tenant(), &placement, elsewhere).await.unwrap(), None);
}

#[tokio::test]
async fn a_position_follows_its_tenant_from_shard_to_shard() {
    let scene = Scene::new().await;
    let second = scene.topology.on(ShardNumber(1)).await.unwrap();
    let stream = scene.topology.extent().await.unwrap().epoch;
    let mut placement = Placement::default();
    write(&scene.topology, 0, 1..=5).await;
    write(&second, 1, 1..=5).await;
    switch(&second, &mut placement, place(1, 1)).await;
    let notice = placement.current.since.unwrap().sequence;
    let behind = write(&second, 1, 6..=7).await;
    write(&scene.topology, 2, 1..=7).await;
    switch(&scene.topology, &mut placement, place(0, 2)).await;
    write(&scene.topology, 2, 8..=9).await;
    let in_second = place(1, 1).epoch(second.extent().await.unwrap().epoch);
    for (epoch, sequence, first) in [
        (stream, 0, 1),
        (stream, 3, 4),
        (stream, 5, 6),
        (in_second, 2, 3),
        (in_second, notice, 6),
        (in_second, behind[1], 8),
    ] {
        let position = Position { epoch, sequence };
        let carried = translate_position(&scene.topology, &tenant(), &placement, position)
            .await
            .unwrap()
            .unwrap()
            .position;
        let expected: Vec<_> = (first..=9).collect();
        assert_eq!(following(&scene.topology, &placement, carried).await, expected, "{position}");
    }
}

/// A shard that a tenant has left continues until it reads of the move; a consumer that received its envelopes does not
/// receive them again.
#[tokio::test]
async fn what_the_former_shard_wrote_meanwhile_was_received() {
    let scene = Scene::new().await;
    let second = scene.topology.on(ShardNumber(1)).await.unwrap();
    let stream = scene.topology.extent().await.unwrap().epoch;
    let mut placement = Placement::default();
    write(&scene.topology, 0, 1..=3).await;
    write(&second, 1, 1..=3).await;
    switch(&second, &mut placement, place(1, 1)).await;
    let late = write(&scene.topology, 0, 4..=5).await;
    write(&second, 1, 4..=7).await;
    for (sequence, first) in [(3, 4), (late[0], 5), (late[1], 6)] {
        let position = Position { epoch: stream, sequence };
        let carried = translate_position(&scene.topology, &tenant(), &placement, position)
            .await
            .unwrap()
            .unwrap()
            .position;
        let expected: Vec<_> = (first..=7).collect();
        assert_eq!(following(&scene.topology, &placement, carried).await, expected, "{position}");
    }
}

/// The former shard writes while a position is translated, between the reads that this takes.
#[tokio::test]
async fn what_the_former_shard_writes_in_between_is_not_passed_over() {
    const EVENTS: u64 = 40;
    let scene = Scene::new().await;
    let second = scene.topology.on(ShardNumber(1)).await.unwrap();
    let epoch = scene.topology.extent().await.unwrap().epoch;
    let mut placement = Placement::default();
    write(&scene.topology, 0, [1]).await;
    write(&second, 1, 1..=EVENTS).await;
    switch(&second, &mut placement, place(1, 1)).await;
    let (mut writer, _) = EnvelopeWriter::open(&scene.topology).await.unwrap();
    let mut reads = scene.nats.client().await.subscribe("$JS.API.STREAM.MSG.GET.>").await.unwrap();
    let mut sequence = scene.topology.extent().await.unwrap().last;
    for written in (1..EVENTS).step_by(2) {
        let translate = async {
            let position = Position { epoch, sequence };
            translate_position(&scene.topology, &tenant(), &placement, position)
                .await
                .unwrap()
                .unwrap()
                .position
        };
        let write_two = async {
            reads.next().await.unwrap();
            store(&mut writer, Outgoing::from(&envelope(written + 1))).await;
            store(&mut writer, Outgoing::from(&envelope(written + 2))).await
        };
        let (carried, last) = tokio::join!(translate, write_two);
        let expected: Vec<_> = (written + 1..=EVENTS).collect();
        assert_eq!(following(&second, &placement, carried).await, expected, "behind {written}");
        sequence = last;
        while reads.next().now_or_never().is_some() {}
    }
}

/// Envelopes that were held back are stored after those of later events, and were not received with them.
#[tokio::test]
async fn what_was_held_back_is_not_passed_over() {
    let scene = Scene::new().await;
    let topology = &scene.topology;
    let stream = topology.extent().await.unwrap().epoch;
    let (mut writer, _) = EnvelopeWriter::open(topology).await.unwrap();
    for (n, held_from) in [(1, None), (3, Some(2)), (4, Some(2)), (2, None)] {
        let (envelope, trail) = (envelope(n), WriteMarkers { through: None, held_from });
        let outgoing = Outgoing { trail, ..Outgoing::from(&envelope) };
        store(&mut writer, outgoing).await;
    }
    write(topology, 1, 1..=4).await;
    let mut placement = Placement::default();
    switch(topology, &mut placement, place(0, 1)).await;
    let after_third = Position { epoch: stream, sequence: 2 };
    let carried =
        translate_position(topology, &tenant(), &placement, after_third).await.unwrap().unwrap().position;
    assert_eq!(following(topology, &placement, carried).await, [2, 3, 4]);
}

#[tokio::test]
async fn a_notice_lies_between_what_is_before_and_behind_it() {
    let scene = Scene::new().await;
    let (topology, stream) = (&scene.topology, scene.topology.extent().await.unwrap().epoch);
    assert_eq!(last_notice(topology, &tenant()).await.unwrap(), None);
    write(topology, 0, [1]).await;
    let mut placement = Placement::default();
    switch(topology, &mut placement, place(0, 1)).await;
    let notice = placement.current.since.unwrap().sequence;
    let second = write(topology, 1, [2]).await[0];
    let at = Position { epoch: place(0, 1).epoch(stream), sequence: notice };
    assert_eq!(last_notice(topology, &tenant()).await.unwrap(), Some((place(0, 1), at)));

    let start = Position { epoch: stream, sequence: 0 };
    let mut follower = EnvelopeFollower::after(topology, start, Content::HeadersOnly).await.unwrap();
    let mut seen = Vec::new();
    while let Some(followed) = follower.next_pending().await.unwrap() {
        match followed {
            Followed::Envelopes(envelopes) => {
                seen.extend(
                    envelopes.iter().map(|stored| format!("{} of {}", stored.sequence, stored.generation)),
                );
            }
            Followed::Placed { tenant, place, sequence } => {
                seen.push(format!("{tenant} in {place} at {sequence}"));
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    let expected = ["1 of 0".to_owned(), format!("t in 0/1 at {notice}"), format!("{second} of 1")];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn changes_of_several_are_merged() {
    let scene = Scene::new().await;
    let placements = scene.topology.placements();
    assert_eq!(placements.load(&tenant()).await.unwrap(), Placement::default());
    let before = placements.revision().await.unwrap();
    let requests = (0..4).map(|n| {
        let placements = placements.clone();
        async move {
            placements
                .change(&tenant(), ShardNumber(2), |placement| _ = placement.request(ShardNumber(n), None, 5))
                .await
        }
    });
    for placement in futures_util::future::join_all(requests).await {
        assert_eq!(placement.unwrap().next.unwrap().place.generation, 1, "one of them, and the same for all");
    }
    assert!(placements.revision().await.unwrap().sequence > before.sequence);
    let all = placements.all().await.unwrap();
    assert_eq!(all.placements.keys().collect::<Vec<_>>(), [&tenant()]);
    assert_eq!(all.placements[&tenant()].current.place, place(2, 0));
    assert_eq!(placements.load(&tenant()).await.unwrap(), all.placements[&tenant()]);
}

#[tokio::test]
async fn a_watch_returns_all_placements_at_each_change() {
    let mut scene = Scene::new().await;
    let placements = scene.topology.placements().clone();
    let mut watch = placements.watch();
    let (epoch, all) = next(&mut watch).await;
    assert_eq!(all.placements.len(), 0);
    placements.change(&tenant(), ShardNumber(2), |_| {}).await.unwrap();
    let (_, all) = next(&mut watch).await;
    assert_eq!(all.placements[&tenant()].current.place, place(2, 0));

    // A record that cannot be read, and its end.
    let bucket = scene.context.get_key_value("PLACEMENTS").await.unwrap();
    bucket.put("t", "{}".into()).await.unwrap();
    let (_, all) = next(&mut watch).await;
    assert!(all.unreadable.contains(&tenant()) && all.placements.is_empty());
    bucket.delete("t").await.unwrap();
    let (_, all) = next(&mut watch).await;
    assert!(all.unreadable.is_empty() && all.placements.is_empty());

    // Everything is read again after a crash, and from a bucket that was recreated.
    scene.crash().await;
    placements.change(&tenant(), ShardNumber(1), |_| {}).await.unwrap();
    let (same, _) = until_place(&mut watch, 1).await;
    assert_eq!(same, epoch);
    scene.nats.renew("KV_PLACEMENTS").await;
    placements.change(&tenant(), ShardNumber(3), |_| {}).await.unwrap();
    let (renewed, _) = until_place(&mut watch, 3).await;
    assert_ne!(renewed, epoch);
}

async fn next(watch: &mut PlacementWatch) -> (Epoch, AllPlacements) {
    let next = tokio::time::timeout(SOON, watch.next()).await;
    let (epoch, all) = next.unwrap();
    (epoch, all.clone())
}

async fn until_place(watch: &mut PlacementWatch, shard: u16) -> (Epoch, AllPlacements) {
    loop {
        let (epoch, all) = next(watch).await;
        if all.placements.get(&tenant()).is_some_and(|placement| placement.current.place == place(shard, 0)) {
            return (epoch, all);
        }
    }
}
