//! How a connection comes to its consumer: it is loaded with all that is known of it anywhere, or created, and it is stored that
//! this gateway has it before its client is served.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use tidings_model::PlacedPosition;
use tidings_session::Principal;
use tidings_streams::connections::{SaveAnswer, ask_to_save};
use tidings_streams::consumers::{
    ConsumerName, ConsumerState, ConsumerStoreError, Edit, OpenPlace, PlaceName, Places, PlacesChange,
    StoredConsumer, Subscriptions, UNCHOSEN,
};

use super::ConsumerCache;
use super::places::{Newcomer, PlaceId};

/// How long it may take to store that a device is here, before it is served all the same.
const TAKING_OVER: Duration = Duration::from_secs(1);

impl ConsumerCache {
    /// Loads a consumer for another connection, or creates it at the position that `first` gives. A connection that shares
    /// its device with others, since it names none, has a place. `initial` says what changes about the subscriptions, by those
    /// that are stored and the position.
    ///
    /// A new consumer is stored before anything is delivered to it: otherwise what comes after a
    /// crash in its first second would be lost on it.
    pub(crate) async fn arrive(
        &self,
        principal: &Principal,
        shares: bool,
        first: impl FnOnce() -> PlacedPosition,
        initial: impl Fn(Option<&Subscriptions>, u64) -> BTreeMap<String, Edit>,
    ) -> Result<(StoredConsumer, Option<PlaceId>), ConsumerStoreError> {
        let name = &principal.consumer;
        // What another connection of the device has acknowledged here counts, be it open or not.
        if let Err(error) = self.save_with_places(name).await
            && !error.is_permanent()
        {
            return Err(error);
        }
        let place = shares.then(|| self.new_place());
        let (mut stored, gone) = if let (Some(mut stored), gone) = self.load(name).await? {
            if stored.state.grants == principal.grants {
                // One piece of memory for both.
                stored.state.grants.clone_from(&principal.grants);
            }
            (stored, gone)
        } else {
            let mut change = self.change(first());
            change.subscriptions = initial(None, change.position.position.sequence);
            change.grants.clone_from(&principal.grants);
            change.places = place.as_ref().map(|place| {
                let topics =
                    change.subscriptions.keys().filter(|topic| *topic != UNCHOSEN).cloned().collect();
                let open = OpenPlace { position: change.position, topics };
                let open = BTreeMap::from([(place.clone(), open)]);
                Box::new(PlacesChange { open, ..PlacesChange::default() })
            });
            (self.store.save(name, None, &change).await?, Vec::new())
        };
        let mut change = self.change_of(&stored, None);
        change.grants.clone_from(&principal.grants);
        change.subscriptions = initial(Some(&stored.state.subscriptions), stored.state.position.sequence);
        let changed = (!change.subscriptions.is_empty()).then(|| change.apply(Some(&stored.state)));
        let subscriptions = changed.map(|changed| changed.subscriptions);
        let newcomer = place.map(|place| {
            let topics = subscriptions.as_ref().unwrap_or(&stored.state.subscriptions);
            self.newcomer(place, topics.keys().cloned().collect(), &stored.state.places, &gone)
        });
        let place = self.active.arrive(name, &stored, change, newcomer);
        if let Some(subscriptions) = subscriptions {
            stored.state.subscriptions = subscriptions;
        }
        Ok((stored, place))
    }

    fn new_place(&self) -> PlaceName {
        PlaceName::new(Arc::clone(&self.gateway), self.life, self.opened.fetch_add(1, Ordering::Relaxed))
    }

    /// A client that takes one of the places that nobody has any more: those of these gateways, and of this one as far as it does
    /// not know them.
    fn newcomer(&self, name: PlaceName, topics: Vec<String>, stored: &Places, gone: &[String]) -> Newcomer {
        let is_known = |known: &PlaceName| {
            *known == name
                || (*known.gateway() != *self.gateway && !gone.iter().any(|gone| gone == known.gateway()))
        };
        let abandoned = stored.abandoned(is_known);
        let abandoned = abandoned.map(|(name, position)| (name.clone(), position)).collect();
        Newcomer { name, topics, abandoned }
    }

    /// The state of a consumer that is here for the first time, and of which nothing is kept.
    pub(crate) fn visit(
        &self,
        first: impl FnOnce() -> PlacedPosition,
        initial: impl Fn(Option<&Subscriptions>, u64) -> BTreeMap<String, Edit>,
    ) -> ConsumerState {
        let mut change = self.change(first());
        // It says itself where it begins, on topics as well.
        change.subscriptions = initial(None, 0);
        // Nothing takes it over.
        ConsumerState { connected: None, ..change.apply(None) }
    }

    /// Loads a consumer with everything that any gateway has heard from it: those that have it connected, or had a moment ago,
    /// save that first. Returns which of them have ended.
    async fn load(
        &self,
        name: &ConsumerName,
    ) -> Result<(Option<StoredConsumer>, Vec<String>), ConsumerStoreError> {
        let Some(stored) = self.store.load(name).await? else { return Ok((None, Vec::new())) };
        let others = self.other_gateways(&stored);
        // Each saves more often than that, or has ended.
        if others.is_empty() || !stored.state.is_connected(self.clock.unix_seconds()) {
            return Ok((Some(stored), others));
        }
        let client = self.topology.client();
        let asked =
            others.into_iter().map(async |gateway| (ask_to_save(&client, &gateway, name).await, gateway));
        let answers = join_all(asked).await;
        let has_saved = answers.iter().any(|(answer, _)| *answer == SaveAnswer::Saved);
        let gone = answers.into_iter().filter(|(answer, _)| *answer == SaveAnswer::Gone);
        let gone = gone.map(|(_, gateway)| gateway).collect();
        let stored = if has_saved { self.store.load(name).await? } else { Some(stored) };
        Ok((stored, gone))
    }

    /// The other gateways to which the device is connected, as it is stored.
    fn other_gateways(&self, stored: &StoredConsumer) -> Vec<String> {
        let gateways = stored.state.gateways().filter(|gateway| **gateway != *self.gateway);
        let gateways: BTreeSet<_> = gateways.map(str::to_owned).collect();
        gateways.into_iter().collect()
    }

    /// Has it stored that this gateway has the device, unless it is: from then on, a gateway to which the device goes next
    /// asks this one. The place of a client that shares its device is stored, too. A store that does not answer holds up nobody.
    pub(crate) async fn take_over(
        &self,
        (name, place): (&ConsumerName, Option<PlaceId>),
        stored: Option<&str>,
    ) {
        if place.is_none() && stored == Some(&*self.gateway) {
            return;
        }
        if let Ok(Err(error)) = tokio::time::timeout(TAKING_OVER, self.save_in_turn(name)).await {
            self.log_failed(&[error]);
        }
    }
}
