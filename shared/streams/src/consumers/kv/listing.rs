//! Reads many entries of the bucket in one scan.

use async_nats::jetstream::Message;
use futures_util::{StreamExt as _, stream};
use serde::de::Error as _;

use super::super::{ConsumerList, ConsumerName, ConsumerStoreError, StoredConsumer};
use super::parse;
use crate::nats::record::RecordError;
use crate::nats::{Bucket, Delivered, Scan};

type Item = Result<(ConsumerName, StoredConsumer), ConsumerStoreError>;

/// Lists the consumers with these keys, which may have wildcards.
pub(super) fn list(bucket: Bucket, keys: String) -> ConsumerList {
    let pass = bucket.scan(&keys);
    let listing = Listing { bucket, keys, pass };
    let items = stream::unfold(listing, |mut listing| async move {
        let item = listing.next().await?;
        Some((item, listing))
    });
    items.boxed()
}

struct Listing {
    bucket: Bucket,
    keys: String,
    pass: Scan,
}

impl Listing {
    async fn next(&mut self) -> Option<Item> {
        loop {
            let Delivered { message, sequence, .. } = match self.pass.next().await {
                Ok(entry) => entry?,
                Err(source) => {
                    let action = format!("list the consumers {}", self.keys);
                    return Some(Err(ConsumerStoreError::Unavailable { action, source }));
                }
            };
            if let Some(item) = self.item(&message, sequence) {
                return Some(item);
            }
        }
    }

    /// `None` for a removal marker.
    fn item(&self, message: &Message, revision: u64) -> Option<Item> {
        let key = self.bucket.key(&message.subject);
        let damaged = |source| Some(Err(ConsumerStoreError::Damaged { key: key.to_owned(), source }));
        let state = match parse(message.headers.as_ref(), &message.payload) {
            Ok(state) => state?,
            Err(error) => return damaged(error),
        };
        let Some(name) = ConsumerName::from_key(key) else {
            let reason = serde_json::Error::custom("its key names no consumer");
            return damaged(RecordError::Members(reason));
        };
        Some(Ok((name, StoredConsumer { state, pending: None, revision })))
    }
}
