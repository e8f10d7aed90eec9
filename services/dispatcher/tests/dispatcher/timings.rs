//! Random moments: a message is received about when its fallback is due, while dispatchers and NATS are killed.
//!
//! `TIDINGS_TIMINGS=1000` tries so many; `TIDINGS_TIMINGS_SEED` repeats a run.

use std::time::Duration;

use fastrand::Rng;
use harness::{BOUND, Nats, eventually};
use tidings_model::Position;
use tidings_streams::deliveries::Status::{Attempted, Sent, Skipped};
use tidings_streams::deliveries::StoredFact;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::support::{Dispatchers, Scene, to};

/// How many are tried at once.
const ROUND: usize = 50;

/// A user whose device receives the message at some time, or never.
struct Trial {
    user: String,
    /// After which time from the first message on.
    receives_after: Option<Duration>,
}

fn trials(random: &mut Rng, count: usize) -> Vec<Trial> {
    let trials = (0..count).map(|number| {
        // It is due after one second; JetStream looks every second what is.
        let receives_after = random.bool().then(|| Duration::from_millis(random.u64(300..3_000)));
        Trial { user: format!("u{number}"), receives_after }
    });
    trials.collect()
}

/// Ends dispatchers at random moments, and NATS at one, until it is told to stop.
async fn kill(mut random: Rng, dispatchers: &Dispatchers, nats: &mut Nats, done: &CancellationToken) {
    let nats_ends = random.usize(0..4);
    for number in 0.. {
        if done.is_cancelled() {
            return;
        }
        let dispatcher = dispatchers.start(nats).await;
        let time = Duration::from_millis(random.u64(100..1_500));
        _ = tokio::time::timeout(time, done.cancelled()).await;
        if number == nats_ends {
            nats.kill().await.unwrap();
            nats.restart().await.unwrap();
        }
        dispatcher.kill().await;
    }
}

/// Has the devices receive their messages; returns when each is known to have done so.
async fn receive(scene: &Dispatchers, trials: &[Trial], at: &[Position]) -> Vec<Option<OffsetDateTime>> {
    let receiving = trials.iter().zip(at).map(async |(trial, at)| {
        tokio::time::sleep(trial.receives_after?).await;
        scene.receives(&trial.user, *at).await;
        Some(OffsetDateTime::now_utc())
    });
    futures_util::future::join_all(receiving).await
}

/// What was done is what is said, and what had been received was not sent.
fn check(trial: &Trial, facts: &[StoredFact], sent: usize, received: Option<OffsetDateTime>) {
    let last = facts.last().unwrap().fact.status;
    let attempts = facts.iter().filter(|stored| stored.fact.status == Attempted).count();
    let finals = facts.iter().filter(|stored| stored.fact.status.is_final()).count();
    let said = format!("{} with {sent} sent, received {received:?}: {facts:?}", trial.user);
    assert_eq!(finals, 1, "{said}");
    assert!(sent <= 2 && sent <= attempts, "{said}");
    if last == Skipped {
        assert!(received.is_some(), "skipped, and never received: {said}");
    } else {
        assert!(sent > 0 || last != Sent, "{said}");
    }
    if received.is_none() {
        assert!(sent > 0, "neither received nor sent: {said}");
    }
    // Who had received it before anything was decided is left alone.
    let first = facts.first().unwrap();
    if received.is_some_and(|received| received < first.at - LOOKING) {
        assert_eq!((sent, last), (0, Skipped), "received and sent: {said}");
    }
}

/// A decision looks where devices stand before it is noted; in between NATS may be away.
const LOOKING: Duration = Duration::from_secs(1);

#[tokio::test]
async fn at_whatever_moment_a_message_is_either_received_or_sent() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (mut left, seed) = (number("TIDINGS_TIMINGS", ROUND as u64), number("TIDINGS_TIMINGS_SEED", 18));
    let mut random = Rng::with_seed(seed);
    while left > 0 {
        let count = left.min(ROUND as u64);
        left -= count;
        let trials = trials(&mut random, usize::try_from(count).unwrap());
        let mut scene = Scene::new().await;
        let start = scene.start().await;
        for trial in &trials {
            scene.stands(&trial.user, "phone", start, &[&format!("user:{}", trial.user)]).await;
        }
        scene.leading().await.kill().await;
        let mut at = Vec::new();
        for trial in &trials {
            at.push(scene.send("soon.added", to(&trial.user, 1)).await);
        }
        let (dispatchers, done) = (scene.dispatchers(), CancellationToken::new());
        let receiving = async {
            let received = receive(&dispatchers, &trials, &at).await;
            done.cancel();
            received
        };
        let killing = kill(random.fork(), &dispatchers, &mut scene.nats, &done);
        let (received, ()) = tokio::join!(receiving, killing);
        let last = scene.leading().await;
        for (trial, received) in trials.iter().zip(received) {
            let facts = eventually(&format!("{} is decided", trial.user), BOUND, async || {
                let facts = scene.facts(&trial.user).await;
                let is_decided = facts.iter().any(|stored| stored.fact.status.is_final());
                if is_decided { Ok(facts) } else { Err(format!("{facts:?}")) }
            })
            .await;
            check(trial, &facts, scene.receiver.sent_to(&trial.user).len(), received);
        }
        scene.is_done().await;
        last.stop().await;
    }
}
