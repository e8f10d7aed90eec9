//! What nats-server must be able to do, and what it can do from which version on.

use async_nats::Client;

use super::TopologyError;

/// The oldest nats-server that does what Tidings relies on; [`TopologyError::OldServer`] has the words for it.
const OLDEST: (i64, i64, i64) = (2, 12, 0);
/// The first one that turns its deduplication off for a stream with a source, and has an index of what came from there.
const INDEXES_SOURCES: (i64, i64, i64) = (2, 15, 0);

/// Refuses a nats-server that lacks what Tidings relies on, before it is taken for a stream with other settings.
pub(super) fn check(client: &Client) -> Result<(), TopologyError> {
    if is_at_least(client, OLDEST) {
        return Ok(());
    }
    Err(TopologyError::OldServer { found: client.server_info().version })
}

/// Whether a source costs the server nothing.
pub(super) fn indexes_sources(client: &Client) -> bool {
    is_at_least(client, INDEXES_SOURCES)
}

fn is_at_least(client: &Client, (major, minor, patch): (i64, i64, i64)) -> bool {
    client.is_server_compatible(major, minor, patch)
}
