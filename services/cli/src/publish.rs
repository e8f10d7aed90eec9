//! `tidings publish`: publishes an event as a structured `CloudEvent`, and prints its result.
//!
//! The projector's decision is what counts. The check before publishing only keeps an event out of the stream that
//! would certainly be rejected.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use tidings_catalog::{Catalog, Catalogs, MessageType, project};
use tidings_model::{CloudEvent, Epoch, EventName, Position, RawEvent, Tenant, headers, json};
use tidings_runtime::config::{Config, SecretRule};
use tidings_streams::{
    Rejections, Topology, connect, end_of_events, projected_through, publish_event, running_catalog,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;
use uuid::Uuid;

use crate::arguments::PublishOptions;
use crate::failure::Failure;
use crate::output::announce;
use crate::suggestion::missing;
use crate::{catalogs, known, serve, stores};

/// How long the projector may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the projector's result is checked.
const LOOK: Duration = Duration::from_millis(50);

/// Publishes, and prints the event's id and sequence when the projector has projected it.
pub(crate) async fn run(file: Option<&Path>, options: &PublishOptions) -> Result<ExitCode, Failure> {
    Tenant::parse(&options.tenant)?;
    let name = EventName::parse(&options.event).ok_or_else(|| {
        format!("event {:?} is not of the form entity.action, such as incident.created", options.event)
    })?;
    let id = options.id.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let event = cloud_event(&name, &id, options)?;
    let config = serve::configuration(file, SecretRule::Optional)?;
    let client = connect(&serve::connection(&config, "tidings-publish")).await?;
    let (tenant, topology) = if options.no_wait {
        (Tenant::parse(&options.tenant)?, None)
    } else {
        let tenant = known::tenant(&config, &client, &options.tenant).await?;
        (tenant, Some(Topology::ensure(&client, &stores::stream_settings(&config)).await?))
    };
    let subject = name.subject(&tenant);
    if let Some(topology) = topology.as_ref().filter(|_| !options.unchecked) {
        check(&config, topology, &tenant, &name, &event).await?;
    }
    let sequence = publish_event(&client, &subject, &format!("{subject}/{id}"), event.into()).await?;
    let stored = format!("{name} {id} is event {sequence}");
    if let Some(topology) = &topology {
        wait(&config, topology, &tenant, sequence, &stored).await?;
    }
    announce(&stored)?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses an event that the projector would reject by the catalog that it runs with, if that is known.
pub(crate) async fn check(
    config: &Config,
    topology: &Topology,
    tenant: &Tenant,
    name: &EventName,
    event: &str,
) -> Result<(), Failure> {
    let files = match running_catalog(topology, tenant).await? {
        Some(files) => Some(files),
        None => catalogs::read_texts(&config.schemas).ok().and_then(|mut texts| texts.remove(tenant)),
    };
    // A projector of another version may run with a catalog that this version cannot parse.
    let Some(catalog) = files.and_then(|files| Catalog::parse(tenant, &files).ok()) else { return Ok(()) };
    let events: Vec<_> =
        catalog.messages().iter().flat_map(MessageType::events).map(ToString::to_string).collect();
    if !events.contains(&name.to_string()) {
        let what = format!("there is no event \"{name}\" of tenant {tenant}");
        return Err(missing(&what, &name.to_string(), events.iter().map(String::as_str)).into());
    }
    let raw = RawEvent {
        subject: name.subject(tenant),
        headers: vec![(headers::CONTENT_TYPE.to_owned(), CloudEvent::CONTENT_TYPE.to_owned())],
        payload: event.to_owned().into(),
        position: Position { epoch: Epoch(0), sequence: 0 },
        stored_at: OffsetDateTime::now_utc(),
    };
    let projected =
        project(&Catalogs::from_iter([(tenant.clone(), catalog)]), &raw, config.projector.max_event_bytes);
    projected.map(drop).map_err(|rejection| {
        let place = place(rejection.pointer.as_deref());
        format!("not published, since the projector would reject it: {rejection}{place}; --unchecked publishes it all the same")
            .into()
    })
}

/// Waits until the projector has projected the event; fails if it rejects it.
async fn wait(
    config: &Config,
    topology: &Topology,
    tenant: &Tenant,
    sequence: u64,
    stored: &str,
) -> Result<(), Failure> {
    let rejections = Rejections::new(topology);
    let position = Position { sequence, ..end_of_events(topology).await? };
    let home = topology.home(tenant).await?;
    let consumer = home.topology.shard().name(&config.projector.consumer);
    let deadline = Instant::now() + PATIENCE;
    loop {
        // In this order: a rejected event is stored before the projector acknowledges it.
        let is_done =
            projected_through(&home.topology, &consumer).await?.is_some_and(|done| done >= sequence);
        if let Some(rejected) = rejections.find(position).await? {
            let place = place(rejected.pointer.as_deref());
            return Err(format!(
                "{stored}, and the projector rejected it: {}: {}{place}; `tidings rejected show {position}` shows it",
                rejected.reason, rejected.text
            )
            .into());
        }
        if is_done {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(format!(
                "{stored}, and no projector has handled it within {PATIENCE:?}; it stays stored, and is projected when one \
                 runs (--no-wait does not wait for that)"
            )
            .into());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn place(pointer: Option<&str>) -> String {
    pointer.map(|pointer| format!(" (at {pointer})")).unwrap_or_default()
}

fn cloud_event(name: &EventName, id: &str, options: &PublishOptions) -> Result<String, Failure> {
    let time = match &options.time {
        Some(time) if OffsetDateTime::parse(time, &Rfc3339).is_ok() => time.clone(),
        Some(time) => {
            return Err(format!("--time {time:?} is not RFC 3339, such as 2025-01-17T10:30:00Z").into());
        }
        None => OffsetDateTime::now_utc().format(&Rfc3339)?,
    };
    let subject = options.subject.as_deref();
    let data = data(&options.data)?;
    let deliver_at = delivery(options)?;
    let deliver_at = deliver_at.as_deref();
    Ok(CloudEvent { id, source: &options.source, name, time: &time, subject, deliver_at, data }.into_json())
}

/// When the event is to be delivered; the projector checks a time that is given.
fn delivery(options: &PublishOptions) -> Result<Option<String>, Failure> {
    let Some(delay) = options.delay else { return Ok(options.at.clone()) };
    let due = OffsetDateTime::now_utc().checked_add(delay.try_into()?);
    let due = due.ok_or("--delay is too long: an event is delivered at most 366 days later")?;
    Ok(Some(due.format(&Rfc3339)?))
}

/// Reads `--data`: JSON, `@FILE`, or `-` for standard input.
pub(crate) fn data(given: &str) -> Result<Value, Failure> {
    let text = if given == "-" {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text)?;
        text
    } else if let Some(path) = given.strip_prefix('@') {
        std::fs::read(path).map_err(|error| format!("cannot read --data @{path}: {error}"))?
    } else {
        given.as_bytes().to_vec()
    };
    json::parse(&text).map_err(|error| format!("--data is not JSON: {error}").into())
}
