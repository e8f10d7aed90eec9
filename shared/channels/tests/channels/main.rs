//! Each channel against a real receiver.

#![expect(clippy::disallowed_methods, reason = "tests read what the product has written")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers fail a test by panicking")]

mod all;
mod email;
mod forgery;
mod receiver;
mod sns;
mod web_push;
mod webhook;

use std::time::Duration;

use serde_json::json;
use tidings_channels::{Delivery, DeliveryId, Target, Urgency};
use tidings_model::Content;

/// A delivery to this target.
fn delivery(target: Target) -> Delivery {
    Delivery {
        id: DeliveryId::of(&["ops", "42", "ada"]),
        tenant: "ops".to_owned().try_into().unwrap(),
        user: Some("ada".to_owned()),
        target,
        content: Content {
            subject: Some("Disk full".to_owned()),
            text: Some("The disk of db-1 is full – grüße".to_owned()),
            html: None,
            payload: Some(json!({ "type": "incident", "data": { "title": "Disk full – ü" } })),
        },
        urgency: Urgency::High,
        time_to_live: Duration::from_secs(3_600),
        collapse: None,
        unsubscribe: None,
    }
}
