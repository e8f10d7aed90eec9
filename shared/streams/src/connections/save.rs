//! Asking the gateway that a device has left to save what it has heard from it.
//!
//! A gateway saves positions a moment late. A device that changes the gateway meanwhile would be sent again what it has
//! acknowledged; so the gateway to which it comes asks the other one first.

use std::time::Duration;

use async_nats::service::NATS_SERVICE_ERROR;
use async_nats::{Client, Request, RequestErrorKind};

use super::ask::{header, inbox};
use super::{Operation, Search};
use crate::consumers::ConsumerName;

/// How long a gateway may take. One that is silent keeps no device waiting for longer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What became of the request to save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaveAnswer {
    /// Everything that the gateway knows of the device is saved.
    Saved,
    /// No gateway of this name is connected to NATS: it has ended, and what it knew is lost.
    Gone,
    /// It has not saved, or does not say.
    Silent,
}

/// Asks a gateway to save what it knows of the consumer.
pub async fn ask_to_save(client: &Client, gateway: &str, consumer: &ConsumerName) -> SaveAnswer {
    let search = Search {
        user: Some(consumer.user().to_owned()),
        device: Some(consumer.device().to_owned()),
        ..Search::default()
    };
    let payload = serde_json::json!(search).to_string();
    let request = Request::new().payload(payload.into()).timeout(Some(PATIENCE)).inbox(inbox(client));
    let subject = Operation::Save.subject(gateway, consumer.tenant().as_str());
    match client.send_request(subject, request).await {
        Ok(answer) => match header(&answer, NATS_SERVICE_ERROR) {
            None => SaveAnswer::Saved,
            Some(complaint) => {
                tracing::debug!(gateway, complaint, "another gateway cannot save what it knows of a device");
                SaveAnswer::Silent
            }
        },
        Err(error) => {
            tracing::debug!(gateway, %error, "another gateway does not say what it knows of a device");
            if error.kind() == RequestErrorKind::NoResponders { SaveAnswer::Gone } else { SaveAnswer::Silent }
        }
    }
}
