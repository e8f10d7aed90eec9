//! Subjects of a shard's stream besides those of envelopes and fences.

use tidings_model::{Address, ShardNumber, Tenant};

/// The first token of the subjects of places in the first shard.
pub(crate) const PLACES: &str = "places";
/// The first token of the subjects of purges in the first shard.
pub(crate) const PURGES: &str = "purges";

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
