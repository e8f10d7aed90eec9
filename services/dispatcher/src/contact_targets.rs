//! Where deliveries go: the contacts of each user, and the webhook of the tenant for users who have none.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidings_channels::{Target, WebhookTarget};
use tidings_contacts::{ContactId, Contacts};
use tidings_model::{ChannelKind, Tenant};
use tidings_streams::users::UserName;
use time::OffsetDateTime;

use crate::parts::{Destination, Targets, Unreachable};

/// What the tenant's webhook is called among a user's contacts.
const TENANT: &str = "tenant";

/// Contacts of users, and webhooks of tenants.
#[derive(Debug)]
pub struct ContactTargets {
    /// The webhook of each tenant that has one.
    pub webhooks: BTreeMap<Tenant, WebhookTarget>,
    /// Contacts of users.
    pub contacts: Contacts,
    /// The time.
    pub clock: fn() -> OffsetDateTime,
}

#[async_trait]
impl Targets for ContactTargets {
    async fn targets(
        &self,
        tenant: &Tenant,
        user: &str,
        channel: ChannelKind,
    ) -> Result<Vec<Destination>, Unreachable> {
        let mut found = Vec::new();
        if self.contacts.is_on()
            && let Ok(name) = UserName::new(tenant.clone(), user)
        {
            let book = self.contacts.load(&name).await?;
            let reachable = book.reachable(channel);
            found.extend(
                reachable.map(|contact| Destination {
                    id: contact.id.to_string(),
                    target: contact.target.clone(),
                }),
            );
        }
        if channel == ChannelKind::Webhook
            && found.is_empty()
            && let Some(webhook) = self.webhooks.get(tenant)
        {
            found.push(Destination { id: TENANT.to_owned(), target: Target::Webhook(webhook.clone()) });
        }
        Ok(found)
    }

    async fn gone(&self, tenant: &Tenant, user: &str, id: &str, reason: &str) {
        let Ok(name) = UserName::new(tenant.clone(), user) else { return };
        if id == TENANT {
            return tracing::warn!(%tenant, reason, "the receiver of a tenant's webhooks says that it is gone");
        }
        let now = u64::try_from((self.clock)().unix_timestamp()).unwrap_or_default();
        let id = ContactId(id.to_owned());
        // Where it is not noted, the next attempt is answered like this one.
        match self.contacts.change(&name, |book| book.gone(&id, reason, now)).await {
            Ok(_) => tracing::info!(%tenant, contact = %id, reason, "a contact of a user is gone"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, %tenant, contact = %id, "cannot note that a contact is gone");
            }
        }
    }
}
