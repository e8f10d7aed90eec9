//! `tidings users`: disables, enables and purges users, and revokes tokens.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use serde_json::json;
use tidings_model::Address;
use tidings_runtime::config::SecretRule;
use tidings_streams::consumers::ConsumerStore;
use tidings_streams::preferences::PreferenceStore;
use tidings_streams::users::{Mark, Revocation, UserName, Users};
use tidings_streams::{BucketSettings, Topology, contacts, deliveries, purge_address};
use time::OffsetDateTime;

use crate::arguments::{Grounds, UserCommand};
use crate::failure::Failure;
use crate::output::{announce, counted, print_pretty_json, rfc3339};
use crate::{known, serve, stores};

/// Runs `tidings users …`.
pub(crate) async fn run(file: Option<&Path>, command: &UserCommand) -> Result<ExitCode, Failure> {
    let config = serve::configuration(file, SecretRule::Optional)?;
    let topology = serve::topology(&config, "tidings-users").await?;
    let (UserCommand::Purge { user }
    | UserCommand::Show { user }
    | UserCommand::Disable { user, .. }
    | UserCommand::Enable { user }
    | UserCommand::Revoke { user, .. }) = command;
    let tenant = known::tenant(&config, &topology.client(), &user.tenant).await?;
    let administration = Administration {
        name: UserName::new(tenant, &user.user)?,
        users: stores::users(&config, &topology).await?,
        store: stores::consumers(&config, &topology).await?,
        buckets: stores::buckets(&config),
        topology,
    };
    match command {
        UserCommand::Purge { .. } => Box::pin(administration.purge()).await?,
        UserCommand::Show { .. } => administration.show().await?,
        UserCommand::Disable { grounds, .. } => administration.disable(grounds).await?,
        UserCommand::Enable { .. } => administration.enable().await?,
        UserCommand::Revoke { grounds, .. } => administration.revoke(grounds).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Administration of one user.
struct Administration {
    name: UserName,
    users: Users,
    store: Arc<dyn ConsumerStore>,
    buckets: BucketSettings,
    topology: Topology,
}

impl Administration {
    async fn show(&self) -> Result<(), Failure> {
        let (state, devices) = (self.users.load(&self.name).await?, self.devices().await?);
        if state.is_empty() && devices.is_empty() {
            let hint = self.similar().await;
            return Err(format!(
                "nothing is known of {}: no consumer, never disabled, no tokens revoked{hint}",
                self.named()
            )
            .into());
        }
        let [disabled, revoked] = state.shown();
        print_pretty_json(&json!({
            "tenant": self.name.tenant(),
            "user": self.name.user(),
            "disabled": disabled,
            "revoked": revoked,
            "devices": devices,
        }))
    }

    async fn disable(&self, grounds: &Grounds) -> Result<(), Failure> {
        let before = self.users.load(&self.name).await?.disabled;
        let mark = Mark { since: now(), by: operator(), reason: grounds.reason.clone() };
        self.users.disable(&self.name, &mark).await?;
        let what = before.map_or_else(
            || "; gateways close the user's connections".to_owned(),
            |before| format!(", as it has been since {} by {}", rfc3339(before.since), before.by),
        );
        announce(&format!("{} is disabled{what}{}", self.named(), self.note_if_unknown().await?))
    }

    async fn enable(&self) -> Result<(), Failure> {
        if self.users.load(&self.name).await?.disabled.is_none() {
            let hint = self.similar().await;
            return Err(format!("{} is not disabled, and nothing was changed{hint}", self.named()).into());
        }
        self.users.enable(&self.name).await?;
        announce(&format!("{} is enabled; tokens that were revoked stay revoked", self.named()))
    }

    async fn revoke(&self, grounds: &Grounds) -> Result<(), Failure> {
        let revocation = Revocation::up_to(now(), operator(), grounds.reason.clone());
        self.users.revoke(&self.name, &revocation).await?;
        let before = rfc3339(revocation.before);
        let note = self.note_if_unknown().await?;
        announce(&format!("tokens of {} that were issued before {before} are revoked{note}", self.named()))
    }

    async fn purge(&self) -> Result<(), Failure> {
        let (tenant, user) = (self.name.tenant(), self.name.user());
        let envelopes = purge_address(&self.topology, tenant, &Address::new("user", user)?).await?;
        let consumers = self.store.purge_user(tenant, user).await?;
        let deliveries = deliveries::purge_user(&self.topology, tenant, user).await?;
        let preferences = self.purge_preferences().await?;
        let contacts = contacts::purge_user(&self.topology, &self.name).await?;
        if envelopes == 0 && consumers == 0 && deliveries == 0 && contacts == 0 && !preferences {
            let hint = self.similar().await;
            return Err(format!(
                "there are no envelopes and no consumers of {} to remove{hint}",
                self.named()
            )
            .into());
        }
        let (envelopes, consumers) = (counted(envelopes, "envelope"), counted(consumers, "consumer"));
        announce(&format!("removed {envelopes} and {consumers} of {}", self.named()))
    }

    async fn purge_preferences(&self) -> Result<bool, Failure> {
        let found = PreferenceStore::find(self.topology.context(), self.buckets).await?;
        Ok(match found {
            Some(preferences) => preferences.purge_user(&self.name).await?,
            None => false,
        })
    }

    fn named(&self) -> String {
        format!("user {:?} of tenant {}", self.name.user(), self.name.tenant())
    }

    async fn devices(&self) -> Result<BTreeSet<String>, Failure> {
        let consumers = self.store.list(self.name.tenant(), Some(self.name.user()));
        let devices = consumers.map_ok(|(name, _)| name.device().to_owned());
        Ok(devices.try_collect().await?)
    }

    /// A user who has never connected can be disabled, and may as well be misspelled.
    async fn note_if_unknown(&self) -> Result<String, Failure> {
        if !self.devices().await?.is_empty() {
            return Ok(String::new());
        }
        Ok(format!("; no device of this user has connected lately{}", self.similar().await))
    }

    async fn similar(&self) -> String {
        known::similar_user(&*self.store, self.name.tenant(), self.name.user()).await
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).unwrap_or_default()
}

/// The operator's name, for the record.
pub(crate) fn operator() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let machine = rustix::system::uname();
    format!("{}@{}", user.as_deref().unwrap_or("somebody"), machine.nodename().to_string_lossy())
}
