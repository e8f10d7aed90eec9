//! The system under attack, its witness, and chance.

use async_nats::jetstream;
use harness::{BOUND, Client, SECRET, Setup, System, token};
use serde_json::{Value, json};

/// What came of all attempts of a kind.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What was attempted.
    pub(crate) attack: &'static str,
    /// How often.
    pub(crate) attempts: usize,
    /// What had an effect that it must not have.
    pub(crate) breaches: Vec<String>,
}

impl Outcome {
    pub(crate) fn of(attack: &'static str) -> Self {
        Self { attack, attempts: 0, breaches: Vec::new() }
    }

    /// Counts one attempt, which had no effect unless `breach` says which.
    pub(crate) fn count(&mut self, breach: Option<String>) {
        self.attempts += 1;
        self.breaches.extend(breach);
    }
}

/// A running system and whoever watches it.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) system: System,
    /// How often each kind of attack is tried.
    pub(crate) attempts: usize,
    pub(crate) random: fastrand::Rng,
    witness: Client,
    rounds: u64,
}

impl Scene {
    pub(crate) async fn start(attempts: usize, seed: u64) -> Self {
        let setup = Setup::default()
            // Everybody on one writing thread, so that whatever happens to it happens to the witness, too.
            .variable("TIDINGS_GATEWAY__WORKERS", "1")
            .variable("TIDINGS_GATEWAY__HANDSHAKE_TIMEOUT", "2s");
        let system = setup.start().await;
        let witness = system.open(json!({ "tenant": "ops", "sub": "witness" })).await;
        Self { system, attempts, random: fastrand::Rng::with_seed(seed), witness, rounds: 0 }
    }

    /// The witness has received nothing since the last check, receives what is now meant for them, and every process is
    /// well.
    pub(crate) async fn check(&mut self) {
        self.rounds += 1;
        let title = format!("round {}", self.rounds);
        let data =
            json!({ "userId": "witness", "title": title, "message": "", "type": "info", "priority": "low" });
        self.system.publish("ops", "notification.created", &data).await;
        let message = self.witness.next_json(BOUND).await;
        assert_eq!(message["data"]["title"], title, "{message}");
        self.system.check_well();
    }

    /// How many events were ever stored.
    pub(crate) async fn events(&self) -> u64 {
        let stream = jetstream::new(self.system.client().clone()).get_stream("EVENTS").await.unwrap();
        stream.cached_info().state.last_sequence
    }

    /// One of these.
    pub(crate) fn one_of<'c, T>(&mut self, choices: &'c [T]) -> &'c T {
        &choices[self.random.usize(..choices.len())]
    }

    /// Up to so many bytes of anything.
    pub(crate) fn bytes(&mut self, at_most: usize) -> Vec<u8> {
        let length = self.random.usize(..=at_most);
        std::iter::repeat_with(|| self.random.u8(..)).take(length).collect()
    }

    /// Any JSON value, nested less than `depth` deep.
    pub(crate) fn json(&mut self, depth: u32) -> Value {
        match self.random.u8(..if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.random.bool()),
            2 => json!(self.random.i64(..)),
            3 => json!(self.random.f64() * 1e18),
            4 => json!(""),
            5 => json!(self.one_of(&[
                "user:bert",
                "incidents",
                "*",
                ">",
                "all",
                "\u{1b}[31m",
                "\u{202e}",
                "d1"
            ])),
            6 => (0..self.random.u8(..4)).map(|_| self.json(depth - 1)).collect(),
            _ => {
                let members = ["action", "type", "topics", "filters", "id", "data", "seq", "token", "userId"];
                let count = self.random.u8(..5);
                let members = (0..count).map(|_| ((*self.one_of(&members)).to_owned(), self.json(depth - 1)));
                Value::Object(members.collect())
            }
        }
    }
}

/// A good token of this user.
pub(crate) fn token_of(tenant: &str, user: &str, more: &Value) -> String {
    let mut claims = json!({ "tenant": tenant, "sub": user });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    token(SECRET, claims)
}
