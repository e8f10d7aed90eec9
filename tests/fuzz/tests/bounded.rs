//! Every target, with its seeds and some thousand mutations of them. `TIDINGS_FUZZ_SEED` chooses others, and
//! `TIDINGS_FUZZ_ATTEMPTS` how many of each.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use tidings_fuzz::{TARGETS, Target, engine};

fn number<T: FromStr<Err: Display>>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable} is {text:?}: {error}")))
}

fn check(target: &Target) {
    let seed = number("TIDINGS_FUZZ_SEED").unwrap_or(1);
    let attempts = number("TIDINGS_FUZZ_ATTEMPTS").unwrap_or(target.attempts);
    let Err(failure) = engine::run(target, seed, attempts) else { return };
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", target.name));
    std::fs::write(&file, &failure.input).unwrap();
    panic!(
        "target {}: {}\nthe input is \"{}\"\nrepeat it with `just fuzz {} {}`, and add it to the target's seeds",
        target.name,
        failure.message,
        failure.input.escape_ascii(),
        target.name,
        file.display()
    );
}

macro_rules! targets {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                check(tidings_fuzz::target(stringify!($name)).unwrap());
            }
        )*
    };
}

targets! {
    address subject json event position
    source token key_set origin
    client extensions frames
    template catalog
    conversation proxy_header forwarded_for query publication
    record sanitized
}

#[test]
fn every_target_runs_here() {
    let all: BTreeSet<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(all, NAMES.iter().copied().collect());
}

/// The engine notices a broken invariant, and names the input that broke it.
#[test]
fn a_broken_invariant_is_found() {
    let no_bracket = |input: &[u8]| assert!(!input.starts_with(b"[["), "two brackets");
    let target = Target { name: "broken", run: no_bracket, seeds: &[b"[1]"], attempts: 10_000 };
    let failure = engine::run(&target, 1, target.attempts).unwrap_err();
    assert!(failure.input.starts_with(b"[[") && failure.message == "two brackets", "{failure:?}");
    assert_eq!(engine::run(&target, 1, target.attempts).unwrap_err().input, failure.input);
}
