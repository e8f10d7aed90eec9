//! Requests for placements, and the envelopes in a place.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::Context;
use harness::{BOUND, eventually};
use serde_json::json;
use tidings_model::{Place, Placement, ShardNumber, Tenant};
use tidings_projector::Settings;
use tidings_streams::{EnvelopeFollower, Followed, StoredEnvelope, Topology};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::support::{Scene, Task, number, settings, stream_settings};

pub(crate) fn tenant() -> Tenant {
    Tenant::parse("t").unwrap()
}

pub(crate) fn place(shard: u16, generation: u32) -> Place {
    Place { shard: ShardNumber(shard), generation }
}

impl Scene {
    /// Requests a rebuild in this shard, of events since a time.
    pub(crate) async fn ask(&self, shard: u16, since: Option<OffsetDateTime>) -> Place {
        let seconds = |time: OffsetDateTime| u64::try_from(time.unix_timestamp()).unwrap();
        let (since, now) = (since.map(seconds), seconds(OffsetDateTime::now_utc()));
        let ask = |placement: &mut Placement| _ = placement.request(ShardNumber(shard), since, now);
        let placements = self.topology.placements();
        let placement = placements.change(&tenant(), ShardNumber(0), ask).await.unwrap();
        placement.next.unwrap().place
    }

    /// Withdraws the request, so that the next one gets the same number.
    pub(crate) async fn take_back(&self) {
        let cancel = |placement: &mut Placement| placement.next = None;
        self.topology.placements().change(&tenant(), ShardNumber(0), cancel).await.unwrap();
    }

    pub(crate) async fn placement(&self) -> Placement {
        let placements = self.topology.placements();
        // On a busy machine an answer may take longer than a request waits.
        eventually("the placement is read", BOUND, async || placements.load(&tenant()).await).await
    }

    /// Waits until this place is current.
    pub(crate) async fn until_current(&self, place: Place) -> Placement {
        eventually(&format!("{place} is current"), 4 * BOUND, async || {
            let placement = self.placement().await;
            let is_current = placement.current.place == place && placement.next.is_none();
            if is_current { Ok(placement) } else { Err(format!("{placement:?}")) }
        })
        .await
    }

    /// All envelopes in a place.
    pub(crate) async fn at(&self, place: Place) -> Vec<StoredEnvelope> {
        let topology = self.topology.on(place.shard).await.unwrap();
        let mut follower =
            EnvelopeFollower::of_generation(&topology, &tenant(), place.generation).await.unwrap();
        let mut all = Vec::new();
        while let Some(followed) = follower.next_pending().await.unwrap() {
            if let Followed::Envelopes(envelopes) = followed {
                all.extend(envelopes);
            }
        }
        all
    }

    /// The numbers of all envelopes in a place.
    pub(crate) async fn numbers_at(&self, place: Place) -> Vec<u64> {
        self.at(place).await.iter().map(number).collect()
    }

    /// Waits until a place has this many envelopes.
    pub(crate) async fn until_there_are(&self, count: usize, place: Place) {
        eventually(&format!("there are {count} in {place}"), 2 * BOUND, async || {
            let found = self.at(place).await.len();
            if found >= count { Ok(()) } else { Err(format!("{found}")) }
        })
        .await;
    }

    /// Fails unless a place has exactly the notes with these numbers, in their order.
    pub(crate) async fn has_notes(&self, place: Place, expected: impl IntoIterator<Item = u64>) {
        let (found, expected) = (self.numbers_at(place).await, expected.into_iter().collect::<Vec<_>>());
        let first = found.iter().zip(&expected).take_while(|(found, expected)| found == expected).count();
        assert_eq!(found[first..], expected[first..], "in {place}, the first {first} are right");
    }

    /// When these envelopes expire, by their numbers.
    pub(crate) async fn ends(&self, envelopes: &[StoredEnvelope]) -> BTreeMap<u64, OffsetDateTime> {
        let stream = self.context.get_stream("ENVELOPES").await.unwrap();
        let mut ends = BTreeMap::new();
        for stored in envelopes {
            let message = stream.get_raw_message(stored.sequence).await.unwrap();
            let seconds = |text: &str| text.trim_end_matches('s').parse().unwrap();
            let own = message.headers.get("Nats-TTL").map(|text| Duration::from_secs(seconds(text.as_str())));
            let kept = own.unwrap_or(self.topology.settings().envelopes_max_age);
            ends.insert(number(stored), stored.stored_at + kept);
        }
        ends
    }

    /// Starts the projector of a shard.
    pub(crate) async fn projector_of(&self, shard: u16) -> Task {
        let topology = self.own_topology().await;
        Task::start(topology, Settings { shard: ShardNumber(shard), ..settings() })
    }

    /// Opens the streams through a connection of its own.
    pub(crate) async fn own_topology(&self) -> Topology {
        let client = self.nats.client().await;
        Topology::ensure(&client, &stream_settings(self.window)).await.unwrap()
    }
}

/// A producer that publishes notes, one after the other.
pub(crate) struct Load {
    stopped: CancellationToken,
    publishing: JoinHandle<u64>,
}

impl Load {
    /// Starts with this number.
    pub(crate) fn start(scene: &Scene, first: u64) -> Self {
        let stopped = CancellationToken::new();
        let publishing = tokio::spawn(publish(scene.context.clone(), first, stopped.clone()));
        Self { stopped, publishing }
    }

    /// Stops, and returns the last number.
    pub(crate) async fn stop(self) -> u64 {
        self.stopped.cancel();
        self.publishing.await.unwrap()
    }
}

async fn publish(context: Context, first: u64, stopped: CancellationToken) -> u64 {
    let mut pace = interval(Duration::from_millis(2));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = first - 1;
    while stopped.run_until_cancelled(pace.tick()).await.is_some() {
        last += 1;
        let data = json!({ "n": last, "user": format!("u{}", last % 7) }).to_string();
        context.publish("events.t.note.added", data.into()).await.unwrap().await.unwrap();
    }
    last
}
