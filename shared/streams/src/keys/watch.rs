//! Watches the bucket `KEYS`: first all of its entries, then each change.

use std::collections::HashMap;
use std::sync::Arc;

use tidings_model::Epoch;

use super::{KeyName, KeyState};
use crate::nats::record::{self, Reported};
use crate::nats::{Bucket, BucketNews, BucketWatch, Delivered, is_removal};

/// What a watch returns.
#[derive(Debug)]
pub enum KeyNews {
    /// All keys in this epoch of the bucket.
    All(Epoch, HashMap<KeyName, KnownKey>),
    /// The new record of one key.
    One(KeyName, KnownKey),
}

/// The record of a key; `None` if it was removed or cannot be read, in which case the key is to be refused.
pub type KnownKey = Option<KeyState>;

/// Reads the bucket and its changes.
pub struct KeyWatch(BucketWatch<(KeyName, KnownKey)>);

impl KeyWatch {
    pub(super) fn new(bucket: Bucket, reported: Arc<Reported<KeyName>>) -> Self {
        Self(BucketWatch::new(bucket, move |key, delivered| entry(&reported, key, delivered)))
    }

    /// Returns what comes next; first of all, and after every fault, [`KeyNews::All`]. Waits until faults of NATS have
    /// passed. Cancel-safe.
    pub async fn next(&mut self) -> KeyNews {
        match self.0.next().await {
            BucketNews::All(epoch, all) => KeyNews::All(epoch, all.into_iter().collect()),
            BucketNews::One((name, state)) => KeyNews::One(name, state),
        }
    }
}

/// The key of an entry, and its record.
pub(super) fn entry(
    reported: &Reported<KeyName>,
    key: &str,
    delivered: &Delivered,
) -> Option<(KeyName, KnownKey)> {
    let name = KeyName::from_key(key);
    if name.is_none() {
        tracing::warn!(key, "skipped an entry of the bucket KEYS whose key is not one of an API key");
    }
    let name = name?;
    let Delivered { message, sequence, .. } = delivered;
    if is_removal(message.headers.as_ref()) {
        return Some((name, None));
    }
    let state = record::decode(&message.payload).inspect_err(|error| {
        if reported.is_new(&name, *sequence) {
            let error = error as &dyn std::error::Error;
            tracing::error!(key = %name, error, "an entry of the bucket KEYS cannot be read; the key is refused");
        }
    });
    Some((name, state.ok()))
}
