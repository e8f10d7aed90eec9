//! What a rebuild reads, copies and removes, and what a purge removes of all generations.

use tidings_model::{Address, Placement, Position, ShardNumber};
use tidings_streams::{
    Content, EnvelopeCopies, EnvelopeFollower, EnvelopeWriter, EventHistory, Followed, WriteMarkers,
    discard_address, discard_generation, first_event, purge_address,
};
use time::OffsetDateTime;

use super::placements::{place, tenant, write};
use super::support::{SOON, Scene, envelope};

#[tokio::test]
async fn a_purge_reaches_every_generation_and_shard() {
    let scene = Scene::new().await;
    let second = scene.topology.on(ShardNumber(1)).await.unwrap();
    let placements = scene.topology.placements();
    write(&scene.topology, 0, 1..=2).await;
    write(&second, 1, 1..=3).await;
    let ask = |placement: &mut Placement| _ = placement.request(ShardNumber(1), None, 0);
    placements.change(&tenant(), ShardNumber(0), ask).await.unwrap();
    let ada = Address::new("user", "ada").unwrap();
    assert_eq!(purge_address(&scene.topology, &tenant(), &ada).await.unwrap(), 5);
    for (topology, stream) in [(&scene.topology, "ENVELOPES"), (&second, "ENVELOPES_1")] {
        let extent = topology.extent().await.unwrap();
        assert_eq!(scene.count(stream).await, 1, "the notice");
        let start = Position { epoch: extent.epoch, sequence: 0 };
        let mut follower = EnvelopeFollower::after(topology, start, Content::Whole).await.unwrap();
        let followed = tokio::time::timeout(SOON, follower.next()).await.unwrap();
        assert!(matches!(followed, Followed::Purged(of, at) if of == tenant() && at == ada));
    }
}

#[tokio::test]
async fn events_are_read_once_more() {
    let scene = Scene::new().await;
    scene.publish(1..=1_000).await;
    scene.context.publish("events.other.note.added", "x".into()).await.unwrap().await.unwrap();
    let read = async |after, since, count: usize| {
        let mut history = EventHistory::open(&scene.topology, &tenant(), after, since).await.unwrap();
        let mut events = Vec::new();
        while events.len() < count {
            history.ready().await;
            assert!(history.left() > 0);
            while let Some(event) = history.take() {
                events.push(event);
            }
        }
        assert_eq!(history.left(), 0);
        events
    };
    let all = read(None, None, 1_000).await;
    assert!(
        all.iter().zip(1..).all(|(event, n)| event.payload == n.to_string() && event.position.sequence == n)
    );
    let later = read(Some(all[499].position), None, 500).await;
    assert_eq!(later[0].position.sequence, 501);
    let since = read(None, Some(all[899].stored_at), 101).await;
    assert_eq!(since[0].position, all[899].position);
}

#[tokio::test]
async fn a_notice_says_what_was_written_before_it() {
    let scene = Scene::new().await;
    let topology = &scene.topology;
    write(topology, 0, [1, 2]).await;
    let through = Position { epoch: envelope(1).origin.event.epoch, sequence: 7 };
    let (mut writer, _) = EnvelopeWriter::open(topology).await.unwrap();
    let trail = WriteMarkers { through: Some(through), held_from: Some(5) };
    writer.announce(&tenant(), place(0, 1), trail).await.unwrap();
    writer.confirm().await.unwrap();
    let (_, resume) = EnvelopeWriter::open(topology).await.unwrap();
    assert_eq!(resume.held_from, Some(5));
    assert!(!resume.wants(envelope(7).origin) && resume.wants(envelope(8).origin));
    write(topology, 1, [9]).await;
    let (_, resume) = EnvelopeWriter::open(topology).await.unwrap();
    assert!(!resume.wants(envelope(9).origin) && resume.wants(envelope(10).origin));
}

#[tokio::test]
async fn a_copy_is_in_the_order_of_events() {
    let scene = Scene::new().await;
    let topology = &scene.topology;
    write(topology, 0, [1, 4, 2, 6, 5, 3, 7, 9, 8]).await;
    let before = envelope(8).origin.event;
    let read = async || {
        let mut copies = EnvelopeCopies::open(topology, &tenant(), 0, before).await.unwrap();
        let mut numbers = Vec::new();
        while let Some(copy) = copies.next().await.unwrap() {
            assert_eq!(copy.kept_until, None);
            assert_eq!(copy.stored.envelope, envelope(copy.stored.envelope.origin.event.sequence));
            numbers.push(copy.stored.envelope.origin.event.sequence);
        }
        numbers
    };
    assert_eq!(read().await, [1, 2, 3, 4, 5, 6, 7]);
    // Even the first envelope and one out of order may be gone.
    for sequence in [1, 3] {
        scene.stream("ENVELOPES").await.delete_message(sequence).await.unwrap();
    }
    assert_eq!(read().await, [3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn what_was_made_anew_is_removed_as_far_as_it_is_meant() {
    let scene = Scene::new().await;
    let topology = &scene.topology;
    write(topology, 0, [1]).await;
    let made = write(topology, 1, 2..=9).await;
    let (ada, before) = (Address::new("user", "ada").unwrap(), envelope(4).origin.event);
    assert_eq!(discard_address(topology, &tenant(), 1, &ada, before).await.unwrap(), 2);
    assert_eq!(discard_address(topology, &tenant(), 1, &ada, before).await.unwrap(), 0);
    // The envelopes of events 4 to 9 are left.
    assert_eq!(discard_generation(topology, &tenant(), 1, made[3]).await.unwrap(), 2);
    assert_eq!(scene.count("ENVELOPES").await, 1 + 4);
}

#[tokio::test]
async fn the_first_event_since_a_time_is_found() {
    let scene = Scene::new().await;
    let topology = &scene.topology;
    let at = async |since| first_event(topology, &tenant(), since).await.unwrap().sequence;
    assert_eq!((at(None).await, at(Some(OffsetDateTime::UNIX_EPOCH)).await), (1, 1));
    scene.publish(1..=10).await;
    let times = EventHistory::open(topology, &tenant(), None, None).await;
    let mut history = times.unwrap();
    let mut times = Vec::new();
    while times.len() < 10 {
        history.ready().await;
        times.extend(std::iter::from_fn(|| history.take()).map(|event| event.stored_at));
    }
    assert_eq!(at(Some(times[6])).await, 7);
    assert_eq!(at(Some(times[9] + SOON)).await, 11);
    scene.stream("EVENTS").await.purge().sequence(5).await.unwrap();
    assert_eq!((at(None).await, at(Some(OffsetDateTime::UNIX_EPOCH)).await), (5, 5));
}
