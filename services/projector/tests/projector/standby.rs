//! One projector is active; another takes over, and the first can no longer write.

use harness::{BOUND, FlakyProxy};
use rustix::process::Signal;

use crate::places::place;
use crate::process::Process;
use crate::support::{Scene, Stored};

/// The log line of a projector that does not lead.
const STANDS_BY: &str = "another projector leads; this one stands by";
/// The log line of a projector that starts a rebuild.
const BEGINS: &str = "rebuilding the tenant's envelopes";

#[tokio::test]
async fn the_active_projector_killed_again_and_again_leaves_each_envelope_once() {
    let scene = Scene::new().await;
    let mut standby = Process::start(&scene);
    let mut published = 0;
    for _ in 0..4 {
        let active = standby;
        scene.publish_until_written(&mut published, BOUND).await;
        standby = Process::start(&scene);
        scene.publish_notes(published + 1..=published + 500).await;
        published += 500;
        active.kill().await;
    }
    scene.until_last_note_is(published).await;
    scene.holds(1..=published).await;
    standby.kill().await;
}

#[tokio::test]
async fn a_projector_stopped_and_continued_writes_nothing_out_of_place() {
    let scene = Scene::new().await;
    let pair = [Process::start(&scene), Process::start(&scene)];
    let mut published = 0;
    for _ in 0..3 {
        // The server decides which of the two is active, so both are tested.
        for index in [0, 1] {
            scene.publish_notes(published + 1..=published + 300).await;
            published += 300;
            pair[index].signal(Signal::STOP);
            scene.publish_until_written(&mut published, BOUND).await;
            pair[index].signal(Signal::CONT);
        }
    }
    scene.until_last_note_is(published).await;
    scene.holds(1..=published).await;
}

#[tokio::test]
async fn a_standby_takes_over_from_one_that_is_killed() {
    let scene = Scene::new().await;
    let Pair { active, standby, mut published, .. } = Pair::start(&scene).await;
    active.kill().await;
    scene.publish_until_written(&mut published, BOUND).await;
    scene.until_last_note_is(published).await;
    scene.holds(1..=published).await;
    standby.kill().await;
}

#[tokio::test]
async fn a_standby_takes_over_from_one_that_is_stopped() {
    let scene = Scene::new().await;
    let mut pair = Pair::start(&scene).await;
    pair.active.signal(Signal::STOP);
    scene.publish_until_written(&mut pair.published, BOUND).await;
    pair.active.signal(Signal::CONT);
    pair.goes_on(&scene).await;
}

#[tokio::test]
async fn a_standby_takes_over_from_one_whose_connections_break() {
    let scene = Scene::new().await;
    let mut pair = Pair::start(&scene).await;
    pair.cable.pull();
    scene.publish_until_written(&mut pair.published, BOUND).await;
    pair.cable.plug();
    pair.goes_on(&scene).await;
}

/// It still receives events, and its envelopes arrive after the standby has written the same ones.
#[tokio::test]
async fn a_standby_takes_over_from_one_that_is_not_heard() {
    let scene = Scene::new().await;
    let mut pair = Pair::start(&scene).await;
    scene.until_last_note_is(pair.published).await;
    pair.cable.mute();
    scene.publish_notes(pair.published + 1..=pair.published + 100).await;
    pair.published += 100;
    scene.publish_until_written(&mut pair.published, BOUND).await;
    scene.until_last_note_is(pair.published).await;
    pair.cable.plug();
    pair.goes_on(&scene).await;
}

/// Envelopes of a projector that believes it leads name its term.
async fn led_in(scene: &Scene, generation: u32) -> Vec<u64> {
    let stream = scene.context.get_stream("ENVELOPES").await.unwrap();
    let mut terms = Vec::new();
    for stored in scene.at(place(0, generation)).await {
        let message = stream.get_raw_message(stored.sequence).await.unwrap();
        terms.push(message.headers.get("Tidings-Term").unwrap().as_str().parse().unwrap());
    }
    terms.dedup();
    terms
}

/// Both have led, and only one is notified.
#[tokio::test]
async fn a_rebuild_is_made_by_the_one_that_leads() {
    let scene = Scene::new().await;
    let mut pair = Pair::start(&scene).await;
    scene.publish_notes(pair.published + 1..=pair.published + 2_000).await;
    pair.published += 2_000;
    scene.until_last_note_is(pair.published).await;
    pair.active.signal(Signal::STOP);
    scene.publish_until_written(&mut pair.published, BOUND).await;
    let next = scene.ask(0, None).await;
    pair.active.signal(Signal::CONT);
    pair.active.until_it_says(STANDS_BY).await;
    scene.until_current(next).await;
    scene.until_all_done().await;
    scene.has_notes(next, 1..=pair.published).await;
    assert_eq!((pair.active.says(BEGINS), pair.standby.says(BEGINS)), (0, 1));
    assert_eq!(led_in(&scene, 0).await, [1, 2]);
    assert_eq!(led_in(&scene, 1).await, [2]);
    assert_eq!(pair.stored.count().await, 2 * pair.published, "nothing was made twice");
}

#[tokio::test]
async fn a_rebuild_that_is_interrupted_goes_on_with_the_next_leader() {
    let scene = Scene::new().await;
    let mut pair = Pair::start(&scene).await;
    for _ in 0..2 {
        scene.publish_notes(pair.published + 1..=pair.published + 4_000).await;
        pair.published += 4_000;
    }
    let next = scene.ask(0, None).await;
    scene.until_there_are(10, next).await;
    pair.active.signal(Signal::STOP);
    assert_ne!(scene.placement().await.next, None, "it is interrupted");
    pair.standby.until_it_says(BEGINS).await;
    pair.active.signal(Signal::CONT);
    pair.active.until_it_says(STANDS_BY).await;
    scene.until_current(next).await;
    scene.until_all_done().await;
    scene.has_notes(next, 1..=pair.published).await;
    // A lease that lapses on a busy machine, and is renewed, interrupts the rebuild once more.
    assert!(pair.active.says(BEGINS) == 1 && pair.standby.says(BEGINS) >= 1);
    assert_eq!(led_in(&scene, 1).await, [1, 2]);
    assert_eq!(pair.stored.count().await, 2 * pair.published, "nothing was made twice");
}

/// A projector that has written, and one that stands by.
struct Pair {
    cable: FlakyProxy,
    active: Process,
    standby: Process,
    stored: Stored,
    published: u64,
}

impl Pair {
    async fn start(scene: &Scene) -> Self {
        let cable = FlakyProxy::to(scene.nats.url()).await;
        let stored = scene.count_stored().await;
        let active = Process::start_at(cable.url());
        let mut published = 0;
        scene.publish_until_written(&mut published, BOUND).await;
        let standby = Process::start(scene);
        standby.until_it_says(STANDS_BY).await;
        // In flight when the active one is lost.
        scene.publish_notes(published + 1..=published + 300).await;
        Self { cable, active, standby, stored, published: published + 300 }
    }

    /// The lost projector returns: it has put nothing out of order, and takes over later.
    async fn goes_on(mut self, scene: &Scene) {
        scene.publish_notes(self.published + 1..=self.published + 300).await;
        self.published += 300;
        self.standby.kill().await;
        scene.publish_until_written(&mut self.published, BOUND).await;
        scene.until_last_note_is(self.published).await;
        scene.holds(1..=self.published).await;
        assert_eq!(self.stored.count().await, self.published);
    }
}
