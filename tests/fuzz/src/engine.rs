//! The bounded engine: mutates seeds at random, from a number, so that the same number always tries the same inputs.
//!
//! No crate does this on stable Rust without coverage feedback in a way that takes less than these lines; property testing
//! libraries generate from a grammar, while here bytes that were good before are damaged. What coverage would find is left
//! to libFuzzer.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fastrand::Rng;

use crate::Target;

/// The longest input, in bytes.
const LONGEST: usize = 16 * 1024;

/// An input that broke an invariant.
#[derive(Debug)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// What the target said.
    pub message: String,
}

/// Tries all seeds of a target, then so many mutated ones.
pub fn run(target: &Target, seed: u64, attempts: usize) -> Result<(), Failure> {
    let mut random = Rng::with_seed(seed);
    for input in target.seeds {
        attempt(target, input)?;
    }
    for _ in 0..attempts {
        attempt(target, &mutated(target, &mut random))?;
    }
    Ok(())
}

fn attempt(target: &Target, input: &[u8]) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input)))
        .map_err(|panic| Failure { input: input.to_owned(), message: message(&*panic) })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
}

/// What has a meaning to one of the parsers.
const TOKENS: [&[u8]; 44] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\",
    b",",
    b":",
    b".",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b"*",
    b">",
    b"=",
    b"%",
    b"%41",
    b"null",
    b"true",
    b"-0",
    b"1e400",
    b"1.0",
    b"18446744073709551615",
    b"18446744073709551616",
    b"\\ud83d",
    b"\\u0000",
    b"\xEF\xBB\xBF",
    b"\xFF",
    b"\xC3\xA9",
    b"\xE2\x80\xAE",
    b"\x1b[0m",
    b"{{",
    b"}}",
    b"?",
    b"[*]",
    b"$serde_json::private::RawValue",
    b"$serde_json::private::Number",
    b"::ffff:10.0.0.1",
    b"bearer.",
    b"ops",
    b"\"id\":",
    b"{\"a\":",
];

fn mutated(target: &Target, random: &mut Rng) -> Vec<u8> {
    let mut input = random.choice(target.seeds).map_or_else(Vec::new, |seed| seed.to_vec());
    for _ in 0..random.usize(1..=6) {
        mutate(&mut input, target, random);
    }
    input.truncate(LONGEST);
    input
}

fn mutate(input: &mut Vec<u8>, target: &Target, random: &mut Rng) {
    let start = random.usize(0..=input.len());
    let end = random.usize(start..=input.len().min(start + 32));
    match random.u8(0..8) {
        0 => _ = input.drain(start..end),
        1 => insert(input, start, &[random.u8(..)]),
        2 => insert(input, start, random.choice(TOKENS).unwrap_or_default()),
        3 => {
            let piece = input[start..end].to_vec();
            insert(input, start, &piece);
        }
        // Nesting and repetition are found by doing much of one thing.
        4 if end > start => {
            let piece = input[start..end].repeat(random.usize(2..200));
            insert(input, start, &piece);
        }
        5 => {
            let other = random.choice(target.seeds).copied().unwrap_or_default();
            let from = random.usize(0..=other.len());
            input.truncate(start);
            input.extend_from_slice(&other[from..]);
        }
        6 => input.truncate(start),
        _ => {
            if let Some(byte) = input.get_mut(start) {
                *byte = if random.bool() { random.u8(..) } else { *byte ^ (1 << random.u8(0..8)) };
            }
        }
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let room = LONGEST.saturating_sub(input.len()).min(piece.len());
    input.splice(at..at, piece[..room].iter().copied());
}
