//! Users who connect and disconnect are told of, once for each change.

use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures_util::StreamExt as _;
use harness::{BOUND, eventually};
use serde_json::Value;
use tidings_model::{PlacedPosition, presence_of_tenant};
use tidings_streams::consumers::{Change, ConsumerName, ConsumerStore as _, Presence};
use tidings_streams::deliveries::GatewayLease;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::support::{Scene, tenant};

/// A gateway, as far as leases go, until it is dropped.
fn gateway(scene: &Scene, name: &str) -> AbortOnDropHandle<()> {
    let lease = GatewayLease::new(&scene.topology, name);
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            _ = lease.renew().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }))
}

impl Scene {
    async fn presence(&self, user: &str, device: &str, presence: Presence) {
        let name = ConsumerName::new(tenant(), user, device).unwrap();
        let position = PlacedPosition { generation: 0, position: self.start().await };
        self.consumers.save(&name, None, &Change::new(position, presence, 1)).await.unwrap();
    }

    async fn connects(&self, user: &str, device: &str, gateway: &str) {
        self.presence(user, device, Presence::Connected(gateway.to_owned())).await;
    }

    async fn leaves(&self, user: &str, device: &str, gateway: &str) {
        self.presence(user, device, Presence::Left(gateway.to_owned())).await;
    }

    /// All facts, in order, as a microservice reads them: user and status.
    async fn told(&self) -> Vec<(String, String)> {
        let stream = self.topology.context().get_stream("DELIVERIES").await.unwrap();
        let config = pull::Config {
            deliver_policy: DeliverPolicy::All,
            filter_subject: presence_of_tenant(&tenant()),
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.unwrap();
        let mut messages = consumer.fetch().max_messages(1_000).messages().await.unwrap();
        let mut told = Vec::new();
        while let Some(message) = messages.next().await {
            let fact: Value = tidings_model::json::parse(&message.unwrap().payload).unwrap();
            told.push((
                fact["user"].as_str().unwrap().to_owned(),
                fact["status"].as_str().unwrap().to_owned(),
            ));
        }
        told
    }

    /// Waits until exactly this was told of a user.
    async fn is_told(&self, user: &str, expected: &[&str]) {
        eventually(&format!("{user} was told to be {expected:?}"), BOUND, async || {
            let told: Vec<_> = self.told().await.into_iter().filter(|(of, _)| of == user).collect();
            let statuses: Vec<_> = told.iter().map(|(_, status)| status.as_str()).collect();
            if statuses == expected { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;
    }
}

const ON: &str = "connected";
const OFF: &str = "disconnected";

#[tokio::test]
async fn the_change_between_none_and_some_devices_is_told_once() {
    let scene = Scene::new().await;
    let _gateway = gateway(&scene, "g");
    let (first, second) = (scene.leading().await, scene.dispatcher().await);
    scene.connects("ada", "phone", "g").await;
    scene.is_told("ada", &[ON]).await;
    scene.connects("ada", "laptop", "g").await;
    scene.leaves("ada", "phone", "g").await;
    // What is told of bob shows that what came before was looked at.
    scene.connects("bob", "phone", "g").await;
    scene.is_told("bob", &[ON]).await;
    scene.is_told("ada", &[ON]).await;

    // Both change while nobody leads, and carl is there and gone again.
    first.kill().await;
    scene.leaves("ada", "laptop", "g").await;
    scene.connects("carl", "phone", "g").await;
    scene.leaves("carl", "phone", "g").await;
    scene.connects("eve", "phone", "g").await;
    scene.is_told("eve", &[ON]).await;
    scene.is_told("ada", &[ON, OFF]).await;
    scene.is_told("carl", &[]).await;
    second.stop().await;
    let third = scene.leading().await;
    scene.connects("ada", "phone", "g").await;
    scene.is_told("ada", &[ON, OFF, ON]).await;
    scene.is_told("bob", &[ON]).await;
    third.stop().await;
}

#[tokio::test]
async fn a_gateway_that_was_killed_has_nobody_any_more() {
    let scene = Scene::new().await;
    let (killed, stays) = (gateway(&scene, "killed"), gateway(&scene, "stays"));
    let dispatcher = scene.leading().await;
    for user in ["ada", "bob"] {
        scene.connects(user, "phone", "killed").await;
        scene.is_told(user, &[ON]).await;
    }
    scene.connects("carl", "phone", "stays").await;
    scene.is_told("carl", &[ON]).await;
    drop(killed);
    // Bob comes back elsewhere at once.
    scene.connects("bob", "phone", "stays").await;
    scene.is_told("ada", &[ON, OFF]).await;
    scene.connects("ada", "phone", "stays").await;
    scene.is_told("ada", &[ON, OFF, ON]).await;
    for user in ["bob", "carl"] {
        scene.is_told(user, &[ON]).await;
    }
    drop(stays);
    dispatcher.stop().await;
}

/// While dispatchers are killed at any moment, facts about each user alternate.
#[tokio::test]
async fn whatever_is_killed_each_change_is_told_once() {
    let scene = Scene::new().await;
    let _gateway = gateway(&scene, "g");
    let done = CancellationToken::new();
    let killing = async {
        let mut random = fastrand::Rng::with_seed(7);
        while !done.is_cancelled() {
            let dispatcher = scene.dispatcher().await;
            let time = Duration::from_millis(random.u64(200..1_500));
            _ = tokio::time::timeout(time, done.cancelled()).await;
            dispatcher.kill().await;
        }
    };
    let changing = async {
        let mut random = fastrand::Rng::with_seed(11);
        let mut is_here = [false; 8];
        for _ in 0..80 {
            let number = random.usize(0..is_here.len());
            let user = format!("u{number}");
            is_here[number] = !is_here[number];
            if is_here[number] {
                scene.connects(&user, "phone", "g").await;
            } else {
                scene.leaves(&user, "phone", "g").await;
            }
            tokio::time::sleep(Duration::from_millis(random.u64(1..60))).await;
        }
        done.cancel();
        is_here
    };
    let (is_here, ()) = tokio::join!(changing, killing);
    let last = scene.leading().await;
    for (number, is_here) in is_here.into_iter().enumerate() {
        let user = format!("u{number}");
        eventually("the last fact is right, and facts alternate", BOUND, async || {
            let told = scene.told().await.into_iter().filter(|(of, _)| *of == user);
            let told: Vec<_> = told.map(|(_, status)| status == ON).collect();
            for (place, status) in told.iter().enumerate() {
                assert_eq!(*status, place % 2 == 0, "{user}: {told:?}");
            }
            if told.last().copied().unwrap_or(false) == is_here { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;
    }
    last.stop().await;
}
