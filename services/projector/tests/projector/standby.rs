//! One projector is active; another takes over, and the first cannot write any more.

use std::time::Duration;

use harness::{BOUND, Cable, eventually};
use rustix::process::Signal;

use crate::support::{Process, Scene};

/// Within which another one must write when the active one does not any more.
const TAKEOVER: Duration = Duration::from_secs(5);

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
        // Which of the two is active is the server's choice, so both have their turn.
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
    scene.publish_until_written(&mut published, TAKEOVER).await;
    scene.until_last_note_is(published).await;
    scene.holds(1..=published).await;
    standby.kill().await;
}

#[tokio::test]
async fn a_standby_takes_over_from_one_that_is_stopped() {
    let scene = Scene::new().await;
    let mut pair = Pair::start(&scene).await;
    pair.active.signal(Signal::STOP);
    scene.publish_until_written(&mut pair.published, TAKEOVER).await;
    pair.active.signal(Signal::CONT);
    pair.goes_on(&scene).await;
}

#[tokio::test]
async fn a_standby_takes_over_from_one_whose_connections_break() {
    let scene = Scene::new().await;
    let mut pair = Pair::start(&scene).await;
    pair.cable.pull();
    scene.publish_until_written(&mut pair.published, TAKEOVER).await;
    pair.cable.plug();
    pair.goes_on(&scene).await;
}

/// It still hears of events, and what it makes of them arrives when the standby has written the same.
#[tokio::test]
async fn a_standby_takes_over_from_one_that_is_not_heard() {
    let scene = Scene::new().await;
    let mut pair = Pair::start(&scene).await;
    scene.until_last_note_is(pair.published).await;
    pair.cable.mute();
    scene.publish_notes(pair.published + 1..=pair.published + 100).await;
    pair.published += 100;
    scene.publish_until_written(&mut pair.published, TAKEOVER).await;
    scene.until_last_note_is(pair.published).await;
    pair.cable.plug();
    pair.goes_on(&scene).await;
}

/// A projector that has written, and one that stands by.
struct Pair {
    cable: Cable,
    active: Process,
    standby: Process,
    published: u64,
}

impl Pair {
    async fn start(scene: &Scene) -> Self {
        let cable = Cable::to(scene.nats.url()).await;
        let active = Process::start_at(cable.url());
        let mut published = 0;
        scene.publish_until_written(&mut published, BOUND).await;
        let standby = Process::start(scene);
        eventually("both ask for events", BOUND, async || {
            let events = scene.context.get_stream("EVENTS").await.map_err(|error| error.to_string())?;
            let info = events.consumer_info("projector").await.map_err(|error| error.to_string())?;
            if info.num_waiting > 1 { Ok(()) } else { Err(format!("{} ask", info.num_waiting)) }
        })
        .await;
        // Under way when the active one is lost.
        scene.publish_notes(published + 1..=published + 300).await;
        Self { cable, active, standby, published: published + 300 }
    }

    /// The one that was lost is back: it has put nothing out of place, and takes over in its turn.
    async fn goes_on(mut self, scene: &Scene) {
        scene.publish_notes(self.published + 1..=self.published + 300).await;
        self.published += 300;
        self.standby.kill().await;
        scene.publish_until_written(&mut self.published, BOUND).await;
        scene.until_last_note_is(self.published).await;
        scene.holds(1..=self.published).await;
        // Beside them, nothing but the fences of those who took over.
        assert!(scene.state("ENVELOPES").await.unwrap().0 >= self.published);
    }
}
