//! The clients in TypeScript, Rust, Python and Go against real processes: through killed gateways, with tokens that run out, offline and back, and
//! in a real browser.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers fail a test by panicking")]

mod browser;
mod durable_streams;
mod examples;
mod languages;
mod node;
mod producers;
mod proxies;
mod rust;
mod workshop;

use std::time::{SystemTime, UNIX_EPOCH};

use harness::{SECRET, token};
use serde_json::{Value, json};

/// A token of Ada's that is valid for so many seconds, issued by a login that lasts.
fn ada(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    token(SECRET, json!({ "tenant": "ops", "sub": "ada", "exp": now + seconds }))
}

/// The data of an incident.
fn incident(title: &str) -> Value {
    json!({ "id": "i", "jira_id": "I", "title": title, "severity": "high", "status": "open", "squad": "s" })
}
