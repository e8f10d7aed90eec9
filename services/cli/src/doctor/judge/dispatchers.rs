//! What dispatchers are needed for, and whether they run.

use std::collections::{BTreeMap, BTreeSet};

use tidings_model::{ShardNumber, Tenant};
use tidings_streams::StreamFacts;
use tidings_streams::deliveries::DELIVERIES;

use super::{kind, names};
use crate::doctor::finding::Report;

/// Leaves out the stream of deliveries where there is none and nobody needs it: dispatchers create it.
pub(in crate::doctor) fn deliveries(mut streams: Vec<StreamFacts>, are_needed: bool) -> Vec<StreamFacts> {
    streams.retain(|stream| are_needed || stream.name != DELIVERIES || !matches!(stream.found, Ok(None)));
    streams
}

/// The tenants in each shard whose catalogs have fallbacks, and whether a dispatcher leads there; `None` if it could not be
/// looked at.
pub(in crate::doctor) fn dispatchers(
    found: &BTreeMap<ShardNumber, (BTreeSet<Tenant>, Option<bool>)>,
    report: &mut Report,
) {
    for (shard, (tenants, is_led)) in found {
        match is_led {
            None => {
                report.not_seen(format!("the dispatcher of shard {shard}"), "its lease cannot be read");
            }
            Some(false) => {
                let tenants = names(tenants);
                let text = format!("shard {shard} has no dispatcher; in it are the tenants {tenants}");
                report.find(&kind::NO_DISPATCHER, text);
            }
            Some(true) => {}
        }
    }
}
