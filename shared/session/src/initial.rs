//! Topics that are open from the start: those that the catalog marks as `initial`.
//!
//! A device that has not subscribed or unsubscribed yet has the catalog's initial topics, without a filter. Its first
//! `subscribe` replaces them, its first `unsubscribe` ends those that it names; from then on it has what it asked for,
//! whatever the catalog says. So what it unsubscribed stays unsubscribed over every reconnect, and a client that asks for
//! two topics receives these two.
//!
//! Initial topics are stored as subscriptions like any other: pending envelopes are counted, and the consumers of JetStream
//! filtered, as the device is served. That it has not chosen is one more entry, [`UNCHOSEN`].

use std::collections::BTreeMap;

use tidings_catalog::Catalog;
use tidings_model::{Address, Grants};
use tidings_protocol::Filter;
use tidings_streams::consumers::{self, Edit, Subscriptions, TopicFilter, UNCHOSEN};

use crate::{Effect, Session, Subscription};

/// Returns what changes about the subscriptions of a device that connects with these grants: a new one, of which nothing
/// is stored, gets the initial topics; one that has chosen none gets those that the catalog has now. `since` is the
/// device's position, after which they bring everything.
#[must_use]
pub fn initial_subscriptions(
    catalog: Option<&Catalog>,
    grants: &Grants,
    stored: Option<&Subscriptions>,
    since: u64,
) -> BTreeMap<String, Edit> {
    let is_unchosen = stored.is_some_and(|stored| stored.contains_key(UNCHOSEN));
    let is_new = stored.is_none() && catalog.is_some_and(|catalog| catalog.initial_topics().next().is_some());
    if !is_unchosen && !is_new {
        return BTreeMap::new();
    }
    let wanted = initial_topics(catalog, grants);
    let has = |topic: &str| stored.is_some_and(|stored| stored.contains_key(topic));
    let gained = wanted.keys().filter(|topic| !has(topic)).map(|topic| (topic.clone(), subscribe(since)));
    let stored = stored.into_iter().flat_map(Subscriptions::keys);
    let lost = stored.filter(|topic| *topic != UNCHOSEN && !wanted.contains_key(*topic));
    let mut edits: BTreeMap<_, _> =
        gained.chain(lost.map(|topic| (topic.clone(), Edit::Unsubscribe))).collect();
    if is_new || !edits.is_empty() {
        // Of a device that has chosen meanwhile, elsewhere, nothing of this changes anything.
        edits.insert(UNCHOSEN.to_owned(), subscribe(since));
    }
    edits
}

fn initial_topics(catalog: Option<&Catalog>, grants: &Grants) -> BTreeMap<String, Address> {
    let topics = catalog.into_iter().flat_map(Catalog::initial_topics);
    let open = topics.filter(|(_, topic)| topic.is_open_to(|address| grants.contains(address)));
    open.map(|(name, topic)| (name.to_owned(), topic.address.clone())).collect()
}

fn subscribe(since: u64) -> Edit {
    Edit::Subscribe(consumers::Subscription { filter: TopicFilter::new(), since })
}

impl Session {
    /// From now on the device has what it asks for. Of the initial topics it keeps some.
    pub(crate) fn choose(&mut self, keeps: impl Fn(&str) -> bool) -> Vec<Effect> {
        if !std::mem::take(&mut self.is_unchosen) {
            return Vec::new();
        }
        let chosen = Effect::Remember { topic: UNCHOSEN.to_owned(), edit: Edit::Unsubscribe };
        let lost: Vec<String> = self.topics().filter(|topic| !keeps(topic)).map(str::to_owned).collect();
        std::iter::once(chosen).chain(lost.iter().flat_map(|topic| self.end(topic))).collect()
    }

    /// Gives a device that has chosen no topics those that catalog and grants open from the start now.
    pub(crate) fn follow_catalog(&mut self) -> Vec<Effect> {
        if !self.is_unchosen {
            return Vec::new();
        }
        let catalog = self.catalogs.get(self.principal.tenant());
        let wanted = initial_topics(catalog, &self.principal.grants);
        let lost: Vec<String> =
            self.topics().filter(|topic| !wanted.contains_key(*topic)).map(str::to_owned).collect();
        let mut effects: Vec<_> = lost.iter().flat_map(|topic| self.end(topic)).collect();
        for (topic, address) in wanted {
            if self.subscriptions.contains_key(&topic) {
                continue;
            }
            // As with a grant, everything behind the device's position counts.
            let subscription = Subscription { address: address.clone(), filter: Filter::default(), since: 0 };
            self.remember(topic.clone(), subscription);
            effects.push(Effect::Remember { topic, edit: subscribe(0) });
            effects.push(Effect::OpenAddress(address, Filter::default()));
        }
        effects
    }

    /// Ends the subscription to a topic, if there is one.
    pub(crate) fn end(&mut self, topic: &str) -> Vec<Effect> {
        let Some(subscription) = self.subscriptions.remove(topic) else { return Vec::new() };
        vec![
            Effect::Remember { topic: topic.to_owned(), edit: Edit::Unsubscribe },
            Effect::CloseAddress(subscription.address, subscription.filter),
        ]
    }
}

#[cfg(test)]
mod tests;
