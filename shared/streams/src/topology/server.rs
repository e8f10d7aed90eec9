//! The version of nats-server that Tidings requires, and the versions on which optional features depend.

use async_nats::Client;

use super::TopologyError;

/// The oldest supported nats-server. [`TopologyError::OldServer`] names it in its text.
const OLDEST: (i64, i64, i64) = (2, 14, 0);
/// The first version that disables its deduplication for a stream with a source, and that has an index of sourced
/// messages.
const INDEXES_SOURCES: (i64, i64, i64) = (2, 15, 0);

/// Fails if nats-server lacks a feature that Tidings relies on. Without this check the failure would look like a stream
/// with other settings.
pub(crate) fn check(client: &Client) -> Result<(), TopologyError> {
    if is_at_least(client, OLDEST) {
        return Ok(());
    }
    Err(TopologyError::OldServer { found: client.server_info().version })
}

/// Whether a source is free of cost for the server.
pub(crate) fn indexes_sources(client: &Client) -> bool {
    is_at_least(client, INDEXES_SOURCES)
}

fn is_at_least(client: &Client, (major, minor, patch): (i64, i64, i64)) -> bool {
    client.is_server_compatible(major, minor, patch)
}
