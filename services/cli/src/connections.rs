//! `tidings connections`: who is connected, asked of all gateways.

use std::path::Path;
use std::process::ExitCode;

use futures_util::StreamExt as _;
use tidings_model::Tenant;
use tidings_runtime::config::SecretRule;
use tidings_streams::connect;
use tidings_streams::connections::{ConnectionList, ConnectionReport, Operation, Search, ask, ask_about};

use crate::arguments::ConnectionCommand;
use crate::failure::{Failure, report};
use crate::output::{print, rfc3339};
use crate::serve;
use crate::users::operator;

/// `tidings connections …`. Fails if a gateway does not answer, after the others have been told.
pub(crate) async fn run(file: Option<&Path>, command: &ConnectionCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let client = connect(&serve::connection(&config, "tidings-connections")).await?;
    match command {
        ConnectionCommand::Ls { tenant, user, json } => {
            let search = Search { user: user.clone(), by: operator(), ..Search::default() };
            let found = ask(&client, Operation::List, &Tenant::parse(tenant)?, search);
            let nobody = if *json { None } else { Some("nobody is connected") };
            tell(found, nobody, if *json { Style::Json } else { Style::Table }).await
        }
        ConnectionCommand::Close { tenant, user, id } => {
            let (tenant, by) = (Tenant::parse(tenant)?, operator());
            let closed = if let Some(id) = id {
                ask_about(&client, Operation::Close, &tenant, id.parse()?, by)
            } else {
                let search = Search { user: user.clone(), by, ..Search::default() };
                ask(&client, Operation::Close, &tenant, search)
            };
            tell(closed, Some("there was no such connection"), Style::Closed).await
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Json,
    Table,
    Closed,
}

async fn tell(mut answers: ConnectionList, nobody: Option<&str>, style: Style) -> Result<ExitCode, Failure> {
    let (mut told, mut code) = (0_usize, ExitCode::SUCCESS);
    while let Some(answer) = answers.next().await {
        let connection = match answer {
            Ok(connection) => connection,
            Err(error) => {
                report(&error);
                code = ExitCode::FAILURE;
                continue;
            }
        };
        match style {
            Style::Json => print(&serde_json::to_string(&connection)?)?,
            Style::Closed => print(&format!("closed {} of user {:?}", connection.id, connection.user))?,
            Style::Table => {
                if told == 0 {
                    print(HEADING)?;
                }
                print(&line(&connection))?
            }
        };
        told += 1;
    }
    if let Some(nobody) = nobody.filter(|_| told == 0 && code == ExitCode::SUCCESS) {
        print(nobody)?;
    }
    Ok(code)
}

const HEADING: &str = "CONNECTION                       USER                     DEVICE           ADDRESS          SINCE                 ACKNOWLEDGED              SENT/MIN RECEIVED/MIN  TOPICS";

fn line(connection: &ConnectionReport) -> String {
    format!(
        "{:<32} {:<24} {:<16} {:<16} {:<21} {:<24} {:>9} {:>12}  {}",
        connection.id,
        connection.user,
        connection.device,
        connection.address,
        rfc3339(connection.since),
        connection.acknowledged.as_deref().unwrap_or("-"),
        connection.per_minute.sent,
        connection.per_minute.received,
        connection.subscriptions.join(",")
    )
}
