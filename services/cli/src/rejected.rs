//! `tidings rejected`: manages events that could not be projected.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tidings_model::{Position, Tenant};
use tidings_runtime::config::{Config, SecretRule};
use tidings_streams::{RejectedEvent, Rejections, Topology};
use time::format_description::well_known::Rfc3339;

use crate::arguments::{RejectedCommand, RejectedFilter, RejectedSelection};
use crate::failure::Failure;
use crate::output::{Table, announce, counted, print_json, print_pretty_json};
use crate::suggestion::missing;
use crate::{known, serve};

/// Lists, shows, retries or drops.
pub(crate) async fn run(file: Option<&Path>, command: &RejectedCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let topology = serve::topology(&config, "tidings-rejected").await?;
    let rejected = Rejected { config: &config, rejections: Rejections::new(&topology), topology };
    match command {
        RejectedCommand::Ls { tenant, filter, json } => {
            rejected.list(tenant.as_deref(), filter, *json).await?;
        }
        RejectedCommand::Show { tenant, position } => {
            let found = rejected.find(tenant.as_deref(), position).await?;
            print_pretty_json(&found.whole()?)?;
        }
        RejectedCommand::Retry(selection) => rejected.retry(selection).await?,
        RejectedCommand::Drop(selection) => rejected.discard(selection).await?,
    }
    Ok(ExitCode::SUCCESS)
}

struct Rejected<'c> {
    config: &'c Config,
    topology: Topology,
    rejections: Rejections,
}

impl Rejected<'_> {
    async fn list(&self, tenant: Option<&str>, filter: &RejectedFilter, json: bool) -> Result<(), Failure> {
        let mut found = self.matching(tenant, filter).await?;
        let mut table = Table::new(["POSITION", "TENANT", "EVENT", "REASON", "ATTEMPTS", "LAST SEEN", "WHY"]);
        while let Some(rejected) = found.try_next().await? {
            if json {
                print_json(&rejected)?;
            } else {
                table.row(cells(&rejected)?)?;
            }
        }
        if json { Ok(()) } else { table.finish("there are no rejected events") }
    }

    async fn retry(&self, selection: &RejectedSelection) -> Result<(), Failure> {
        let mut retried = 0_u64;
        for position in self.selected(selection).await? {
            // Another process may have retried or dropped it since it was listed.
            let Some(rejected) = self.rejections.find(position).await? else { continue };
            let sequence = self.rejections.retry(&rejected).await?;
            announce(&format!("{position} {} is event {sequence}", rejected.event()))?;
            retried += 1;
        }
        let retried = counted(retried, "event");
        announce(&format!("retried {retried}; what is rejected again shows in `tidings rejected ls`"))
    }

    async fn discard(&self, selection: &RejectedSelection) -> Result<(), Failure> {
        let mut dropped = 0_u64;
        for position in self.selected(selection).await? {
            let Some(rejected) = self.rejections.find(position).await? else { continue };
            dropped += u64::from(self.rejections.drop(&rejected).await?);
        }
        announce(&format!("dropped {}", counted(dropped, "event")))
    }

    /// The selected positions; positions given by name must exist.
    async fn selected(&self, selection: &RejectedSelection) -> Result<Vec<Position>, Failure> {
        let tenant = selection.tenant.as_deref();
        if selection.positions.is_empty() {
            let matching = self.matching(tenant, &selection.filter).await?;
            return matching.map_ok(|rejected| rejected.position).try_collect().await;
        }
        let mut positions = Vec::new();
        for position in &selection.positions {
            positions.push(self.find(tenant, position).await?.position);
        }
        Ok(positions)
    }

    async fn find(&self, tenant: Option<&str>, position: &str) -> Result<RejectedEvent, Failure> {
        let position: Position = position.parse()?;
        let found = self.rejections.find(position).await?;
        let found = found.filter(|found| tenant.is_none_or(|tenant| tenant == tenant_of(found)));
        found.ok_or_else(|| {
            let of = tenant.map(|tenant| format!(" of tenant {tenant:?}")).unwrap_or_default();
            format!(
                "there is no rejected event {position}{of}; `tidings rejected ls` lists the rejected events"
            )
            .into()
        })
    }

    /// The events that match; a given name must exist somewhere.
    async fn matching<'f>(
        &self,
        tenant: Option<&'f str>,
        filter: &'f RejectedFilter,
    ) -> Result<BoxStream<'f, Result<RejectedEvent, Failure>>, Failure> {
        self.check_names(tenant, filter).await?;
        let listed = match tenant.map(Tenant::parse) {
            Some(Ok(tenant)) => self.rejections.list(&tenant),
            // The tenant part of a subject may not be a valid tenant name.
            Some(Err(_)) | None => self.rejections.list_all(),
        };
        let passes = move |rejected: &RejectedEvent| {
            tenant.is_none_or(|tenant| tenant == tenant_of(rejected)) && filter.passes(rejected)
        };
        let matching = listed.map_err(Failure::from);
        Ok(matching.try_filter(move |rejected| std::future::ready(passes(rejected))).boxed())
    }

    /// Refuses a misspelled name: a tenant or event that is neither in a catalog nor among the rejected ones.
    async fn check_names(&self, tenant: Option<&str>, filter: &RejectedFilter) -> Result<(), Failure> {
        let known = match tenant {
            Some(name) => known::tenant(self.config, &self.topology.client(), name).await.map(Some),
            None => Ok(None),
        };
        let (mut has_tenant, mut names) = (known.is_ok(), BTreeSet::new());
        let mut listed = self.rejections.list_all();
        let is_searched = |has_tenant: bool| !has_tenant || filter.event.is_some();
        while let Some(rejected) = if is_searched(has_tenant) { listed.try_next().await? } else { None } {
            let is_of_tenant = tenant.is_none_or(|tenant| tenant == tenant_of(&rejected));
            has_tenant |= tenant.is_some() && is_of_tenant;
            if is_of_tenant {
                names.insert(rejected.event().to_owned());
            }
        }
        if !has_tenant {
            known?;
        }
        match &filter.event {
            Some(event) if !names.contains(event) => {
                let what = format!("no event {event:?} was rejected");
                Err(missing(&what, event, names.iter().map(String::as_str)).into())
            }
            _ => Ok(()),
        }
    }
}

fn cells(rejected: &RejectedEvent) -> Result<[String; 7], Failure> {
    let seen = rejected.last_seen.replace_nanosecond(0)?.format(&Rfc3339)?;
    Ok([
        rejected.position.to_string(),
        tenant_of(rejected).to_owned(),
        rejected.event().to_owned(),
        rejected.reason.clone(),
        rejected.tries.to_string(),
        seen,
        rejected.text.clone(),
    ])
}

/// The tenant, or the subject's part in its place.
fn tenant_of(rejected: &RejectedEvent) -> &str {
    rejected.subject.split('.').nth(1).unwrap_or_default()
}

impl RejectedFilter {
    fn passes(&self, rejected: &RejectedEvent) -> bool {
        self.reason.as_ref().is_none_or(|reason| *reason == rejected.reason)
            && self.event.as_ref().is_none_or(|name| name == rejected.event())
    }
}
