//! `tidings users`: whether users may come in, and users who are no more.

use std::path::Path;
use std::process::ExitCode;

use tidings_model::{Address, Tenant};
use tidings_runtime::config::{Config, SecretRule};
use tidings_streams::purge_address;
use tidings_streams::users::{Mark, Revocation, UserName, Users};
use time::OffsetDateTime;

use crate::arguments::{Grounds, UserCommand, UserSelector};
use crate::failure::Failure;
use crate::output::{print, rfc3339};
use crate::serve;

/// `tidings users …`.
pub(crate) async fn run(file: Option<&Path>, command: &UserCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    match command {
        UserCommand::Purge { user } => Box::pin(purge(&config, &name(user)?)).await,
        UserCommand::Show { user } => {
            let state = users(&config).await?.load(&name(user)?).await?;
            print(&serde_json::to_string_pretty(&state)?)
        }
        UserCommand::Disable { user, grounds: Grounds { reason } } => {
            let name = name(user)?;
            let mark = Mark { since: now(), by: operator(), reason: reason.clone() };
            users(&config).await?.disable(&name, &mark).await?;
            print(&format!("user {name} is switched off"))
        }
        UserCommand::Enable { user } => {
            let name = name(user)?;
            users(&config).await?.enable(&name).await?;
            print(&format!("user {name} may come in"))
        }
        UserCommand::Revoke { user, grounds: Grounds { reason } } => {
            let name = name(user)?;
            let revocation = Revocation::up_to(now(), operator(), reason.clone());
            users(&config).await?.revoke(&name, &revocation).await?;
            let before = rfc3339(revocation.before);
            print(&format!("tokens of user {name} that were issued before {before} are revoked"))
        }
    }
}

async fn purge(config: &Config, name: &UserName) -> Result<ExitCode, Failure> {
    let (tenant, user) = (name.tenant(), name.user());
    let topology = serve::topology(config, "tidings-users").await?;
    let store = serve::consumers(config, &topology).await?;
    let envelopes = purge_address(&topology, tenant, &Address::new("user", user)?).await?;
    let consumers = store.purge_user(tenant, user).await?;
    print(&format!("removed {envelopes} envelopes and {consumers} consumers of user {user:?}"))
}

async fn users(config: &Config) -> Result<Users, Failure> {
    let topology = serve::topology(config, "tidings-users").await?;
    serve::users(config, &topology).await
}

fn name(selector: &UserSelector) -> Result<UserName, Failure> {
    Ok(UserName::new(Tenant::parse(&selector.tenant)?, &selector.user)?)
}

fn now() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or_default()
}

/// Who runs this command: what is said of a user says by whom.
pub(crate) fn operator() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let machine = rustix::system::uname();
    format!("{}@{}", user.as_deref().unwrap_or("somebody"), machine.nodename().to_string_lossy())
}
