//! Which gateways and projectors run, over the NATS service API (NATS ADR-32): who is asked answers, and nothing is stored.
//!
//! A projector that stands by writes nothing, so that nothing else shows it. It is an instance of the service
//! `tidings-projector` with its shard in the metadata, as each gateway is one of `tidings-gateway` with its name.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::service::PingResponse;
use async_nats::{Client, StatusCode, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tidings_model::{ShardNumber, json};
use tokio::time::{Instant, timeout_at};

use crate::connections::SERVICE;
use crate::topology::Topology;

/// The name of the service of which each projector is an instance.
const PROJECTORS: &str = "tidings-projector";
/// The member of the metadata with a projector's shard.
const SHARD: &str = "shard";
/// How long to wait for answers: how many there will be is unknown.
const ROLL_CALL: Duration = Duration::from_secs(1);
/// The prefix of the subjects of answers, on which gateways and projectors may publish.
const ANSWERS: &str = "tidings.answers";

/// Answers for the projector of this shard whenever somebody asks which ones run. Never returns.
pub async fn answer_pings(topology: &Topology) {
    let client = topology.client();
    let instance = PingResponse {
        kind: "io.nats.micro.v1.ping_response".to_owned(),
        name: PROJECTORS.to_owned(),
        id: client.new_inbox().rsplit('.').next().unwrap_or_default().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        metadata: HashMap::from([(SHARD.to_owned(), topology.shard().to_string())]),
    };
    let answer = Bytes::from(serde_json::json!(instance).to_string());
    match client.subscribe(format!("$SRV.PING.{PROJECTORS}")).await {
        Ok(mut pings) => {
            while let Some(ping) = pings.next().await {
                let Some(reply) = ping.reply else { continue };
                if let Err(error) = client.publish(reply, answer.clone()).await {
                    tracing::debug!(%error, "cannot answer who asks which projectors run");
                }
            }
        }
        Err(error) => tracing::debug!(%error, "cannot hear who asks which projectors run"),
    }
    // The client has ended; the projector finds that out by itself.
    std::future::pending::<()>().await;
}

/// A gateway that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningGateway {
    /// Unique to the process.
    pub instance: String,
    /// Its name, which connections' names begin with.
    pub name: String,
}

/// Asks which gateways run. Takes a second, unless there is none.
pub async fn running_gateways(client: &Client) -> Result<Vec<RunningGateway>, PresenceError> {
    let named = |ping: PingResponse| {
        let name = ping.metadata.get("gateway")?.clone();
        Some(RunningGateway { instance: ping.id, name })
    };
    Ok(call(client, SERVICE).await?.into_iter().filter_map(named).collect())
}

/// Asks which projectors run: the shard of each. Takes a second, unless there is none.
pub async fn running_projectors(client: &Client) -> Result<Vec<ShardNumber>, PresenceError> {
    let shard = |ping: PingResponse| Some(ShardNumber(ping.metadata.get(SHARD)?.parse().ok()?));
    Ok(call(client, PROJECTORS).await?.into_iter().filter_map(shard).collect())
}

async fn call(client: &Client, service: &str) -> Result<Vec<PingResponse>, PresenceError> {
    let unique = client.new_inbox();
    let (_, unique) = unique.rsplit_once('.').unwrap_or_default();
    let inbox = Subject::from(format!("{ANSWERS}.{unique}"));
    let failed = |source: async_nats::Error| PresenceError { service: service.to_owned(), source };
    let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| failed(error.into()))?;
    let asked = client.publish_with_reply(format!("$SRV.PING.{service}"), inbox, Bytes::new()).await;
    asked.map_err(|error| failed(error.into()))?;
    let (until, mut found) = (Instant::now() + ROLL_CALL, Vec::<PingResponse>::new());
    while let Ok(Some(answer)) = timeout_at(until, answers.next()).await {
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            break;
        }
        if let Ok(ping) = json::read::<PingResponse>(&answer.payload)
            && found.iter().all(|known| known.id != ping.id)
        {
            found.push(ping);
        }
    }
    Ok(found)
}

/// It cannot be asked which processes run.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask which instances of {service} run")]
pub struct PresenceError {
    service: String,
    #[source]
    source: async_nats::Error,
}
