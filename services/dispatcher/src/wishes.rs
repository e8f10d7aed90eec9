//! What is stored about a user decides whether a delivery that is needed is made: disabled or not, and preferences.
//!
//! It is read anew for each delivery, from the leaders of the buckets: what was confirmed to a user or an administrator counts for
//! all that is decided later. What cannot be read is not taken for nothing: such a user receives only what is critical, and
//! one of whom it is not known whether it is disabled receives nothing.

use tidings_catalog::Catalog;
use tidings_model::{ChannelKind, Tenant};
use tidings_preferences::{Decision, Preferences};
use tidings_streams::preferences::PreferencesError;
use tidings_streams::users::{UserName, UsersError};

use crate::error::DispatcherError;
use crate::parts::Parts;

/// A message that would go to a user by a channel.
pub(crate) struct Wish<'w> {
    pub(crate) tenant: &'w Tenant,
    pub(crate) user: &'w str,
    pub(crate) slot: &'w str,
    pub(crate) channel: ChannelKind,
}

impl Wish<'_> {
    /// Decides about it, by what is stored about its user now.
    pub(crate) async fn decide(&self, parts: &Parts, catalog: &Catalog) -> Result<Decision, DispatcherError> {
        let name = match UserName::new(self.tenant.clone(), self.user) {
            Ok(name) => name,
            Err(error) => return Ok(Decision::Skip(error.to_string())),
        };
        match parts.users.load(&name).await {
            Ok(state) if state.disabled.is_some() => {
                return Ok(Decision::Skip("the user is disabled".to_owned()));
            }
            Ok(_) => {}
            Err(error @ UsersError::Damaged { .. }) => return Ok(Decision::Skip(error.to_string())),
            Err(error) => return Err(error.into()),
        }
        let Some(question) = catalog.question(self.slot, self.channel) else {
            return Ok(Decision::Skip("the catalog does not have this message any more".to_owned()));
        };
        let preferences = match parts.preferences.load(&name).await {
            Ok(preferences) => preferences,
            Err(PreferencesError::Damaged { .. }) if question.is_critical => Preferences::default(),
            Err(error @ PreferencesError::Damaged { .. }) => return Ok(Decision::Skip(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        Ok(preferences.decide(catalog.preferences(), question, (parts.clock)()))
    }
}
