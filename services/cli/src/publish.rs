//! `tidings publish`: an event, as a structured `CloudEvent`.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;
use tidings_model::{CloudEvent, EventName, Tenant, json};
use tidings_runtime::config::SecretRule;
use tidings_streams::{connect, publish_event};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::arguments::PublishOptions;
use crate::failure::Failure;
use crate::serve;

/// Publishes and prints the event's id and its sequence.
pub(crate) async fn run(file: Option<&Path>, options: &PublishOptions) -> Result<ExitCode, Failure> {
    let tenant = Tenant::parse(&options.tenant)?;
    let name = EventName::parse(&options.event).ok_or_else(|| {
        format!("event {:?} is not of the form entity.action, such as incident.created", options.event)
    })?;
    let id = options.id.clone().unwrap_or_else(|| Uuid::now_v7().to_string());
    let event = cloud_event(&name, &id, options)?;
    let config = serve::configuration(file, SecretRule::Optional)?;
    let client = connect(&serve::connection(&config, "tidings-publish")).await?;
    let subject = name.subject(&tenant);
    let sequence = publish_event(&client, &subject, &format!("{subject}/{id}"), event.into()).await?;
    writeln!(std::io::stdout(), "{name} {id} is event {sequence}")?;
    Ok(ExitCode::SUCCESS)
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
    Ok(CloudEvent { id, source: &options.source, name, time: &time, subject, data }.into_json())
}

fn data(given: &str) -> Result<Value, Failure> {
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
