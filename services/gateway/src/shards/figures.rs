//! Figures of the shards that the gateway reads.

use std::sync::{Arc, Weak};

use tidings_metrics::{Gauge, LagGauge, Registry, Snapshot, Source};
use tidings_model::ShardNumber;
use tidings_replica::Replica;
use tidings_streams::{Extent, is_at_end};

use crate::figures::{HOT, HOT_BYTES, INDEX, INDEXED, LAG, LAG_SECONDS};

/// How far the one reader of a shard's stream has come, and what the shard takes in memory.
pub(super) struct ShardFigures {
    shard: String,
    /// Figures outlive the shard, which would keep the connection to NATS.
    replica: Weak<Replica>,
    /// Everything up to this sequence is with the workers.
    delivered: Gauge,
    /// The same at the last look.
    before: Gauge,
    lag: LagGauge,
}

impl ShardFigures {
    /// Of a shard, in the registry.
    pub(super) fn register(registry: &Registry, shard: ShardNumber, replica: &Arc<Replica>) -> Arc<Self> {
        let figures = Arc::new(Self {
            shard: shard.to_string(),
            replica: Arc::downgrade(replica),
            delivered: Gauge::default(),
            before: Gauge::default(),
            lag: LagGauge::default(),
        });
        registry.register(&figures);
        figures
    }

    pub(super) fn delivered_through(&self, sequence: u64) {
        self.delivered.set(sequence);
    }

    /// The stream holds this now. Where its last messages were removed, the reader that has come to a stop is at its end
    /// all the same.
    pub(super) async fn look(&self, replica: &Replica, extent: &Extent) {
        let delivered = self.delivered.get();
        let stands_still = self.before.get() == delivered;
        self.before.set(delivered);
        let is_at_end = delivered < extent.last
            && stands_still
            && matches!(is_at_end(replica.topology(), delivered).await, Ok(true))
            && self.delivered.get() == delivered;
        self.lag.look(if is_at_end { extent.last } else { delivered }, extent.last);
    }
}

impl Source for ShardFigures {
    fn collect(&self, snapshot: &mut Snapshot) {
        let Some(replica) = self.replica.upgrade() else { return };
        let shard = &[&*self.shard];
        let (messages, time) = self.lag.read();
        snapshot.count(&LAG, shard, messages);
        snapshot.number(&LAG_SECONDS, shard, time.as_secs_f64());
        let footprint = replica.footprint();
        let gauges = [
            (&INDEXED, footprint.indexed),
            (&INDEX, footprint.mailbox_bytes),
            (&HOT, footprint.hot),
            (&HOT_BYTES, footprint.hot_tail_bytes),
        ];
        for (metric, value) in gauges {
            snapshot.count(metric, shard, u64::try_from(value).unwrap_or(u64::MAX));
        }
    }
}
