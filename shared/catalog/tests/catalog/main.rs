//! What the crate promises: examples hold, mistakes are named, data stays data.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, also in what its tests share"
)]

mod absence;
mod examples;
mod fallbacks;
mod grants;
mod mistakes;
mod numbers;
mod projection;
mod publish;
mod rendering;
mod sanitizing;
mod schemas;
mod shapes;
mod support;
mod texts;
