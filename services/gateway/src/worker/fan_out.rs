//! The live path: from a shard's new envelopes to the sockets of the connections that may have them.
//!
//! First everything is given to the connections, in one step with the worker's cursor and without an await, so that no
//! connection sees one without the other; then each connection is written to once, whatever it was given. What has come
//! meanwhile is delivered together: the more there is to do, the less each message costs.

use std::rc::Rc;
use std::sync::Arc;

use tidings_model::{ShardNumber, headers};
use tidings_replica::FramedEnvelope;
use tidings_runtime::telemetry::propagation;
use tokio::sync::mpsc;
use tracing::Span;

use super::command::{Command, ShardUpdate};
use super::connection::{Batch, BatchRun, Connection};
use super::{FAIR_SHARE, ServedShard, Worker};

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
            offer_to_live(&shard, &Batch::new(envelopes, &self.common.deflate), &mut to_flush);
            for share in to_flush.chunks(FAIR_SHARE) {
                for (index, connection) in share.iter().enumerate() {
                    if let Some(next) = share.get(index + 1) {
                        next.prefetch();
                    }
                    connection.flush();
                    self.want_ack(connection);
                }
                // A large audience takes milliseconds, in which other connections want to be read.
                tokio::task::yield_now().await;
            }
            to_flush.clear();
        }
        self.to_flush.replace(to_flush);
        shard.progress.place().receive(updates);
    }
}

/// Gives a batch to every live connection, and collects those that have to be written to.
fn offer_to_live(shard: &ServedShard, batch: &Rc<Batch>, to_flush: &mut Vec<Rc<Connection>>) {
    let routes = shard.routes.borrow();
    let mut first = 0;
    for alike in batch.envelopes().chunk_by(|one, other| are_alike(one, other)) {
        let range = first..first + alike.len();
        first = range.end;
        let Some(run) = BatchRun::new(batch, range) else { continue };
        let _span = trace(run.first).entered();
        // All of a run to one connection after the other: each is looked up and touched once.
        for connection in routes.recipients(run.first.envelope()) {
            if connection.offer(&run) {
                to_flush.push(Rc::clone(connection));
            }
        }
    }
    if let Some(last) = batch.envelopes().last() {
        shard.progress.place().advance_to(last.sequence());
    }
}

/// Whether the two have the same recipients. A traced envelope stands alone, in a span of its own.
fn are_alike(one: &FramedEnvelope, other: &FramedEnvelope) -> bool {
    let (one, other) = (one.envelope(), other.envelope());
    one.subject.address == other.subject.address
        && one.subject.tenant == other.subject.tenant
        && one.attributes == other.attributes
        && one.trace_parent.is_none()
        && other.trace_parent.is_none()
}

/// The last part of an event's trace: the fan-out. Only for events whose producer traces them.
fn trace(framed: &FramedEnvelope) -> Span {
    let Some(parent) = framed.envelope().trace_parent.as_deref() else { return Span::none() };
    let span = tracing::info_span!("deliver", sequence = framed.sequence());
    propagation::continue_trace(&span, |name| (name == headers::TRACE_PARENT).then_some(parent));
    span
}

/// A worker's commands, in order.
pub(super) struct Intake {
    queue: mpsc::Receiver<Command>,
    /// Taken from the queue too early.
    ahead: Option<Command>,
}

impl Intake {
    pub(super) fn new(queue: mpsc::Receiver<Command>) -> Self {
        Self { queue, ahead: None }
    }

    /// Takes no more commands; those that have come can still be had.
    pub(super) fn close(&mut self) {
        self.queue.close();
    }

    /// The next command. May be dropped while it waits without losing anything.
    pub(super) async fn next(&mut self) -> Option<Command> {
        match self.ahead.take() {
            Some(command) => Some(command),
            None => self.queue.recv().await,
        }
    }

    /// These envelopes, with those of the same shard that have come behind them already, and how many updates they are.
    pub(super) fn gather(
        &mut self,
        shard: ShardNumber,
        envelopes: &[Arc<FramedEnvelope>],
    ) -> (Vec<Arc<FramedEnvelope>>, u64) {
        let (mut envelopes, mut updates) = (envelopes.to_vec(), 1);
        while self.ahead.is_none() && envelopes.len() < Batch::MAX {
            match self.queue.try_recv() {
                Ok(Command::Update(of, ShardUpdate::Envelopes(more))) if of == shard => {
                    envelopes.extend_from_slice(&more);
                    updates += 1;
                }
                Ok(other) => self.ahead = Some(other),
                Err(_) => break,
            }
        }
        (envelopes, updates)
    }
}
