//! Fuzz targets: each parser of what clients, producers, proxies, identity providers and other writers of NATS send.
//!
//! A target is a plain function of bytes that panics if an invariant is broken: it never fails on bad input, only on a
//! wrong reaction to it. Two engines run the same functions:
//!
//! - [`engine`], on stable Rust: deterministic, bounded, part of `cargo test`;
//! - libFuzzer, guided by coverage, with the feature `libfuzzer`: `just fuzz`.
//!
//! A failing input that either engine finds becomes a seed of its target, and so a regression test.

#![expect(clippy::expect_used, clippy::panic, reason = "a target panics if an invariant is broken")]

pub mod engine;
mod targets;

/// A parser under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it promises about any input.
    pub run: fn(&[u8]),
    /// Inputs to begin with: good ones, and bad ones that need a special reaction.
    pub seeds: &'static [&'static [u8]],
    /// How many mutated inputs the bounded run tries.
    pub attempts: usize,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    targets::model::ADDRESS,
    targets::model::SUBJECT,
    targets::model::JSON,
    targets::model::EVENT,
    targets::model::POSITION,
    targets::access::SOURCE,
    targets::access::TOKEN,
    targets::access::KEY_SET,
    targets::access::ORIGIN,
    targets::protocol::CLIENT,
    targets::protocol::EXTENSIONS,
    targets::protocol::FRAMES,
    targets::catalog::TEMPLATE,
    targets::catalog::CATALOG,
    targets::catalog::SANITIZED,
    targets::session::CONVERSATION,
    targets::net::PROXY_HEADER,
    targets::net::FORWARDED_FOR,
    targets::gateway::QUERY,
    targets::gateway::PUBLICATION,
    targets::streams::RECORD,
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
