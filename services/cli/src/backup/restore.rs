//! `tidings restore`: puts a backup into an empty NATS.
//!
//! It may be killed at any moment and run again: until the last step no other process uses the streams, and it begins with
//! removing what an interrupted one has left.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tidings_model::{Address, Tenant};
use tidings_runtime::config::{Config, SecretRule};
use tidings_streams::backup::{Backups, Restore, Restored, SavedMessage, SavedStream, Until, purged_address};
use tidings_streams::consumers::ConsumerStore;
use tidings_streams::preferences::PreferenceStore;
use tidings_streams::users::UserName;
use tidings_streams::{
    Client, ConnectSettings, Login, Topology, connect, contacts, deliveries, purge_address,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::folder::{self, Folder};
use super::project;
use crate::arguments::RestoreOptions;
use crate::failure::Failure;
use crate::output::{announce, counted};
use crate::{catalogs, serve, stores};

/// Runs `tidings restore`.
pub(crate) async fn run(file: Option<&Path>, options: &RestoreOptions) -> Result<ExitCode, Failure> {
    let folder = Folder::open(&options.folder)?;
    let manifest = folder.verify()?;
    let mut purged = options.purged.as_deref().map(read_purged).transpose()?.unwrap_or_default();
    let until = options.until.as_deref().map(until);
    let config = serve::configuration(file, SecretRule::Optional)?;
    // Before anything is written: envelopes cannot be made without them.
    let catalogs = until.as_ref().map(|_| catalogs::read(&config.schemas)).transpose()?;
    let client = connect(&serve::connection(&config, "tidings-restore")).await?;
    let sender = sender(&config, options.restore_credentials.as_deref()).await?;
    let backups = Backups::new(&client, &stores::stream_settings(&config))?.with_sender(sender);
    let restore = backups.restore(manifest.id(), until).await?;
    let order = restore.order(manifest.streams());
    for saved in &order {
        put_back(&restore, &folder, saved).await?;
    }
    for saved in manifest.streams().iter().filter(|saved| saved.has_envelopes()) {
        // Envelopes that are made again are so whatever was purged when.
        let since = if catalogs.is_some() { 0 } else { saved.end().sequence };
        let again = |messages: &[SavedMessage]| {
            let later = messages.iter().filter(|message| message.sequence > since);
            purged.extend(later.filter_map(purged_address));
        };
        read_tail(&folder, saved, again)?;
    }
    let restored = Restored { streams: manifest.streams(), acknowledged: manifest.acknowledged() };
    let topology = Box::pin(restore.join(&restored)).await?;
    let store = stores::consumers(&config, &topology).await?;
    let preferences = stores::preferences(&config, &topology).await?;
    purge_again(&topology, &store, &preferences, &purged).await?;
    if let Some(catalogs) = catalogs {
        Box::pin(project::all(file, &config, catalogs, (&restore, &topology))).await?;
    }
    restore.complete().await?;
    let streams = counted(order.len() as u64, "stream");
    announce(&format!("restored {streams}; the backup was begun at {}", manifest.begun()))?;
    Ok(ExitCode::SUCCESS)
}

/// The client that sends the streams' parts, if it is not the administrator's.
async fn sender(config: &Config, credentials: Option<&Path>) -> Result<Option<Client>, Failure> {
    let Some(credentials) = credentials else { return Ok(None) };
    let login = Login::Credentials(credentials.to_owned());
    let settings = ConnectSettings { login, ..serve::connection(config, "tidings-restore-parts") };
    Ok(Some(connect(&settings).await?))
}

/// What `--until` names: a time, or else an event's id.
fn until(text: &str) -> Until {
    OffsetDateTime::parse(text, &Rfc3339).map_or_else(|_| Until::Event(text.to_owned()), Until::Time)
}

/// Restores one stream and, where messages replace each other, its tail.
async fn put_back(restore: &Restore, folder: &Folder, saved: &SavedStream) -> Result<(), Failure> {
    let mut upload = restore.upload(saved).await?;
    let mut parts = folder.parts(&folder::snapshot(saved.name()))?;
    while let Some(part) = parts.next()? {
        upload.send(part).await?;
    }
    upload.finish().await?;
    // Whose envelopes were purged is said again, when all streams are there.
    if saved.has_envelopes() {
        return Ok(());
    }
    let Some(mut tail) = folder.messages(&folder::tail(saved.name()))? else { return Ok(()) };
    loop {
        let messages = tail.next()?;
        if messages.is_empty() {
            return Ok(());
        }
        restore.publish(saved, &messages).await?;
    }
}

fn read_tail(
    folder: &Folder,
    saved: &SavedStream,
    mut each: impl FnMut(&[SavedMessage]),
) -> Result<(), Failure> {
    let Some(mut tail) = folder.messages(&folder::tail(saved.name()))? else { return Ok(()) };
    loop {
        let messages = tail.next()?;
        if messages.is_empty() {
            return Ok(());
        }
        each(&messages);
    }
}

/// Reads the users who were purged after the backup.
fn read_purged(path: &Path) -> Result<Vec<(Tenant, Address)>, Failure> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(index, line)| {
            let wrong = |error: Failure| {
                let (path, number) = (path.display(), index + 1);
                format!("{path}, line {number}: {line:?} is not <tenant>/<user>: {error}").into()
            };
            purged_user(line).map_err(wrong)
        })
        .collect()
}

fn purged_user(line: &str) -> Result<(Tenant, Address), Failure> {
    let (tenant, user) = line.split_once('/').ok_or("it has no `/`")?;
    Ok((Tenant::parse(tenant)?, Address::new("user", user)?))
}

/// Purges what was purged after it was saved. It is safe to repeat.
async fn purge_again(
    topology: &Topology,
    store: &Arc<dyn ConsumerStore>,
    preferences: &PreferenceStore,
    purged: &[(Tenant, Address)],
) -> Result<(), Failure> {
    for (tenant, address) in purged {
        purge_address(topology, tenant, address).await?;
        if let Some(user) = address.id_of("user") {
            store.purge_user(tenant, user).await?;
            preferences.purge_user(&UserName::new(tenant.clone(), user)?).await?;
            contacts::purge_user(topology, &UserName::new(tenant.clone(), user)?).await?;
            deliveries::purge_user(topology, tenant, user).await?;
        }
    }
    Ok(())
}
