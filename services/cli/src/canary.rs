//! `tidings canary`: for each tenant an event of its own every few seconds, and a client of its own that receives what becomes
//! of it. How long that takes, and for how long nothing has come, are figures.
//!
//! It is a process of its own, which uses nothing but what producers and clients use: so it sees what they see, through every
//! proxy in between, and a gateway or projector that hangs cannot hide it. What it sends is of the class `ephemeral` and for a
//! user of its own, as a message in the tenant's catalog says; no other client receives it, and only those that are connected
//! do.

mod figures;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidings_access::Trust;
use tidings_catalog::Catalog;
use tidings_client::{Client, ClientError, Happening, Settings};
use tidings_metrics::Registry;
use tidings_model::{CloudEvent, EventName, Tenant};
use tidings_runtime::config::{AccessConfig, Config, SecretRule};
use tidings_runtime::shutdown::Shutdown;
use tidings_runtime::telemetry;
use tidings_streams::publish_event;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use self::figures::{CanariesFigures, CanaryFigures};
use crate::arguments::CanaryOptions;
use crate::client::default_url;
use crate::failure::Failure;
use crate::metrics::Serving;
use crate::{catalogs, known, serve, token};

#[cfg(test)]
pub(crate) use self::figures::METRICS;

/// The event.
const EVENT: &str = "canary.sent";
/// The user and device that receive it.
const USER: &str = "tidings-canary";
/// How long a token is valid.
const VALID: Duration = Duration::from_secs(600);
/// How long NATS may take to store an event.
const PATIENCE: Duration = Duration::from_secs(5);
/// Events that are waited for; of the oldest of more, nothing is learned any more.
const MOST_UNDERWAY: usize = 64;

/// Runs until a signal.
pub(crate) async fn run(file: Option<&Path>, options: &CanaryOptions) -> Result<ExitCode, Failure> {
    if options.interval < Duration::from_millis(10) {
        return Err(format!("--interval {:?} is too short, expected at least 10ms", options.interval).into());
    }
    let config = serve::configuration(file, SecretRule::Optional)?;
    let tenants = options.tenant.iter().map(|name| served(&config, name));
    let tenants = tenants.collect::<Result<Vec<_>, Failure>>()?;
    let (shutdown, registry) = (Shutdown::new(), Registry::default());
    let telemetry = telemetry::start(&config.telemetry, "tidings-canary", &registry)?;
    let _metrics = Serving::start(&config.telemetry, &registry)?;
    let nats = serve::connect_counted(&config, "tidings-canary", &registry).await?;
    let all = Arc::new(CanariesFigures::default());
    registry.register(&all);
    let url = options.url.clone().unwrap_or_else(|| default_url(&config.gateway));
    let canary = |tenant: Tenant| {
        Ok(Canary {
            figures: all.of(&tenant),
            event: event().ok_or("the event has no name")?,
            nats: nats.clone(),
            access: Arc::new(config.access.clone()),
            url: url.clone(),
            ca: options.ca.clone(),
            token_file: options.token_file.clone(),
            interval: options.interval,
            underway: BTreeMap::new(),
            tenant,
        })
    };
    let canaries = tenants.into_iter().map(canary).collect::<Result<Vec<_>, Failure>>()?;
    for canary in &canaries {
        // What is wrong with the URL or the certificates is said at once.
        Client::new(canary.settings()?)?;
    }
    let stopped = shutdown.token();
    shutdown.spawn("canary", async move { stopped.cancelled().await });
    tracing::info!(url, "canary runs");
    // Clients stay in this task: they need not be able to move between threads.
    let running = futures_util::future::join_all(canaries.into_iter().map(Canary::run));
    tokio::select! {
        ended = serve::until_ended(shutdown, Duration::ZERO, telemetry) => ended,
        _ = running => Ok(ExitCode::FAILURE),
    }
}

/// The tenant of this name. Its catalog must have a message for the event, as far as there are catalogs here.
fn served(config: &Config, name: &str) -> Result<Tenant, Failure> {
    let tenant = known::served_tenant(config, name)?;
    let files = catalogs::read_texts(&config.schemas).ok().and_then(|mut texts| texts.remove(&tenant));
    if let Some(catalog) = files.and_then(|files| Catalog::parse(&tenant, &files).ok())
        && !has_canary(&catalog)
    {
        return Err(format!(
            "the catalog of tenant {tenant} has no message for the event {EVENT}; deploy/doctor.md has one to copy"
        )
        .into());
    }
    Ok(tenant)
}

