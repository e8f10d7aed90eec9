//! What a reader finds when it looks at `EVENTS`.

use std::sync::Arc;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::stream::Stream;
use tidings_model::Epoch;

use crate::topology::lives::Lives;

/// How `EVENTS` was found.
pub(super) struct Found {
    pub(super) stream: Arc<Stream>,
    pub(super) consumer: PullConsumer,
    pub(super) begun: Option<Life>,
}

/// Another life of the stream than the reader knows, which is read behind a sequence.
pub(super) struct Life {
    pub(super) created: Epoch,
    pub(super) lives: Lives,
    pub(super) after: u64,
}
