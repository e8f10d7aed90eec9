//! Taking a client's message to the gateway that has its connection.
//!
//! A client without WebSockets receives on one connection and sends by requests of their own, each of which a balancer may take to
//! another gateway.

use std::time::Duration;

use async_nats::service::NATS_SERVICE_ERROR;
use async_nats::{Client, Request};
use tidings_model::Tenant;

use super::ask::{header, inbox};
use super::{ConnectionName, Operation, Search};

/// How long a gateway may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the gateway of a user's connection to take a message to it. `false` if there is no such connection, or its gateway
/// does not answer.
pub async fn ask_to_receive(
    client: &Client,
    (tenant, user): (&Tenant, &str),
    connection: &ConnectionName,
    message: String,
) -> bool {
    let (user, ordinal) = (Some(user.to_owned()), Some(connection.ordinal));
    let search = Search { user, ordinal, message: Some(message), ..Search::default() };
    let payload = serde_json::json!(search).to_string();
    let request = Request::new().payload(payload.into()).timeout(Some(PATIENCE)).inbox(inbox(client));
    let subject = Operation::Receive.subject(&connection.gateway, tenant.as_str());
    match client.send_request(subject, request).await {
        Ok(answer) => header(&answer, NATS_SERVICE_ERROR).is_none(),
        Err(error) => {
            tracing::debug!(%connection, %error, "another gateway does not take a client's message");
            false
        }
    }
}
