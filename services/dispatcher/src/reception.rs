//! Whether a device of a user has received a message.
//!
//! A device has received what it holds the address of, from where it started up to its position. Positions are compared where the tenant's envelopes
//! are now, whatever rebuild or move lies in between. A gateway saves positions a moment late; so where no stored position is
//! far enough, the gateways of connected devices are asked to save first.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use tidings_model::Tenant;
use tidings_streams::connections::{SaveAnswer, ask_to_save};
use tidings_streams::consumers::{ConsumerName, ConsumerState, ConsumerStoreError};
use tidings_streams::{Home, StoredEnvelope, translate_position};

use crate::addressed::Addressed;
use crate::error::DispatcherError;
use crate::parts::Parts;

/// Where a user stands about a message.
pub(crate) struct Reception {
    /// A device that has received it.
    pub(crate) received: Option<String>,
    /// A device that is connected, as far as was looked for.
    pub(crate) connected: Option<String>,
}

/// A message, as found in the tenant's current place, and who of its user's devices may have received it.
pub(crate) struct Inquiry<'i> {
    pub(crate) home: &'i Home,
    pub(crate) found: &'i StoredEnvelope,
}

impl Inquiry<'_> {
    /// Asks where the devices of a user stand.
    pub(crate) async fn of(
        &self,
        parts: &Parts,
        tenant: &Tenant,
        user: &str,
    ) -> Result<Reception, DispatcherError> {
        let now = (parts.clock)();
        let epoch = self.home.extent().await?.epoch;
        let devices = devices(parts, tenant, user).await?;
        for (name, state) in &devices {
            if self.has(name, state, epoch).await? {
                return Ok(Reception { received: Some(name.device().to_owned()), connected: None });
            }
        }
        let mut connected = None;
        let client = self.home.topology.client();
        let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        for (name, state) in devices.iter().filter(|(_, state)| state.is_connected(seconds)) {
            let mut has_saved = false;
            // Clients that name no device share one, wherever they are.
            for gateway in state.gateways().collect::<BTreeSet<_>>() {
                has_saved |= ask_to_save(&client, gateway, name).await == SaveAnswer::Saved;
            }
            if !has_saved {
                continue;
            }
            let Some(saved) = parts.consumers.load(name).await? else { continue };
            if self.has(name, &saved.state, epoch).await? {
                return Ok(Reception { received: Some(name.device().to_owned()), connected });
            }
            if saved.state.connected.is_some() {
                connected.get_or_insert_with(|| name.device().to_owned());
            }
        }
        Ok(Reception { received: None, connected })
    }

    /// Whether the device has received the message.
    async fn has(
        &self,
        name: &ConsumerName,
        state: &ConsumerState,
        epoch: tidings_model::Epoch,
    ) -> Result<bool, DispatcherError> {
        let envelope = &self.found.envelope;
        let (address, attributes) = (&envelope.subject.address, &envelope.attributes);
        let addressed = Addressed { address, attributes, sequence: self.found.sequence };
        let is_in_place = state.position.epoch == epoch;
        if !addressed.reaches(name.user(), state, is_in_place) {
            return Ok(false);
        }
        // Of clients that share a device, one is enough.
        let position = state.furthest().position;
        if position.epoch == epoch {
            return Ok(position.sequence >= self.found.sequence);
        }
        let Home { topology, placement } = self.home;
        let translated = translate_position(topology, name.tenant(), placement, position).await?;
        Ok(translated.is_some_and(|translated| translated.position.sequence >= self.found.sequence))
    }
}

/// The devices of a user. One whose record cannot be read has received nothing, as far as is known.
pub(crate) async fn devices(
    parts: &Parts,
    tenant: &Tenant,
    user: &str,
) -> Result<Vec<(ConsumerName, ConsumerState)>, ConsumerStoreError> {
    let mut listed = parts.consumers.list(tenant, Some(user));
    let mut devices = Vec::new();
    loop {
        match listed.try_next().await {
            Ok(Some((name, stored))) => devices.push((name, stored.state)),
            Ok(None) => return Ok(devices),
            Err(error @ ConsumerStoreError::Unavailable { .. }) => return Err(error),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error, %tenant,
                    "the record of a device cannot be read; it counts as one that has received nothing"
                );
            }
        }
    }
}
