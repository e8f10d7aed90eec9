//! Envelopes are made anew while gateways run: who is connected goes on, who comes back goes on where it stood.
//!
//! The projector is not there; the test writes the envelopes as it would, so that it can look between any two of them.

mod following;
mod late;

use std::fs;

use async_nats::HeaderMap;
use async_nats::jetstream::{self, Context};
use harness::BOUND;
use serde_json::{Value, json};

use crate::dial::{Gateway, dial, numbers};
use crate::site::Site;
use crate::wire::{Heard, Wire};

/// Writes envelopes as a projector does.
struct Maker {
    context: Context,
}

/// What one writing of the envelopes is told apart by.
#[derive(Clone, Copy)]
struct Making {
    /// What the subjects begin with.
    root: &'static str,
    /// The word in the bodies.
    form: &'static str,
}

const FIRST: Making = Making { root: "envelopes.lab", form: "first" };
const AGAIN: Making = Making { root: "envelopes.lab~1", form: "again" };
const ELSEWHERE: Making = Making { root: "envelopes_1.lab~1", form: "elsewhere" };

impl Maker {
    async fn instead_of_the_projector(site: &mut Site) -> Self {
        site.stop_projector().await;
        Self { context: jetstream::new(site.client().clone()) }
    }

    /// Writes what the event with this number becomes. Numbers above a hundred thousand follow those without.
    async fn write(&self, making: Making, user: &str, n: u64) {
        let Making { root, form } = making;
        let event = n % 100_000 * 2 + n / 100_000;
        let mut headers = HeaderMap::new();
        headers.insert("Tidings-Origin", format!("1-{event}/0/0"));
        headers.insert("Nats-Msg-Id", format!("{root}/0//{event}/0"));
        let (subject, body) =
            (format!("{root}.durable.user.{user}.note.-"), format!(r#"{{"n":{n},"form":"{form}"}}"#));
        self.publish(subject, headers, body).await;
    }

    /// Says that the envelopes are in this place from here on.
    async fn announce(&self, subject: &str, place: &str) -> u64 {
        let mut headers = HeaderMap::new();
        headers.insert("Tidings-Notice", "1");
        headers.insert("Tidings-Place", place);
        self.publish(subject.to_owned(), headers, String::new()).await
    }

    /// Has the first generation after the first one become current, in this stream. The position of the notice.
    async fn change_over(&self, stream: &str, notices: &str, shard: u16) -> String {
        let notice = self.announce(notices, &format!("{shard}/1")).await;
        let since = format!("{}-{notice}", self.epoch(stream, 1).await);
        let place = |shard: u16, generation: u32| json!({ "shard": shard, "generation": generation });
        let placement = json!({
            "version": 1,
            "current": { "place": place(shard, 1), "since": since },
            "former": [{ "place": place(0, 0), "since": null }],
            "next": null,
            "cancelled": null,
        });
        self.publish("$KV.PLACEMENTS.lab".to_owned(), HeaderMap::new(), placement.to_string()).await;
        since
    }

    /// Creates the second shard's stream.
    async fn second_shard(&self, site: &Site) {
        let config = site.stream("ENVELOPES").await.cached_info().config.clone();
        let subjects = ["envelopes_1.>", "purges_1.>", "places_1.>"].map(str::to_owned).to_vec();
        let second = jetstream::stream::Config { name: "ENVELOPES_1".to_owned(), subjects, ..config };
        self.context.create_stream(second).await.unwrap();
    }

    async fn publish(&self, subject: String, headers: HeaderMap, body: String) -> u64 {
        let sent = self.context.publish_with_headers(subject, headers, body.into()).await.unwrap();
        sent.await.expect("the stream takes it").sequence
    }

    /// The epoch of positions in this stream and generation.
    async fn epoch(&self, stream: &str, generation: u64) -> String {
        let stream = self.context.get_stream(stream).await.unwrap();
        let microseconds = stream.cached_info().created.unix_timestamp_nanos() / 1_000;
        format!("{:x}", microseconds + i128::from(generation))
    }
}

fn epoch_of(position: &str) -> &str {
    position.split_once('-').unwrap().0
}

/// Numbers and forms.
fn told(messages: &[Value]) -> Vec<(u64, &str)> {
    messages
        .iter()
        .map(|message| (message["n"].as_u64().unwrap(), message["form"].as_str().unwrap()))
        .collect()
}

/// How many workers a gateway has.
fn workers_of(gateway: &Gateway) -> usize {
    let threads = fs::read_dir(format!("/proc/{}/task", gateway.process.pid())).unwrap();
    let names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
    names.filter(|name| name.starts_with("worker-")).count()
}

async fn hear(wire: &mut Wire, last: u64) -> Vec<Value> {
    wire.until(|message| message["n"] == last).await
}

#[tokio::test]
async fn who_is_connected_goes_on_and_who_returns_is_told_in_the_new_form() {
    let (mut site, gateway) = Site::with_gateway().await;
    let maker = Maker::instead_of_the_projector(&mut site).await;
    for user in ["ada", "bob"] {
        dial(user).returns(&gateway).await.leave().await;
    }
    let mut ada = dial("ada").returns(&gateway).await.wire;
    let mut plain = dial("ada").device("plain").open(&gateway).await;
    for n in 1..=4 {
        maker.write(FIRST, "ada", n).await;
        maker.write(FIRST, "bob", 100_000 + n).await;
    }
    assert_eq!(numbers(&hear(&mut ada, 4).await), [1, 2, 3, 4]);
    // Bob has two of his four.
    let bob = dial("bob").returns(&gateway).await;
    assert_eq!(bob.numbers(), [100_001, 100_002, 100_003, 100_004]);
    let mut wire = bob.wire;
    wire.ack(bob.missed[1]["seq"].as_u64().unwrap()).await;
    wire.close().await;
    site.left("bob", "d").await;

    // Beside the live ones, and nobody hears of it.
    for n in 1..=2 {
        maker.write(AGAIN, "ada", n).await;
        maker.write(AGAIN, "bob", 100_000 + n).await;
    }
    maker.write(FIRST, "ada", 5).await;
    for n in 3..=4 {
        maker.write(AGAIN, "ada", n).await;
        maker.write(AGAIN, "bob", 100_000 + n).await;
    }
    maker.write(AGAIN, "ada", 5).await;
    let fifth = hear(&mut ada, 5).await;
    assert_eq!(told(&fifth), [(5, "first")]);
    let since = maker.change_over("ENVELOPES", "places.lab", 0).await;
    maker.write(AGAIN, "ada", 6).await;
    assert_eq!(told(&hear(&mut ada, 6).await), [(6, "again")], "on the same connection");
    let heard = hear(&mut plain, 6).await;
    assert_eq!(
        told(&heard),
        [(1, "first"), (2, "first"), (3, "first"), (4, "first"), (5, "first"), (6, "again")]
    );

    // What she has acknowledged of either form does not come again, and the rest comes once.
    ada.ack(fifth[0]["seq"].as_u64().unwrap()).await;
    ada.close().await;
    site.left("ada", "d").await;
    let back = dial("ada").returns(&gateway).await;
    assert_eq!((told(&back.missed), back.gap.clone()), (vec![(6, "again")], None));
    assert!(back.welcome["position"].as_str().unwrap().starts_with(epoch_of(&since)), "{}", back.welcome);
    back.leave().await;
    site.left("ada", "d").await;
    let bob = dial("bob").returns(&gateway).await;
    assert_eq!((told(&bob.missed), bob.gap.clone()), (vec![(100_003, "again"), (100_004, "again")], None));
    bob.leave().await;
    site.left("bob", "d").await;

    // A gateway that begins now knows the same.
    gateway.stop().await;
    let gateway = site.gateway().await;
    for user in ["ada", "bob"] {
        let back = dial(user).returns(&gateway).await;
        assert_eq!((told(&back.missed), back.gap), (vec![], None), "{user}");
    }
    let from_the_old = format!("{}-{}", maker.epoch("ENVELOPES", 0).await, 3);
    let back = dial("ada").device("other").since(&from_the_old).returns(&gateway).await;
    assert_eq!(told(&back.missed), [(3, "again"), (4, "again"), (5, "again"), (6, "again")]);
    gateway.stop().await;
}

/// An acknowledgement may come before the change, between what is new before and behind it, or after it, and be for what
/// was delivered in either generation.
#[tokio::test]
async fn what_was_acknowledged_while_it_changes_does_not_come_again() {
    for (acknowledges_before, acknowledged, expected) in [
        (true, 3, vec![4]),
        (false, 3, vec![4]),
        (true, 2, vec![3, 4]),
        (false, 2, vec![3, 4]),
        (false, 4, vec![]),
    ] {
        let (mut site, gateway) = Site::with_gateway().await;
        let other = site.gateway().await;
        let maker = Maker::instead_of_the_projector(&mut site).await;
        let mut ada = dial("ada").returns(&gateway).await.wire;
        for making in [FIRST, AGAIN] {
            for n in 1..=3 {
                maker.write(making, "ada", n).await;
                maker.write(making, "bob", 100_000 + n).await;
            }
        }
        let mut heard = hear(&mut ada, 3).await;
        if acknowledges_before {
            ada.ack(heard[acknowledged - 1]["seq"].as_u64().unwrap()).await;
        }
        maker.change_over("ENVELOPES", "places.lab", 0).await;
        maker.write(AGAIN, "ada", 4).await;
        heard.extend(hear(&mut ada, 4).await);
        if !acknowledges_before {
            ada.ack(heard[acknowledged - 1]["seq"].as_u64().unwrap()).await;
        }
        ada.close().await;
        site.left("ada", "d").await;
        let back = dial("ada").returns(&other).await;
        assert_eq!(back.numbers(), expected, "{acknowledged} {acknowledges_before}");
        assert_eq!(back.gap, None);
        gateway.stop().await;
        other.stop().await;
    }
}

#[tokio::test]
async fn a_slow_reader_loses_nothing_to_a_new_generation() {
    let (mut site, gateway) = Site::with_gateway().await;
    let maker = Maker::instead_of_the_projector(&mut site).await;
    let small = [("TIDINGS_GATEWAY__WINDOW_MESSAGES", "4")];
    gateway.stop().await;
    let gateway = site.gateway_with(&small).await;
    let mut slow = dial("ada").sequenced().receive_buffer(4096).open(&gateway).await;
    slow.until(|message| message["action"] == "caught_up").await;
    for n in 1..=2_000 {
        maker.write(FIRST, "ada", n).await;
    }
    for n in 1..=2_000 {
        maker.write(AGAIN, "ada", n).await;
    }
    maker.announce("places.lab", "0/1").await;
    for n in 2_001..=2_100 {
        maker.write(AGAIN, "ada", n).await;
    }
    let heard = hear(&mut slow, 2_100).await;
    let expected: Vec<_> = (1..=2_100).map(|n| (n, if n <= 2_000 { "first" } else { "again" })).collect();
    assert_eq!(told(&heard), expected);
    gateway.stop().await;
}

#[tokio::test]
async fn who_stands_before_the_mailbox_is_served_from_either_generation() {
    let (mut site, gateway) = Site::with_gateway().await;
    let maker = Maker::instead_of_the_projector(&mut site).await;
    dial("ada").returns(&gateway).await.leave().await;
    site.left("ada", "d").await;
    for making in [FIRST, AGAIN] {
        for n in 1..=200 {
            maker.write(making, "ada", n).await;
        }
    }
    gateway.stop().await;
    let reach = [("TIDINGS_GATEWAY__MAILBOX_REACH", "10")];
    let gateway = site.gateway_with(&reach).await;
    let back = dial("ada").returns(&gateway).await;
    assert!(told(&back.missed).iter().all(|(_, form)| *form == "first"));
    assert_eq!(back.numbers(), (1..=200).collect::<Vec<_>>());
    back.wire.close().await;
    maker.change_over("ENVELOPES", "places.lab", 0).await;
    gateway.stop().await;
    let gateway = site.gateway_with(&reach).await;
    let back = dial("ada").returns(&gateway).await;
    assert!(told(&back.missed).iter().all(|(_, form)| *form == "again"));
    assert_eq!(back.numbers(), (1..=200).collect::<Vec<_>>());
    gateway.stop().await;
}
