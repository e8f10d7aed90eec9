//! `tidings deliveries`: what the dispatcher has sent and skipped, and what waits.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use futures_util::TryStreamExt as _;
use tidings_model::Tenant;
use tidings_runtime::config::SecretRule;
use tidings_streams::deliveries::{Deliveries, PendingDelivery, StoredFact};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arguments::{DeliveriesCommand, ListOptions};
use crate::failure::Failure;
use crate::output::{Table, print_json};
use crate::{known, serve};

/// Lists or shows.
pub(crate) async fn run(file: Option<&Path>, command: &DeliveriesCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let topology = serve::topology(&config, "tidings-deliveries").await?;
    let (DeliveriesCommand::Ls(ListOptions { of, .. }) | DeliveriesCommand::Show { of, .. }) = command;
    let tenant = known::tenant(&config, &topology.client(), &of.tenant).await?;
    let found = Found::read(Deliveries::find(&topology).await?, &tenant, of.user.as_deref()).await?;
    match command {
        DeliveriesCommand::Ls(options) => found.newest().print(options.json)?,
        DeliveriesCommand::Show { event, .. } => {
            let found = found.of_event(event);
            if found.facts.is_empty() && found.waiting.is_empty() {
                return Err(format!("there is no delivery of event {event:?} of tenant {tenant}").into());
            }
            found.print(true)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Facts, and what waits.
struct Found {
    facts: Vec<StoredFact>,
    waiting: Vec<PendingDelivery>,
}

impl Found {
    /// Nothing, if no dispatcher has ever run.
    async fn read(
        deliveries: Option<Deliveries>,
        tenant: &Tenant,
        user: Option<&str>,
    ) -> Result<Self, Failure> {
        let Some(deliveries) = deliveries else { return Ok(Self { facts: Vec::new(), waiting: Vec::new() }) };
        let facts = deliveries.facts(tenant, user).try_collect().await?;
        Ok(Self { facts, waiting: deliveries.waiting(tenant, user).try_collect().await? })
    }

    /// Of each delivery only the newest fact, in the order of these.
    fn newest(self) -> Self {
        let numbered = self.facts.iter().enumerate();
        let last: HashMap<_, _> =
            numbered.map(|(number, stored)| (stored.fact.delivery.clone(), number)).collect();
        let is_last =
            |(number, stored): &(usize, StoredFact)| last.get(&stored.fact.delivery) == Some(number);
        let facts = self.facts.into_iter().enumerate().filter(is_last);
        Self { facts: facts.map(|(_, stored)| stored).collect(), waiting: self.waiting }
    }

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
        for StoredFact { user, at, fact } in self.facts {
            let (status, attempts) = (fact.status.as_str().to_owned(), fact.attempts.to_string());
            let why = fact.reason.unwrap_or_default();
            table.row([seconds(at)?, user, fact.event, fact.message, fact.channel, status, attempts, why])?;
        }
        for waiting in self.waiting {
            let PendingDelivery { user, due, event, message, channel, attempts } = waiting;
            let why = format!("due at {}", seconds(due)?);
            let (status, attempts) = ("waiting".to_owned(), attempts.to_string());
            table.row(["-".to_owned(), user, event, message, channel, status, attempts, why])?;
        }
        table.finish("there are no deliveries")
    }
}

fn seconds(time: OffsetDateTime) -> Result<String, Failure> {
    Ok(time.replace_nanosecond(0)?.format(&Rfc3339)?)
}