/// Whether a catalog has a message for the event.
pub(crate) fn has_canary(catalog: &Catalog) -> bool {
    let mut events = catalog.messages().iter().flat_map(tidings_catalog::MessageType::events);
    events.any(|event| event.to_string() == EVENT)
}

/// Publishes one event for a user, under this id.
pub(crate) async fn send(
    nats: &tidings_streams::Client,
    tenant: &Tenant,
    event: &EventName,
    (id, user): (&str, &str),
) -> Result<(), Failure> {
    let time = OffsetDateTime::now_utc().format(&Rfc3339)?;
    let data = json!({ "id": id, "user": user });
    let cloud_event =
        CloudEvent { id, source: USER, name: event, time: &time, subject: None, deliver_at: None, data };
    let subject = event.subject(tenant);
    let message_id = format!("{subject}/{id}");
    let storing = publish_event(nats, &subject, &message_id, cloud_event.into_json().into());
    timeout(PATIENCE, storing).await??;
    Ok(())
}

/// The event of canaries.
pub(crate) fn event() -> Option<EventName> {
    EventName::parse(EVENT)
}

/// The canary of one tenant.
struct Canary {
    tenant: Tenant,
    event: EventName,
    nats: tidings_streams::Client,
    access: Arc<AccessConfig>,
    url: String,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    interval: Duration,
    /// When each event was sent that has not come yet. Ids ascend.
    underway: BTreeMap<String, Instant>,
    figures: Arc<CanaryFigures>,
}

impl Canary {
    /// Never returns: a client that the gateway refuses for good is followed by another one, as the reason may pass.
    async fn run(mut self) {
        loop {
            let ended = self.live().await;
            let reason = ended.map_or_else(|error| error.to_string(), |()| "it has ended".to_owned());
            tracing::warn!(tenant = %self.tenant, "the canary's client ends; another one follows: {reason}");
            tokio::time::sleep(self.interval).await;
        }
    }

    /// Sends and receives until the client ends.
    async fn live(&mut self) -> Result<(), Failure> {
        let mut client = Client::new(self.settings()?)?;
        let mut ticks = interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.publish(),
                happening = client.next() => self.take(happening)?,
            }
        }
    }

    fn settings(&self) -> Result<Settings, Failure> {
        let (access, tenant, file) = (Arc::clone(&self.access), self.tenant.clone(), self.token_file.clone());
        let tokens = move || {
            let made = fresh_token(&access, &tenant, file.as_deref()).map(Some);
            async move { made }
        };
        let settings = Settings::with_tokens(&self.url, tokens).device(USER);
        if !self.url.starts_with("wss://") {
            return Ok(settings);
        }
        let trust = self.ca.as_deref().map_or(Trust::System, Trust::File);
        Ok(settings.tls(trust.client_config()?.into()))
    }

    /// Sends an event. Its storing is not waited for, which would hold back what comes meanwhile.
    fn publish(&mut self) {
        let id = Uuid::now_v7().to_string();
        self.underway.insert(id.clone(), Instant::now());
        while self.underway.len() > MOST_UNDERWAY {
            self.underway.pop_first();
        }
        let (nats, tenant, event) = (self.nats.clone(), self.tenant.clone(), self.event.clone());
        let figures = Arc::clone(&self.figures);
        // Bounded by its patience.
        tokio::spawn(async move {
            let sent = send(&nats, &tenant, &event, (&id, USER)).await;
            figures.sent(sent.is_ok());
            if let Err(error) = sent {
                tracing::warn!(%tenant, error, "the canary's event is not stored");
            }
        });
    }

    fn take(&mut self, happening: Result<Happening, ClientError>) -> Result<(), ClientError> {
        match happening? {
            Happening::Message(message) => {
                let body = tidings_model::json::parse(message.body.as_bytes()).unwrap_or_default();
                let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
                if let Some(sent) = self.underway.remove(id) {
                    self.figures.came(sent.elapsed());
                }
            }
            Happening::Waiting { what, .. } => {
                tracing::warn!(tenant = %self.tenant, "the canary has no connection: {what}");
            }
            _ => {}
        }
        Ok(())
    }
}

/// The token in the file, or one that is signed now.
fn fresh_token(access: &AccessConfig, tenant: &Tenant, file: Option<&Path>) -> Result<String, Failure> {
    if let Some(file) = file {
        let read = std::fs::read_to_string(file);
        return Ok(read
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?
            .trim()
            .to_owned());
    }
    let claims = Map::from_iter([("sub".to_owned(), Value::from(USER))]);
    Ok(token::sign(access, tenant, claims, VALID)?.expose().to_owned())
}
