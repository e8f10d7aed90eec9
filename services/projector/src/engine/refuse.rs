//! What becomes of an item that the stream does not take for good.

use std::collections::BTreeSet;

use tidings_model::{Origin, OriginOrder};
use tidings_streams::WriteError;

use crate::projection::Projection;
use crate::write_queue::entry::{Cause, Entry, Item};

/// How many refused envelopes are remembered.
const MAX_REFUSED: usize = 1_024;

/// The stream does not take an item for good: nothing is done but to keep the event with that reason.
pub(super) async fn refuse(
    projecting: &mut Projection,
    refused: &mut BTreeSet<OriginOrder>,
    item: Option<(&Entry, Item)>,
    error: &WriteError,
) {
    let Some((entry, item)) = item else { return };
    let origin = item.envelope().map(|envelope| envelope.origin);
    tracing::error!(
        error = error as &dyn std::error::Error,
        origin = origin.map(|origin| origin.to_string()),
        "a message is left out"
    );
    if let Cause::Event(read) = &entry.cause {
        projecting.refused(&read.event, error).await;
    }
    refused.extend(origin.map(Origin::order));
    if refused.len() > MAX_REFUSED {
        refused.pop_first();
    }
}
