//! The one ordered read of `ENVELOPES` per gateway: into what is retained, then to every shard.
//!
//! In this order, so that a connection that leaves the live path finds in the mailbox everything
//! that its shard has been told of.

use std::sync::Arc;

use tidings_model::Epoch;
use tidings_streams::{EnvelopeFollower, Followed};
use tokio_util::sync::CancellationToken;

use crate::framed::FramedEnvelope;
use crate::retained::Retained;
use crate::shard::ShardHandle;

/// What comes to every shard, in the same order.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// The next envelopes of the stream.
    Envelopes(Arc<[Arc<FramedEnvelope>]>),
    /// The stream was made anew; sequences begin at 1 again.
    Renewed(Epoch),
}

/// Follows the stream until cancelled.
pub(crate) async fn follow(
    mut follower: EnvelopeFollower,
    retained: Arc<Retained>,
    shards: Arc<[ShardHandle]>,
    cancelled: CancellationToken,
) {
    while let Some(followed) = cancelled.run_until_cancelled(follower.next()).await {
        let news = match followed {
            Followed::Envelopes(envelopes) => {
                let framed = envelopes.into_iter().map(|stored| Arc::new(FramedEnvelope::new(stored)));
                let framed: Arc<[_]> = framed.collect();
                retained.append(&framed);
                News::Envelopes(framed)
            }
            Followed::Renewed(epoch) => {
                retained.restart();
                News::Renewed(epoch)
            }
        };
        for shard in &*shards {
            shard.tell(news.clone()).await;
        }
    }
}
