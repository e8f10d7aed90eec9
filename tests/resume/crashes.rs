//! Processes that die in mid-stream: a checker knows every note that was sent, every acknowledgement and what every
//! client has seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harness::{BOUND, eventually};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::dial::{Dial, Gateway, dial, sequence_of};
use crate::site::Site;
use crate::wire::{Heard, Wire};

const USERS: u64 = 24;
const NOTES: u64 = 3_600;
const KILLS: u64 = 10;

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
struct Random(u64);

impl Random {
    /// Seeded by the variable `TIDINGS_TEST_SEED`, or by the clock; the seed is printed with a failure.
    fn seeded() -> Self {
        let given = std::env::var("TIDINGS_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into();
        let seed = given.unwrap_or_else(now);
        #[expect(clippy::print_stdout, reason = "shown with a failure, to repeat it")]
        {
            println!("TIDINGS_TEST_SEED={seed}");
        }
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Where there is a gateway at the moment.
type Address = watch::Receiver<String>;

/// A user's one device, over all of its connections.
struct Client {
    name: String,
    sequenced: bool,
    random: Random,
    /// The notes in the order in which they were first seen, by sequence where there are sequences.
    seen: Vec<u64>,
    sequences: BTreeMap<u64, u64>,
    /// The last sequence that was acknowledged; what a plain client answers, it does not know itself.
    acknowledged: u64,
    connections: u64,
}

impl Client {
    fn new(user: u64, random: Random) -> Self {
        Self {
            name: format!("user-{user}"),
            sequenced: !user.is_multiple_of(3),
            random,
            seen: Vec::new(),
            sequences: BTreeMap::new(),
            acknowledged: 0,
            connections: 0,
        }
    }

    fn dial(&self) -> Dial<'_> {
        let dial = dial(&self.name);
        if self.sequenced { dial.sequenced() } else { dial }
    }

    /// Listens until all notes up to `last` are there, through as many connections as it takes.
    async fn listen(mut self, mut gateway: Address, last: u64, heard: Arc<AtomicU64>) -> Self {
        while self.seen.last() != Some(&last) {
            let address = gateway.borrow_and_update().clone();
            match self.dial().try_open_at(&address).await {
                Ok(wire) => {
                    self.connections += 1;
                    self.listen_on(wire, last, &heard).await;
                }
                // A gateway that is gone, or is going, will be followed by another.
                Err(_) => _ = tokio::time::timeout(Duration::from_millis(20), gateway.changed()).await,
            }
        }
        self
    }

    async fn listen_on(&mut self, mut wire: Wire, last: u64, heard: &AtomicU64) {
        // The order of one connection is the order of the notes, without a hole.
        let mut before: Option<u64> = None;
        let leave_after = 20 + self.random.below(200);
        for count in 0.. {
            let message = match wire.next(BOUND).await {
                Heard::Text(message) => message,
                Heard::Close(_) | Heard::End => return,
            };
            assert_ne!(message["action"], "gap", "{}: {message}", self.name);
            if message["action"] == "welcome" {
                let stands = sequence_of(&message["position"]);
                // Never beyond what was acknowledged, or what follows would be lost.
                let next =
                    self.sequences.range(self.acknowledged + 1..).next().map_or(u64::MAX, |(next, _)| *next);
                assert!(stands < next, "{} acknowledged {}: {message}", self.name, self.acknowledged);
                before = self.sequences.range(..=stands).next_back().map(|(_, n)| *n);
            }
            let Some(n) = message["n"].as_u64() else { continue };
            let expected = match before {
                Some(before) => before + 1,
                // A plain client cannot know where it begins, but never beyond what it has seen.
                None if self.sequenced => 1,
                None => n.min(self.seen.len() as u64 + 1),
            };
            assert_eq!(n, expected, "{} on its connection {}", self.name, self.connections);
            before = Some(n);
            if n == self.seen.len() as u64 + 1 {
                self.seen.push(n);
                heard.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(sequence) = message["seq"].as_u64() {
                let known = *self.sequences.entry(sequence).or_insert(n);
                assert_eq!(known, n, "{}: a sequence is one note's for ever", self.name);
                if self.random.below(4) == 0 || n == last {
                    wire.ack(sequence).await;
                    self.acknowledged = self.acknowledged.max(sequence);
                }
            }
            if n == last {
                // So that the last acknowledgement is heard.
                return wire.close().await;
            }
            if count > leave_after {
                // Half of them say goodbye.
                return if self.random.below(2) == 0 { wire.close().await } else { drop(wire) };
            }
        }
    }
}

/// Sends every user the same number of notes, whatever happens to NATS meanwhile.
async fn send_notes(site: &Site, each: u64, mut allowed: watch::Receiver<u64>) {
    for n in 1..=each {
        _ = allowed.wait_for(|allowed| n <= *allowed).await;
        let sent = (0..USERS).map(|user| async move {
            let data = json!({ "user": format!("user-{user}"), "n": n });
            site.publish_surely("note.sent", &format!("{user}/{n}"), &data).await;
        });
        futures_util::future::join_all(sent).await;
    }
}

/// All clients of a run.
struct Crowd {
    clients: JoinSet<Client>,
    heard: Arc<AtomicU64>,
    gateway: watch::Sender<String>,
}

impl Crowd {
    async fn gather(site: &Site, gateway: &Gateway, random: &mut Random, each: u64) -> Self {
        let address = watch::Sender::new(gateway.address.clone());
        let heard = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        for user in 0..USERS {
            let client = Client::new(user, Random(random.below(u64::MAX)));
            // Known from here on, so that nothing is sent before its place begins.
            client.dial().open(gateway).await.close().await;
            site.left(&client.name, "d").await;
            clients.spawn(client.listen(address.subscribe(), each, Arc::clone(&heard)));
        }
        Self { clients, heard, gateway: address }
    }

    /// Waits until so many notes were heard for the first time.
    async fn heard(&self, count: u64) {
        eventually("the clients go on", BOUND, async || match self.heard.load(Ordering::Relaxed) {
            enough if enough >= count => Ok(()),
            few => Err(format!("{few} of {count}")),
        })
        .await;
    }

    /// Everybody has everything.
    async fn check(self, each: u64) {
        for client in self.clients.join_all().await {
            assert_eq!(client.seen, (1..=each).collect::<Vec<_>>(), "{}", client.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_killed_at_random_moments_loses_nothing() {
    let mut random = Random::seeded();
    let site = Site::setup().variable("TIDINGS_GATEWAY__WORKERS", "2").start().await;
    let first = site.gateway().await;
    let each = NOTES / USERS;
    let crowd = Crowd::gather(&site, &first, &mut random, each).await;
    let allowed = watch::Sender::new(0);
    let killing = async {
        let mut gateway = first;
        for kill in 1..=KILLS {
            allowed.send_replace(each * kill / KILLS);
            let sent_before = NOTES * (kill - 1) / KILLS;
            if kill % 2 == 0 {
                // Half of the kills come after positions were saved, and repeat the less.
                let stood = stands(&site, "user-1").await;
                eventually("a position is saved", BOUND, async || match stands(&site, "user-1").await {
                    further if further > stood => Ok(()),
                    same => Err(same),
                })
                .await;
            }
            crowd.heard(sent_before + random.below(NOTES / KILLS)).await;
            gateway.kill().await;
            gateway = site.gateway().await;
            crowd.gateway.send_replace(gateway.address.clone());
        }
        gateway
    };
    let (gateway, ()) = tokio::join!(killing, send_notes(&site, each, allowed.subscribe()));
    crowd.check(each).await;

    // Whatever was saved of the last acknowledgements: once more, and everybody stands at the end.
    for user in (0..USERS).map(|user| format!("user-{user}")) {
        dial(&user).returns(&gateway).await.leave().await;
    }
    gateway.stop().await;
    let gateway = site.gateway().await;
    for user in (0..USERS).map(|user| format!("user-{user}")) {
        let back = dial(&user).returns(&gateway).await;
        assert_eq!((back.gap.clone(), back.numbers()), (None, vec![]), "{user}");
    }
    gateway.stop().await;
}

async fn stands(site: &Site, user: &str) -> u64 {
    sequence_of(&site.consumer(user, "d").await.unwrap()["position"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nats_server_killed_in_mid_stream_loses_nothing() {
    let mut random = Random::seeded();
    let site = Site::setup().start().await;
    let gateway = site.gateway().await;
    let each = NOTES / 3 / USERS;
    let crowd = Crowd::gather(&site, &gateway, &mut random, each).await;
    let killing = async {
        for kill in 1..=3 {
            crowd.heard(NOTES / 3 * kill / 5).await;
            site.restart_nats().await;
        }
    };
    tokio::join!(killing, send_notes(&site, each, watch::Sender::new(each).subscribe()));
    crowd.check(each).await;
    gateway.stop().await;
}

/// What a client was told is so, even if the gateway that said it dies the moment after.
#[tokio::test]
async fn what_was_confirmed_survives_the_gateway() {
    let (site, gateway) = Site::with_gateway().await;
    dial("ada").returns(&gateway).await.leave().await;
    let mut wire = dial("ada").returns(&gateway).await.wire;
    wire.say(&json!({ "action": "subscribe", "topics": ["news"], "filters": { "colour": "red" }, "id": 1 }))
        .await;
    let confirmed = wire.message().await;
    gateway.kill().await;
    assert_eq!((&confirmed["action"], &confirmed["original_message_id"]), (&json!("subscribed"), &json!(1)));
    site.publish("news.broken", json!({ "n": 1, "colour": "red" })).await;
    site.publish("news.broken", json!({ "n": 2, "colour": "blue" })).await;
    site.projected().await;

    let gateway = site.gateway().await;
    let returned = dial("ada").returns(&gateway).await;
    assert_eq!(returned.numbers(), [1]);
    let mut wire = returned.wire;
    wire.say(&json!({ "action": "unsubscribe", "topics": ["news"] })).await;
    assert_eq!(
        wire.until(|message| message["action"] == "unsubscribed").await.pop().unwrap()["topics"],
        json!([])
    );
    gateway.kill().await;
    site.publish("news.broken", json!({ "n": 3, "colour": "red" })).await;
    site.projected().await;
    let gateway = site.gateway().await;
    // It is not subscribed any more, neither to what came since nor to what it did not acknowledge.
    assert_eq!(dial("ada").returns(&gateway).await.numbers(), Vec::<u64>::new());
    gateway.stop().await;
}
