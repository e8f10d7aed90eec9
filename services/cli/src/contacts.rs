//! `tidings contacts`: where users are reached who are not connected.

use std::path::Path;
use std::process::ExitCode;

use tidings_contacts::{BookReport, Contacts, Update, new_id};
use tidings_runtime::config::SecretRule;
use tidings_streams::users::UserName;

use crate::arguments::{ContactCommand, UserSelector};
use crate::failure::Failure;
use crate::output::{announce, counted, print_pretty_json};
use crate::users::now;
use crate::{known, publish, serve, stores};

/// Runs `tidings contacts …`.
pub(crate) async fn run(file: Option<&Path>, command: &ContactCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let topology = serve::topology(&config, "tidings-contacts").await?;
    let contacts = stores::contacts(&config, &topology).await?;
    let (ContactCommand::Show { user: UserSelector { tenant, .. } }
    | ContactCommand::Set { user: UserSelector { tenant, .. }, .. }
    | ContactCommand::Forget { user: UserSelector { tenant, .. } }
    | ContactCommand::Reseal { tenant }) = command;
    let tenant = known::tenant(&config, &topology.client(), tenant).await?;
    let name = |user: &UserSelector| UserName::new(tenant.clone(), &user.user);
    match command {
        ContactCommand::Show { user } => show(&contacts, &name(user)?).await?,
        ContactCommand::Set { user, data } => set(&contacts, &name(user)?, data).await?,
        ContactCommand::Forget { user } => forget(&contacts, &name(user)?).await?,
        ContactCommand::Reseal { .. } => {
            let count = counted(contacts.reseal(&tenant).await?, "user");
            announce(&format!(
                "the contacts of {count} of tenant {tenant} are encrypted with the first key now"
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(contacts: &Contacts, name: &UserName) -> Result<(), Failure> {
    print_pretty_json(&BookReport::new(name, &contacts.load(name).await?))
}

async fn set(contacts: &Contacts, name: &UserName, data: &str) -> Result<(), Failure> {
    let given = publish::data(data)?;
    let update: Update =
        serde_json::from_value(given).map_err(|error| format!("--data is not understood: {error}"))?;
    update.check().map_err(|error| format!("--data: {error}"))?;
    let book = contacts.change(name, |book| update.apply(book, now(), &mut new_id)).await?;
    print_pretty_json(&BookReport::new(name, &book))
}

async fn forget(contacts: &Contacts, name: &UserName) -> Result<(), Failure> {
    let (user, tenant) = (name.user(), name.tenant());
    if !contacts.forget(name).await? {
        return Err(format!("there are no contacts of user {user:?} of tenant {tenant}").into());
    }
    announce(&format!("forgot the contacts of user {user:?} of tenant {tenant}"))
}
