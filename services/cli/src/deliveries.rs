//! `tidings deliveries`: what the dispatcher has sent and skipped, and what waits; makes it send again.

use std::path::Path;
use std::process::ExitCode;

use futures_util::TryStreamExt as _;
use tidings_model::Tenant;
use tidings_runtime::config::SecretRule;
use tidings_streams::deliveries::{
    Deliveries, DeliveryError, PendingDelivery, RetryDeliveryError, StoredFact,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arguments::{DeliveriesCommand, DeliveriesSelection, ListOptions};
use crate::failure::Failure;
use crate::output::{Table, announce, print_json};
use crate::{known, serve};

/// Lists, shows or retries.
pub(crate) async fn run(file: Option<&Path>, command: &DeliveriesCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let topology = serve::topology(&config, "tidings-deliveries").await?;
    let tenant = match command {
        DeliveriesCommand::Ls(ListOptions { of, .. }) | DeliveriesCommand::Show { of, .. } => &of.tenant,
        DeliveriesCommand::Retry(selection) => &selection.tenant,
    };
    let tenant = known::tenant(&config, &topology.client(), tenant).await?;
    // There is nothing, if no dispatcher has ever run.
    let deliveries = Deliveries::find(&topology).await?;
    let mut found = Found { facts: Vec::new(), waiting: Vec::new() };
    match command {
        DeliveriesCommand::Ls(ListOptions { of, json }) => {
            if let Some(deliveries) = &deliveries {
                found.facts = deliveries.newest_facts(&tenant, of.user.as_deref()).try_collect().await?;
                found.waiting = deliveries.waiting(&tenant, of.user.as_deref()).try_collect().await?;
            }
            found.print(*json)?;
        }
        DeliveriesCommand::Show { of, event } => {
            if let Some(deliveries) = &deliveries {
                found.facts = deliveries.facts(&tenant, of.user.as_deref()).try_collect().await?;
                found.waiting = deliveries.waiting(&tenant, of.user.as_deref()).try_collect().await?;
            }
            let found = found.of_event(event);
            if found.facts.is_empty() && found.waiting.is_empty() {
                return Err(format!("there is no delivery of event {event:?} of tenant {tenant}").into());
            }
            found.print(true)?;
        }
        DeliveriesCommand::Retry(selection) => retry(deliveries.as_ref(), &tenant, selection).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn retry(
    deliveries: Option<&Deliveries>,
    tenant: &Tenant,
    selection: &DeliveriesSelection,
) -> Result<(), Failure> {
    let (mut found, mut retried) = (false, 0);
    if let Some(deliveries) = deliveries {
        let listed = deliveries.newest_facts(tenant, selection.user.as_deref());
        let listed: Vec<_> =
            listed.try_filter(|stored| std::future::ready(selection.passes(stored))).try_collect().await?;
        found = !listed.is_empty();
        for StoredFact { name, fact, .. } in listed {
            let what =
                format!("{} by {} to {:?}, event {:?}", fact.delivery, fact.channel, name.user, fact.event);
            match deliveries.retry(&name).await {
                Ok(_) => announce(&format!("{what}, is due again"))?,
                // Somebody else retries it, the dispatcher is about to decide, or the user was purged.
                Err(
                    error @ (RetryDeliveryError::Status(_)
                    | RetryDeliveryError::NotFound
                    | RetryDeliveryError::NotKept
                    | RetryDeliveryError::Deliveries(DeliveryError::Contended)),
                ) => {
                    announce(&format!("{what}, is left: {error}"))?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            retried += 1;
        }
    }
    if !found {
        let status = &selection.status;
        return Err(format!(
            "no such delivery of tenant {tenant} is `{status}`; `tidings deliveries ls --tenant {tenant}` says what became of each"
        )
        .into());
    }
    announce(&format!("retried deliveries: {retried}; `tidings deliveries ls` says what becomes of them"))
}

impl DeliveriesSelection {
    fn passes(&self, StoredFact { fact, .. }: &StoredFact) -> bool {
        fact.status.as_str() == self.status
            && self.event.as_ref().is_none_or(|event| *event == fact.event)
            && self.delivery.as_ref().is_none_or(|delivery| *delivery == fact.delivery)
    }
}

/// Facts, and what waits.
struct Found {
    facts: Vec<StoredFact>,
    waiting: Vec<PendingDelivery>,
}

impl Found {
    fn of_event(mut self, event: &str) -> Self {
        self.facts.retain(|stored| stored.fact.event == event);
        self.waiting.retain(|waiting| waiting.event == event);
        self
    }

    fn print(self, json: bool) -> Result<(), Failure> {
        if json {
            self.facts.iter().try_for_each(print_json)?;
            return self.waiting.iter().try_for_each(print_json);
        }
        let headings = ["TIME", "USER", "EVENT", "MESSAGE", "CHANNEL", "STATUS", "ATTEMPTS", "WHY"];
        let mut table = Table::new(headings);
        for StoredFact { user, at, fact, .. } in self.facts {
            let (status, attempts) = (fact.status.as_str().to_owned(), fact.attempts.to_string());
            let why = fact.reason.unwrap_or_default();
            table.row([seconds(at)?, user, fact.event, fact.message, fact.channel, status, attempts, why])?;
        }
        for waiting in self.waiting {
            let PendingDelivery { user, due, event, message, channel, attempts, status, .. } = waiting;
            let why = format!("due at {}", seconds(due)?);
            let (status, attempts) = (status.to_owned(), attempts.to_string());
            table.row(["-".to_owned(), user, event, message, channel, status, attempts, why])?;
        }
        table.finish("there are no deliveries")
    }
}

fn seconds(time: OffsetDateTime) -> Result<String, Failure> {
    Ok(time.replace_nanosecond(0)?.format(&Rfc3339)?)
}
