//! A consumer's state as it is stored.

use serde::{Deserialize, Serialize};
use tidings_model::json::present;
use tidings_model::{Grants, Position};

use super::super::places::{MalformedPlaces, PLACES, Places, from_subscription, to_subscription};
use super::{ConsumerState, Subscriptions};

/// The members of [`ConsumerState`] as gateways of every version know them: places are among the subscriptions.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredState {
    position: Position,
    #[serde(default, skip_serializing_if = "is_not_noted")]
    generation: u32,
    #[serde(default, skip_serializing_if = "is_not_noted")]
    since: u64,
    subscriptions: Subscriptions,
    grants: Grants,
    last_seen: u64,
    #[serde(deserialize_with = "present")]
    connected: Option<String>,
    resets: u32,
}

impl From<ConsumerState> for StoredState {
    fn from(state: ConsumerState) -> Self {
        let ConsumerState {
            position,
            generation,
            since,
            mut subscriptions,
            grants,
            last_seen,
            connected,
            resets,
            places,
        } = state;
        if let Some(places) = to_subscription(&places) {
            subscriptions.insert(PLACES.to_owned(), places);
        }
        Self { position, generation, since, subscriptions, grants, last_seen, connected, resets }
    }
}

impl TryFrom<StoredState> for ConsumerState {
    type Error = MalformedPlaces;

    fn try_from(stored: StoredState) -> Result<Self, MalformedPlaces> {
        let StoredState {
            position,
            generation,
            since,
            mut subscriptions,
            grants,
            last_seen,
            connected,
            resets,
        } = stored;
        let places = match subscriptions.remove(PLACES) {
            Some(places) => from_subscription(&places)?,
            None => Places::default(),
        };
        Ok(Self { position, generation, since, subscriptions, grants, last_seen, connected, resets, places })
    }
}

fn is_not_noted<N: PartialEq + Default>(number: &N) -> bool {
    *number == N::default()
}
