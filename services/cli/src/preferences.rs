//! `tidings preferences`: shows and changes what a user wants to be told by which channel, and when not.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use tidings_catalog::Catalog;
use tidings_model::{ChannelKind, Tenant};
use tidings_preferences::{Category, Preferences, QuietHours};
use tidings_runtime::config::{Config, SecretRule};
use tidings_streams::users::UserName;
use tidings_streams::{Topology, running_catalog};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::arguments::{PreferenceChanges, PreferencesCommand};
use crate::failure::Failure;
use crate::output::print_pretty_json;
use crate::suggestion::missing;
use crate::{catalogs, known, serve, stores};

/// Runs `tidings preferences …`.
pub(crate) async fn run(file: Option<&Path>, command: &PreferencesCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let topology = serve::topology(&config, "tidings-preferences").await?;
    let (PreferencesCommand::Show { user } | PreferencesCommand::Set { user, .. }) = command;
    let tenant = known::tenant(&config, &topology.client(), &user.tenant).await?;
    let store = stores::preferences(&config, &topology).await?;
    let name = UserName::new(tenant, &user.user)?;
    let preferences = match command {
        PreferencesCommand::Show { .. } => store.load(&name).await?,
        PreferencesCommand::Set { changes, .. } => {
            let changes = Changes::read(changes)?;
            let stored = store.load(&name).await?;
            changes.check(&config, &topology, name.tenant(), &stored).await?;
            store.change(&name, |preferences| changes.apply(preferences)).await?
        }
    };
    print_pretty_json(&serde_json::to_value(&preferences)?)?;
    Ok(ExitCode::SUCCESS)
}

/// What is to be changed.
struct Changes {
    switches: Vec<(Category, ChannelKind, bool)>,
    quiet_hours: Option<QuietHours>,
    ends_quiet_hours: bool,
    muted_until: Option<OffsetDateTime>,
    unmutes: bool,
}

impl Changes {
    fn read(given: &PreferenceChanges) -> Result<Self, Failure> {
        let all = |texts: &[String], is_on| -> Result<Vec<_>, Failure> {
            texts.iter().map(|text| switch(text, is_on)).collect()
        };
        let switches = [all(&given.on, true)?, all(&given.off, false)?].concat();
        let hours = given.quiet_hours.as_deref().zip(given.time_zone.as_deref());
        let hours = hours.map(|(hours, zone)| quiet_hours(hours, zone)).transpose()?;
        let muted = given.mute_until.as_deref().map(|text| {
            OffsetDateTime::parse(text, &Rfc3339)
                .map_err(|_| format!("{text:?} is not a time such as 2026-01-17T08:00:00Z"))
        });
        Ok(Self {
            switches,
            quiet_hours: hours,
            ends_quiet_hours: given.no_quiet_hours,
            muted_until: muted.transpose()?,
            unmutes: given.unmute,
        })
    }

    /// Refuses categories that the catalog with which projectors run does not have, if it is known; but those that are stored.
    async fn check(
        &self,
        config: &Config,
        topology: &Topology,
        tenant: &Tenant,
        stored: &Preferences,
    ) -> Result<(), Failure> {
        let files = match running_catalog(topology, tenant).await? {
            Some(files) => Some(files),
            None => catalogs::read_texts(&config.schemas).ok().and_then(|mut texts| texts.remove(tenant)),
        };
        let Some(catalog) = files.and_then(|files| Catalog::parse(tenant, &files).ok()) else {
            return Ok(());
        };
        let known: BTreeSet<_> = catalog.categories().into_keys().map(Category::as_str).collect();
        let strange = self.switches.iter().find(|(category, ..)| {
            !known.contains(category.as_str()) && !stored.categories.contains_key(category)
        });
        let Some((category, ..)) = strange else { return Ok(()) };
        let what = format!("there is no category \"{category}\" with a fallback of tenant {tenant}");
        Err(missing(&what, category.as_str(), known).into())
    }

    fn apply(&self, preferences: &mut Preferences) {
        for (category, channel, is_on) in &self.switches {
            preferences.switch(category.clone(), *channel, *is_on);
        }
        if self.quiet_hours.is_some() || self.ends_quiet_hours {
            preferences.quiet_hours.clone_from(&self.quiet_hours);
        }
        if self.muted_until.is_some() || self.unmutes {
            preferences.muted_until = self.muted_until;
        }
    }
}

fn switch(text: &str, is_on: bool) -> Result<(Category, ChannelKind, bool), Failure> {
    let parts = text.split_once('/');
    let (category, channel) =
        parts.ok_or_else(|| format!("{text:?} is not a category and a channel, such as offers/email"))?;
    Ok((Category::parse(category)?, channel.parse()?, is_on))
}

fn quiet_hours(text: &str, zone: &str) -> Result<QuietHours, Failure> {
    let (from, to) =
        text.split_once('-').ok_or_else(|| format!("{text:?} is not two times, such as 22:00-07:00"))?;
    Ok(QuietHours::new(from.parse()?, to.parse()?, zone)?)
}
