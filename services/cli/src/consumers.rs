//! `tidings consumers`: the lasting places of users, by hand.

use std::path::Path;
use std::process::ExitCode;

use futures_util::StreamExt as _;
use serde_json::Value;
use tidings_model::Tenant;
use tidings_runtime::config::SecretRule;
use tidings_streams::Topology;
use tidings_streams::consumers::{ConsumerName, ConsumerReport, ConsumerStore, report};

use crate::arguments::{ConsumerCommand, ConsumerSelector};
use crate::failure::Failure;
use crate::output::{print, rfc3339};
use crate::serve;

/// `tidings consumers …`.
pub(crate) async fn run(file: Option<&Path>, command: &ConsumerCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let topology = serve::topology(&config, "tidings-consumers").await?;
    let store = serve::consumers(&config, &topology).await?;
    match command {
        ConsumerCommand::Ls { tenant, user, json } => {
            list(&topology, &*store, &Tenant::parse(tenant)?, user.as_deref(), *json).await
        }
        ConsumerCommand::Show { consumer } => show(&topology, &*store, &name(consumer)?).await,
        ConsumerCommand::Reset { consumer, to } => {
            let name = name(consumer)?;
            let home = topology.home(name.tenant()).await?;
            let position = home.extent().await?.position(to)?;
            let reset = store.reset(&name, position).await?;
            reset.ok_or_else(|| missing(&name))?;
            print(&format!("consumer {name} goes on after {position} when it connects again"))
        }
        ConsumerCommand::Rm { consumer } => {
            let name = name(consumer)?;
            if !store.remove(&name).await? {
                return Err(missing(&name));
            }
            print(&format!("consumer {name} is removed"))
        }
    }
}

fn name(consumer: &ConsumerSelector) -> Result<ConsumerName, Failure> {
    let tenant = Tenant::parse(&consumer.tenant)?;
    Ok(ConsumerName::new(tenant, &consumer.user, &consumer.device)?)
}

fn missing(name: &ConsumerName) -> Failure {
    format!("there is no consumer {name}; `tidings consumers ls` shows those that there are").into()
}

async fn list(
    topology: &Topology,
    store: &dyn ConsumerStore,
    tenant: &Tenant,
    user: Option<&str>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let mut found = store.list(tenant, user);
    let mut lines = 0_usize;
    while let Some(consumer) = found.next().await {
        let (name, stored) = consumer?;
        let report = report(topology, &name, &stored).await?;
        if json {
            print(&serde_json::to_string(&report)?)?;
        } else {
            if lines == 0 {
                print(HEADING)?;
            }
            print(&line(&report))?;
        }
        lines += 1;
    }
    if lines == 0 && !json {
        print("there are no consumers")?;
    }
    Ok(ExitCode::SUCCESS)
}

const HEADING: &str = "USER                     DEVICE           POSITION                  PENDING  LAST SEEN             CONNECTED";

fn line(report: &ConsumerReport) -> String {
    let seen = rfc3339(report.last_seen);
    format!(
        "{:<24} {:<16} {:<24} {:>8}  {:<21} {}",
        report.user,
        report.device,
        report.position.to_string(),
        report.pending,
        seen,
        report.connected.as_deref().unwrap_or("-")
    )
}

async fn show(
    topology: &Topology,
    store: &dyn ConsumerStore,
    name: &ConsumerName,
) -> Result<ExitCode, Failure> {
    let stored = store.load(name).await?.ok_or_else(|| missing(name))?;
    let report: Value = serde_json::to_value(report(topology, name, &stored).await?)?;
    print(&serde_json::to_string_pretty(&report)?)
}
