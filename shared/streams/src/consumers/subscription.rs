//! Subscriptions of a consumer, as its record holds them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

/// For each attribute, the accepted values.
pub type TopicFilter = BTreeMap<String, BTreeSet<String>>;

/// A subscription to a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// The filter.
    pub filter: TopicFilter,
    /// Envelopes of the topic up to this sequence are older than the subscription; in the epoch of the consumer's
    /// position.
    pub since: u64,
}

/// The subscriptions by topic. Every connected device has a few of them, in memory all the time.
pub type Subscriptions = LiteMap<String, Subscription>;

/// The name under which subscriptions note that the device has not subscribed or unsubscribed yet: its topics are those
/// that the catalog opens from the start. No topic has an empty name. A gateway that does not know this entry takes it for a
/// topic that is gone.
pub const UNCHOSEN: &str = "";
