//! `tidings consumers`: manages users' consumers.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use futures_util::StreamExt as _;
use tidings_model::Tenant;
use tidings_runtime::config::{Config, SecretRule};
use tidings_streams::Topology;
use tidings_streams::consumers::{
    ConsumerName, ConsumerReport, ConsumerStore, ConsumerStoreError, StoredConsumer, report,
};

use crate::arguments::{ConsumerCommand, ConsumerSelector, ListOptions};
use crate::failure::Failure;
use crate::output::{Table, announce, print_json, print_pretty_json, rfc3339};
use crate::suggestion::missing;
use crate::{known, serve, stores};

/// Runs `tidings consumers …`.
pub(crate) async fn run(file: Option<&Path>, command: &ConsumerCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let topology = serve::topology(&config, "tidings-consumers").await?;
    let store = stores::consumers(&config, &topology).await?;
    let consumers = Consumers { config: &config, topology: &topology, store: &*store };
    match command {
        ConsumerCommand::Ls(ListOptions { of, json }) => {
            consumers.list(&of.tenant, of.user.as_deref(), *json).await?;
        }
        ConsumerCommand::Show { consumer } => {
            let (name, stored) = consumers.find(consumer).await?;
            print_pretty_json(&report(&topology, &name, &stored).await?)?;
        }
        ConsumerCommand::Reset { consumer, to } => {
            let (name, _) = consumers.find(consumer).await?;
            let home = topology.home(name.tenant()).await?;
            let extent = home.extent().await?;
            let position = extent.position(to)?;
            if store.reset(&name, home.placed(position, &extent)).await?.is_none() {
                return Err(consumers.missing(&name).await);
            }
            announce(&format!("consumer {name} continues after {position} when it connects again"))?;
        }
        ConsumerCommand::Rm { consumer } => {
            let name = consumers.find_removable(consumer).await?;
            if !store.remove(&name).await? {
                return Err(consumers.missing(&name).await);
            }
            announce(&format!("removed consumer {name}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

struct Consumers<'c> {
    config: &'c Config,
    topology: &'c Topology,
    store: &'c dyn ConsumerStore,
}

impl Consumers<'_> {
    async fn tenant(&self, name: &str) -> Result<Tenant, Failure> {
        known::tenant(self.config, &self.topology.client(), name).await
    }

    async fn find(&self, named: &ConsumerSelector) -> Result<(ConsumerName, StoredConsumer), Failure> {
        let tenant = self.tenant(&named.tenant).await?;
        let name = ConsumerName::new(tenant, &named.user, &named.device)?;
        match self.store.load(&name).await? {
            Some(stored) => Ok((name, stored)),
            None => Err(self.missing(&name).await),
        }
    }

    /// Works as [`Self::find`] does, and also finds a consumer that cannot be read.
    async fn find_removable(&self, named: &ConsumerSelector) -> Result<ConsumerName, Failure> {
        match self.find(named).await {
            Ok((name, _)) => Ok(name),
            Err(error) => match error.downcast_ref::<ConsumerStoreError>() {
                Some(ConsumerStoreError::Damaged { .. }) => {
                    let tenant = self.tenant(&named.tenant).await?;
                    Ok(ConsumerName::new(tenant, &named.user, &named.device)?)
                }
                _ => Err(error),
            },
        }
    }

    /// An error that lists the user's other devices, or else suggests a similar user.
    async fn missing(&self, name: &ConsumerName) -> Failure {
        let (tenant, user) = (name.tenant(), name.user());
        let devices: BTreeSet<_> = self.devices(tenant, user).await;
        if devices.is_empty() {
            return self.without_consumers(tenant, user).await;
        }
        let what = format!("user {user:?} of tenant {tenant} has no device {:?}", name.device());
        missing(&what, name.device(), devices.iter().map(String::as_str)).into()
    }

    async fn devices(&self, tenant: &Tenant, user: &str) -> BTreeSet<String> {
        let consumers = self.store.list(tenant, Some(user));
        consumers.filter_map(async |found| Some(found.ok()?.0.device().to_owned())).collect().await
    }

    async fn without_consumers(&self, tenant: &Tenant, user: &str) -> Failure {
        let hint = known::similar_user(self.store, tenant, user).await;
        format!(
            "user {user:?} of tenant {tenant} has no consumers{hint}; `tidings consumers ls --tenant {tenant}` lists the \
             tenant's consumers"
        )
        .into()
    }

    async fn list(&self, tenant: &str, user: Option<&str>, json: bool) -> Result<(), Failure> {
        let tenant = self.tenant(tenant).await?;
        let mut found = self.store.list(&tenant, user);
        let mut table = Table::new(["USER", "DEVICE", "POSITION", "PENDING", "LAST SEEN", "CONNECTED"]);
        let (mut is_empty, mut unreadable) = (true, 0_usize);
        while let Some(consumer) = found.next().await {
            let (name, stored) = match consumer {
                Err(error @ ConsumerStoreError::Damaged { .. }) => {
                    crate::report::report(&error);
                    unreadable += 1;
                    continue;
                }
                consumer => consumer?,
            };
            let report = report(self.topology, &name, &stored).await?;
            if json {
                print_json(&report)?;
            } else {
                table.row(cells(&report))?;
            }
            is_empty = false;
        }
        match user {
            Some(user) if is_empty && unreadable == 0 => {
                return Err(self.without_consumers(&tenant, user).await);
            }
            _ if json => {}
            _ => table.finish("there are no consumers")?,
        }
        if unreadable > 0 {
            return Err(format!("{unreadable} consumers cannot be read and are not in the list").into());
        }
        Ok(())
    }
}

fn cells(report: &ConsumerReport) -> [String; 6] {
    [
        report.user.clone(),
        report.device.clone(),
        report.position.to_string(),
        report.pending.to_string(),
        rfc3339(report.last_seen),
        report.connected.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
