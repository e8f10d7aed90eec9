//! `tidings connections`: lists and closes connections, through all gateways.

use std::path::Path;
use std::process::ExitCode;

use futures_util::StreamExt as _;
use tidings_model::Tenant;
use tidings_runtime::config::{Config, SecretRule};
use tidings_streams::connections::{ConnectionList, ConnectionReport, Operation, Search, ask, ask_about};
use tidings_streams::{Client, connect};

use crate::arguments::{ConnectionCommand, ListOptions, Scope};
use crate::failure::Failure;
use crate::output::{Table, announce, print, print_json, rfc3339};
use crate::report::report;
use crate::users::operator;
use crate::{known, serve, stores};

/// Runs `tidings connections …`. Fails if a gateway does not answer, after the others have been asked.
pub(crate) async fn run(file: Option<&Path>, command: &ConnectionCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let client = connect(&serve::connection(&config, "tidings-connections")).await?;
    match command {
        ConnectionCommand::Ls(ListOptions { of: Scope { tenant, user }, json }) => {
            let tenant = known::tenant(&config, &client, tenant).await?;
            let search = Search { user: user.clone(), by: operator(), ..Search::default() };
            let found = list(ask(&client, Operation::List, &tenant, search), *json).await?;
            if let (Outcome::None, Some(user)) = (found, user) {
                check_user(&config, &tenant, user).await?;
            }
            if matches!(found, Outcome::None) && !json {
                print("there are no connections")?;
            }
            Ok(found.into())
        }
        ConnectionCommand::Close { tenant, user, id } => {
            let tenant = known::tenant(&config, &client, tenant).await?;
            close(&client, &tenant, user.as_deref(), id.as_deref()).await
        }
    }
}

/// The outcome of a request to all gateways.
#[derive(Clone, Copy)]
enum Outcome {
    Some,
    None,
    /// A gateway did not answer, so there may be more connections.
    Incomplete,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        if matches!(outcome, Outcome::Incomplete) { Self::FAILURE } else { Self::SUCCESS }
    }
}

async fn list(answers: ConnectionList, json: bool) -> Result<Outcome, Failure> {
    let mut table = Table::new([
        "CONNECTION",
        "USER",
        "DEVICE",
        "ADDRESS",
        "SINCE",
        "ACKNOWLEDGED",
        "SENT/MIN",
        "RECEIVED/MIN",
        "TOPICS",
    ]);
    let show = |connection: ConnectionReport| {
        if json { print_json(&connection.shown()) } else { table.row(cells(connection)) }
    };
    let outcome = each(answers, show).await?;
    if !json && !matches!(outcome, Outcome::None) {
        table.flush()?;
    }
    Ok(outcome)
}

async fn close(
    client: &Client,
    tenant: &Tenant,
    user: Option<&str>,
    id: Option<&str>,
) -> Result<ExitCode, Failure> {
    let by = operator();
    let closed = if let Some(id) = id {
        ask_about(client, Operation::Close, tenant, id.parse()?, by)
    } else {
        let search = Search { user: user.map(str::to_owned), by, ..Search::default() };
        ask(client, Operation::Close, tenant, search)
    };
    let show = |connection: ConnectionReport| {
        announce(&format!("closed {} of user {:?}", connection.id, connection.user))
    };
    match each(closed, show).await? {
        Outcome::None => {
            let what = match (id, user) {
                (Some(id), _) => format!("there is no connection {id:?} of tenant {tenant}"),
                (None, user) => {
                    format!("user {:?} of tenant {tenant} has no connections", user.unwrap_or_default())
                }
            };
            Err(format!("{what}; `tidings connections ls --tenant {tenant}` lists the open ones").into())
        }
        outcome => Ok(outcome.into()),
    }
}

/// Calls a function with each connection, and reports each gateway that does not answer.
async fn each(
    mut answers: ConnectionList,
    mut show: impl FnMut(ConnectionReport) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::None;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(connection) => {
                show(connection)?;
                if matches!(outcome, Outcome::None) {
                    outcome = Outcome::Some;
                }
            }
            Err(error) => {
                report(&error);
                outcome = Outcome::Incomplete;
            }
        }
    }
    Ok(outcome)
}

/// A user without connections may still have consumers.
async fn check_user(config: &Config, tenant: &Tenant, user: &str) -> Result<(), Failure> {
    let topology = serve::topology(config, "tidings-connections").await?;
    let store = stores::consumers(config, &topology).await?;
    if store.list(tenant, Some(user)).next().await.is_some() {
        return Ok(());
    }
    let hint = known::similar_user(&*store, tenant, user).await;
    Err(format!("user {user:?} of tenant {tenant} has neither connections nor consumers{hint}").into())
}

fn cells(connection: ConnectionReport) -> [String; 9] {
    [
        connection.id,
        connection.user,
        connection.device,
        connection.address,
        rfc3339(connection.since),
        connection.acknowledged.unwrap_or_else(|| "-".to_owned()),
        connection.per_minute.sent.to_string(),
        connection.per_minute.received.to_string(),
        connection.subscriptions.join(","),
    ]
}
