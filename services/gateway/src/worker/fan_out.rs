//! The live path of a worker: from a shard's new envelopes to the sockets of the connections that may have them.
//!
//! Everything is first given to the connections, in one step with the worker's cursor and without an await, so that no
//! connection sees one without the other; then each connection is written to once, whatever it was given. What has come
//! meanwhile is delivered together: the more there is to do, the less each message costs.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidings_model::ShardNumber;
use tidings_replica::FramedEnvelope;

use super::connection::{Batch, BatchRun, Connection};
use super::figures::Counted;
use super::traced::Tracing;
use super::{FAIR_SHARE, Shard, Worker};

impl Worker {
    /// Delivers a shard's envelopes, which came in so many updates, to the live connections.
    pub(super) async fn fan_out(
        &self,
        (shard, updates): (ShardNumber, u64),
        envelopes: &[Arc<FramedEnvelope>],
    ) {
        let Some(shard) = self.shard(shard) else { return };
        // Kept for the next time: its room is that of the largest audience.
        let mut to_flush = self.to_flush.take();
        for envelopes in envelopes.chunks(Batch::MAX) {
            let batch = Batch::new(envelopes, self.common.deflate());
            self.offer_to_live(&shard, &batch, &mut to_flush);
            let oldest = envelopes.first().map(|framed| framed.stored_at());
            for share in to_flush.chunks(FAIR_SHARE) {
                for (index, connection) in share.iter().enumerate() {
                    if let Some(next) = share.get(index + 1) {
                        next.prefetch();
                    }
                    connection.flush();
                    self.want_ack(connection);
                }
                // Clocks differ: what comes from the future has just been stored.
                let time = oldest.and_then(|at| Duration::try_from(self.now() - at).ok());
                self.figures.count(Counted::Written(time.unwrap_or_default()), share.len() as u64);
                // A large audience takes milliseconds, in which other connections want to be read.
                tokio::task::yield_now().await;
            }
            to_flush.clear();
        }
        self.to_flush.replace(to_flush);
        shard.progress().place().receive(updates);
    }

    /// Gives a batch to every live connection, and collects those that have to be written to.
    fn offer_to_live(&self, shard: &Shard, batch: &Rc<Batch>, to_flush: &mut Vec<Rc<Connection>>) {
        let (catalogs, figures) = (self.catalogs.borrow(), &self.figures);
        let mut first = 0;
        for alike in batch.envelopes().chunk_by(|one, other| are_alike(one, other)) {
            let range = first..first + alike.len();
            first = range.end;
            let tenant = alike.first().map(|framed| &framed.envelope().subject.tenant);
            let digest = tenant.and_then(|tenant| catalogs.get(tenant)?.digest());
            let every = digest.map(|digest| digest.every());
            let Some(run) = BatchRun::new(batch, range, every) else { continue };
            let (before, mut of_tenant) = (figures.given_live(), None);
            // All of a run to one connection after the other: each is looked up and touched once.
            let mut give = |connection: &Rc<Connection>| {
                if connection.offer(&run) {
                    to_flush.push(Rc::clone(connection));
                }
                of_tenant.get_or_insert_with(|| Rc::clone(connection));
            };
            match Tracing::of(run.first()) {
                None => shard.offer(run.first().envelope(), give),
                Some(mut tracing) => {
                    let sequence = run.first().sequence();
                    shard.offer(run.first().envelope(), |connection| {
                        give(connection);
                        if connection.state().sent() == sequence {
                            tracing.received_by(connection.id());
                        }
                    });
                    self.traced.delivered(tracing, shard.progress(), run.first());
                }
            }
            if let Some(connection) = of_tenant {
                connection.state().budget().count_delivered(figures.given_live() - before);
            }
        }
        if let Some(last) = batch.envelopes().last() {
            shard.progress().place().advance_to(last.sequence());
        }
    }
}

/// Whether the two have the same recipients. A traced envelope stands alone, in a span of its own (`traced`).
fn are_alike(one: &FramedEnvelope, other: &FramedEnvelope) -> bool {
    let (one, other) = (one.envelope(), other.envelope());
    one.subject.address == other.subject.address
        && one.subject.tenant == other.subject.tenant
        && one.attributes == other.attributes
        && one.trace_parent.is_none()
        && other.trace_parent.is_none()
}
