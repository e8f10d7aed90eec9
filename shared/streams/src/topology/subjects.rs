//! Subjects of a shard's stream besides those of envelopes.

use tidings_model::{Address, ShardNumber, Tenant};

/// The first token of the subjects of places in the first shard.
pub(crate) const PLACES: &str = "places";
/// The first token of the subjects of purges in the first shard.
pub(crate) const PURGES: &str = "purges";

/// The first token of the subjects of messages that earlier versions wrote to the first shard, and that mean nothing
/// any more.
const FENCES: &str = "fences";

/// The subject that matches every notice of a place in a shard.
pub(crate) fn any_place(shard: ShardNumber) -> String {
    format!("{}.>", shard.name(PLACES))
}

/// The subject that matches every notice of a purge in a shard.
pub(crate) fn any_purge(shard: ShardNumber) -> String {
    format!("{}.>", shard.name(PURGES))
}

/// The subject of the notices about a tenant's places.
pub(crate) fn place_subject(shard: ShardNumber, tenant: &Tenant) -> String {
    format!("{}.{tenant}", shard.name(PLACES))
}

/// The subject of the notice about a purged address.
pub(crate) fn purge_subject(shard: ShardNumber, tenant: &Tenant, address: &Address) -> String {
    format!("{}.{}", purges_of(shard, tenant), address.to_subject_tokens())
}

/// The subject that matches every notice of a tenant's purges, without its last tokens.
pub(crate) fn purges_of(shard: ShardNumber, tenant: &Tenant) -> String {
    format!("{}.{tenant}", shard.name(PURGES))
}

/// A subject of a shard's stream on which nothing is ever stored.
pub(crate) fn end_of_batch(shard: ShardNumber) -> String {
    format!("{}.-", shard.name(PLACES))
}

/// The subject that streams of earlier versions have besides the others.
pub(crate) fn any_fence(shard: ShardNumber) -> String {
    format!("{}.>", shard.name(FENCES))
}

/// Whether an earlier version wrote messages on this subject that mean nothing any more.
pub(crate) fn is_fence(subject: &str) -> bool {
    subject.split('.').next().is_some_and(|root| ShardNumber::of(root, FENCES).is_some())
}
