//! The live path: from what the stream brings to the sockets of those who hold the keys.
//!
//! First everything is given to the connections, in one step with the shard's cursor and without
//! an await, so that nobody sees one without the other; then each connection is written to once,
//! whatever it was given. What has come meanwhile is delivered together: the more there is to do,
//! the less each message costs.

use std::rc::Rc;
use std::sync::Arc;

use tidings_model::headers;
use tidings_runtime::telemetry::propagation;
use tokio::sync::mpsc;
use tracing::Span;

use super::connection::Connection;
use super::{Command, FAIR_SHARE, News, Shard};
use crate::replica::frame::FramedEnvelope;
use crate::worker::connection::batch::Batch;
use crate::worker::connection::batch_run::Run;

impl Shard {
    /// Delivers envelopes to those who are live.
    pub(super) async fn deliver(&self, envelopes: &[Arc<FramedEnvelope>]) {
        // Kept for the next time: its room is that of the largest audience.
        let mut waiting = self.waiting.take();
        for envelopes in envelopes.chunks(Batch::MAX) {
            self.give_to_live(&Batch::new(envelopes, &self.common.deflate), &mut waiting);
            for share in waiting.chunks(FAIR_SHARE) {
                for (index, connection) in share.iter().enumerate() {
                    if let Some(next) = share.get(index + 1) {
                        next.approach();
                    }
                    connection.flush();
                    self.touch(connection);
                }
                // A large audience takes milliseconds, in which others want to be read.
                tokio::task::yield_now().await;
            }
            waiting.clear();
        }
        self.waiting.replace(waiting);
    }

    /// Gives a batch to everybody who is live, and notes who has to be written to.
    fn give_to_live(&self, batch: &Rc<Batch>, waiting: &mut Vec<Rc<Connection>>) {
        let directory = self.directory.borrow();
        let mut first = 0;
        for alike in batch.envelopes().chunk_by(|one, other| are_alike(one, other)) {
            let range = first..first + alike.len();
            first = range.end;
            let Some(run) = Run::new(batch, range) else { continue };
            let _span = trace(run.first).entered();
            // All of a run to one connection after the other: each is looked up and touched once.
            for connection in directory.recipients(run.first.envelope()) {
                if connection.offer(&run) {
                    waiting.push(Rc::clone(connection));
                }
            }
        }
        if let Some(last) = batch.envelopes().last() {
            self.cursor.set(last.sequence());
        }
    }
}

/// Whether whoever may have and wants the one may have and wants the other. What is traced stands
/// alone, in a span of its own.
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

/// What comes to a shard, in order.
pub(super) struct Intake {
    queue: mpsc::Receiver<Command>,
    /// Taken from the queue too early.
    ahead: Option<Command>,
}

impl Intake {
    pub(super) fn new(queue: mpsc::Receiver<Command>) -> Self {
        Self { queue, ahead: None }
    }

    /// Nothing more comes; what has come is still to be had.
    pub(super) fn close(&mut self) {
        self.queue.close();
    }

    /// What comes next. May be dropped while it waits without losing anything.
    pub(super) async fn next(&mut self) -> Option<Command> {
        match self.ahead.take() {
            Some(command) => Some(command),
            None => self.queue.recv().await,
        }
    }

    /// With what has come behind them already.
    pub(super) fn gather(&mut self, envelopes: &[Arc<FramedEnvelope>]) -> Vec<Arc<FramedEnvelope>> {
        let mut envelopes = envelopes.to_vec();
        while self.ahead.is_none() && envelopes.len() < Batch::MAX {
            match self.queue.try_recv() {
                Ok(Command::Tell(News::Envelopes(more))) => envelopes.extend_from_slice(&more),
                Ok(other) => self.ahead = Some(other),
                Err(_) => break,
            }
        }
        envelopes
    }
}
