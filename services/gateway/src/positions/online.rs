//! What is known and still to be saved of one consumer that is here. Pure.

use tidings_streams::consumers::{Change, StoredConsumer};
use tokio::time::Instant;

/// A consumer of which this gateway holds connections, or has something to save.
pub(super) struct Online {
    pub(super) connections: usize,
    pub(super) stored: StoredConsumer,
    /// Boxed, as most have nothing to save at any moment.
    pub(super) change: Option<Box<Change>>,
    pub(super) saved_at: Instant,
    /// The user was purged while connected; these connections leave no trace.
    pub(super) purged: bool,
}

impl Online {
    /// Adds a later change to what has to be saved.
    pub(super) fn note(&mut self, later: Change) {
        if self.purged {
            return;
        }
        let Some(earlier) = self.change.take() else {
            self.change = Some(Box::new(later));
            return;
        };
        let earlier = *earlier;
        let mut subscriptions = earlier.subscriptions;
        subscriptions.extend(later.subscriptions);
        let same_epoch = earlier.position.epoch == later.position.epoch;
        let is_further = same_epoch && earlier.position.sequence > later.position.sequence;
        // What was acknowledged in ignorance of a reset does not undo it.
        let (position, resets) =
            if earlier.resets > later.resets || (earlier.resets == later.resets && is_further) {
                (earlier.position, earlier.resets)
            } else {
                (later.position, later.resets)
            };
        let keys = if later.keys.is_empty() { earlier.keys } else { later.keys };
        self.change = Some(Box::new(Change { position, resets, subscriptions, keys, ..later }));
    }
}
