//! Which users are connected, and of which change nothing was told yet. Pure: the time is passed in.
//!
//! What was told and what is so are compared, rather than changes passed on. So it does not matter what was missed while
//! nobody looked: a user whose last fact differs from what is so, for the settling time, is told of, once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;

/// A moment, by the clock that never goes back and by that on the wall.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) instant: Instant,
    pub(crate) wall: OffsetDateTime,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) user: String,
    pub(crate) is_connected: bool,
    pub(crate) since: OffsetDateTime,
    pub(crate) is_repeated: bool,
}

/// The users of a tenant.
pub(crate) struct Board {
    /// For how long a change must last.
    settling: Duration,
    /// For how long a gateway counts that is not heard.
    lease: Duration,
    /// After which time what was told is told again.
    repeated_after: Duration,
    /// Users who are connected, or were told to be.
    users: HashMap<String, User>,
    /// When each gateway was heard last.
    heard: HashMap<String, Instant>,
    /// The gateways whose leases have ended.
    ended: HashSet<String>,
    /// Since when all gateways could be heard.
    hears_since: Instant,
    /// Users with a change, and when it has settled; ascending.
    unsettled: VecDeque<(Instant, String)>,
}

#[derive(Debug, Default)]
struct User {
    /// The connected devices, each with its gateway.
    devices: Vec<(String, String)>,
    /// Since when the user is connected, as was told, and when.
    told: Option<(OffsetDateTime, OffsetDateTime)>,
    /// Since when it is otherwise.
    changed: Option<Moment>,
}

impl Board {
    pub(crate) fn new(settling: Duration, lease: Duration, kept: Duration, now: Instant) -> Self {
        Self {
            settling,
            lease,
            repeated_after: kept / 2,
            users: HashMap::new(),
            heard: HashMap::new(),
            ended: HashSet::new(),
            hears_since: now,
            unsettled: VecDeque::new(),
        }
    }

    /// Notes that a user was told to be connected, before anybody looked.
    pub(crate) fn remember(&mut self, user: String, since: OffsetDateTime, told_at: OffsetDateTime) {
        self.users.entry(user).or_default().told = Some((since, told_at));
    }

    /// Notes what was told of a user now.
    pub(crate) fn told(&mut self, user: &str, is_connected: bool, since: OffsetDateTime, now: Moment) {
        let known = self.users.entry(user.to_owned()).or_default();
        known.told = is_connected.then_some((since, now.wall));
        known.changed = None;
        self.review(user, now);
    }

    /// Replaces all connected devices, each of a user, with its gateway.
    pub(crate) fn replace(
        &mut self,
        devices: impl IntoIterator<Item = (String, String, String)>,
        now: Moment,
    ) {
        self.users.values_mut().for_each(|user| user.devices.clear());
        for (user, device, gateway) in devices {
            self.heard.entry(gateway.clone()).or_insert(now.instant);
            self.users.entry(user).or_default().devices.push((device, gateway));
        }
        self.review_all(now);
    }

    /// Notes where a device is connected.
    pub(crate) fn see(&mut self, user: &str, device: &str, gateway: Option<&str>, now: Moment) {
        if gateway.is_none() && !self.users.contains_key(user) {
            return;
        }
        let known = self.users.entry(user.to_owned()).or_default();
        known.devices.retain(|(name, _)| name != device);
        if let Some(gateway) = gateway {
            known.devices.push((device.to_owned(), gateway.to_owned()));
            self.heard.entry(gateway.to_owned()).or_insert(now.instant);
        }
        self.review(user, now);
    }

    /// A gateway has renewed its lease.
    pub(crate) fn hear(&mut self, gateway: &str, now: Moment) {
        self.heard.insert(gateway.to_owned(), now.instant);
        if self.ended.remove(gateway) {
            self.review_all(now);
        }
    }

    /// Nothing could be heard until now, so that silence meant nothing.
    pub(crate) fn hears_again(&mut self, now: Instant) {
        self.hears_since = now;
    }

    /// Notes the gateways whose leases have ended.
    pub(crate) fn look(&mut self, now: Moment) {
        let (lease, since) = (self.lease, self.hears_since);
        let has_ended = |heard: Instant| now.instant >= heard.max(since) + lease;
        let before = self.ended.len();
        let ended = self.heard.iter().filter(|(_, heard)| has_ended(**heard)).map(|(name, _)| name.clone());
        self.ended.extend(ended);
        if self.ended.len() == before {
            return;
        }
        self.review_all(now);
        // Of one that nobody names any more, nothing is kept.
        let named: HashSet<&String> =
            self.users.values().flat_map(|user| user.devices.iter().map(|(_, gateway)| gateway)).collect();
        let is_over = |name: &String| self.ended.contains(name) && !named.contains(name);
        let over: Vec<_> = self.heard.keys().filter(|name| is_over(name)).cloned().collect();
        for name in over {
            self.heard.remove(&name);
            self.ended.remove(&name);
        }
    }

    /// Takes what has settled, and what is to be told again.
    pub(crate) fn settled(&mut self, now: Moment) -> Vec<Change> {
        let mut settled = Vec::new();
        while let Some((at, _)) = self.unsettled.front()
            && *at <= now.instant
        {
            let Some((_, user)) = self.unsettled.pop_front() else { break };
            let Some(known) = self.users.get_mut(&user) else { continue };
            // It may have changed back, and again.
            let Some(changed) = known.changed.filter(|at| at.instant + self.settling <= now.instant) else {
                continue;
            };
            known.changed = None;
            let is_connected = known.told.is_none();
            settled.push(Change { user, is_connected, since: changed.wall, is_repeated: false });
        }
        settled
    }

    /// The users who are connected and of whom that was told so long ago that the fact is about to expire.
    pub(crate) fn to_repeat(&self, now: Moment) -> Vec<Change> {
        let old = self.users.iter().filter_map(|(user, known)| {
            let (since, told_at) = known.told.filter(|_| known.changed.is_none())?;
            let is_old = now.wall - told_at >= self.repeated_after;
            is_old.then(|| Change { user: user.clone(), is_connected: true, since, is_repeated: true })
        });
        old.collect()
    }

    fn review_all(&mut self, now: Moment) {
        let users: Vec<String> = self.users.keys().cloned().collect();
        for user in users {
            self.review(&user, now);
        }
    }

    /// Compares what is so with what was told.
    fn review(&mut self, user: &str, now: Moment) {
        let Some(known) = self.users.get_mut(user) else { return };
        let is_connected = known.devices.iter().any(|(_, gateway)| !self.ended.contains(gateway));
        if is_connected == known.told.is_some() {
            known.changed = None;
            if known.devices.is_empty() && known.told.is_none() {
                self.users.remove(user);
            }
        } else if known.changed.is_none() {
            known.changed = Some(now);
            self.unsettled.push_back((now.instant + self.settling, user.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests;
