//! `tidings publish`: an event, as a structured `CloudEvent`.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value};
use tidings_model::{EventName, Tenant, json};
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
    let sequence = publish_event(&client, &name.subject(&tenant), &id, event.into()).await?;
    writeln!(std::io::stdout(), "{name} {id} is event {sequence}")?;
    Ok(ExitCode::SUCCESS)
}

fn cloud_event(name: &EventName, id: &str, options: &PublishOptions) -> Result<Vec<u8>, Failure> {
    let time = match &options.time {
        Some(time) if OffsetDateTime::parse(time, &Rfc3339).is_ok() => time.clone(),
        Some(time) => {
            return Err(format!("--time {time:?} is not RFC 3339, such as 2025-01-17T10:30:00Z").into());
        }
        None => OffsetDateTime::now_utc().format(&Rfc3339)?,
    };
    let mut event = Map::new();
    let mut put = |member: &str, text: &str| event.insert(member.to_owned(), Value::from(text));
    put("specversion", "1.0");
    put("id", id);
    put("source", &options.source);
    put("type", &name.to_string());
    put("time", &time);
    if let Some(subject) = &options.subject {
        put("subject", subject);
    }
    put("datacontenttype", "application/json");
    event.insert("data".to_owned(), data(&options.data)?);
    Ok(serde_json::to_vec(&event)?)
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
