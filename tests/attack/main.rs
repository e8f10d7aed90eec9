//! Tidings under attack: strangers, users, producers and a neighbour in the bucket, each with what they really have, try
//! what they may not, again and again from a seed.
//!
//! Beside every attack stands a witness, another user of the same gateway, who must receive what is meant for them and
//! nothing else; and nothing may end a process. The table that this prints stands in `tests/README.md`.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers fail a test by panicking"
)]

mod closing;
mod events;
mod frames;
mod interface;
mod messages;
mod records;
mod requests;
mod scene;
mod stalls;
mod tokens;
mod wire;

use scene::{Outcome, Scene};

/// Attempts of each kind where nothing else is said; `TIDINGS_ATTACK_ATTEMPTS` says something else.
const ATTEMPTS: usize = 60;

#[tokio::test]
async fn what_an_attacker_may_not_do_has_no_effect() {
    let attempts = variable("TIDINGS_ATTACK_ATTEMPTS").unwrap_or(ATTEMPTS);
    let seed = variable("TIDINGS_ATTACK_SEED").unwrap_or(1);
    let mut scene = Scene::start(attempts, seed as u64).await;
    let mut outcomes = Vec::new();
    outcomes.push(tokens::attack(&mut scene).await);
    outcomes.push(requests::attack(&mut scene).await);
    outcomes.push(stalls::attack(&mut scene).await);
    outcomes.push(frames::attack(&mut scene).await);
    outcomes.push(messages::attack(&mut scene).await);
    outcomes.push(closing::attack(&mut scene).await);
    outcomes.push(events::attack(&mut scene).await);
    outcomes.push(interface::attack(&mut scene).await);
    outcomes.push(records::attack(&mut scene).await);
    print(seed, &outcomes);
    for outcome in outcomes {
        assert_eq!(outcome.breaches, Vec::<String>::new(), "{}, with seed {seed}", outcome.attack);
    }
}

fn variable(name: &str) -> Option<usize> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a whole number")))
}

#[expect(clippy::print_stdout, reason = "the table is what `just attack` is called for")]
fn print(seed: usize, outcomes: &[Outcome]) {
    println!("\n| attack (seed {seed}) | attempts | held |\n| --- | --- | --- |");
    for Outcome { attack, attempts, breaches } in outcomes {
        println!("| {attack} | {attempts} | {} |", attempts - breaches.len().min(*attempts));
    }
}
