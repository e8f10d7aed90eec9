//! The end of an event's trace: deliveries whose acknowledgement is still to come.
//!
//! Only messages of sampled traces come here. Every other message costs what it cost before, and an acknowledgement one look
//! at whether there is anything here at all. What is kept is bounded, so a client that never acknowledges costs nothing more
//! either: its delivery makes room for newer ones, and its trace ends with the delivery.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tidings_model::Epoch;
use tidings_replica::FramedEnvelope;
use tidings_runtime::telemetry::propagation;
use tracing::Span;

use super::served_shard::ConnectionId;
use super::shard_progress::ShardProgress;

/// Deliveries that are kept.
const DELIVERIES: usize = 256;
/// Receivers of one delivery whose acknowledgements are traced.
const RECEIVERS: usize = 16;

#[derive(Default)]
pub(super) struct TracedDeliveries(RefCell<VecDeque<Delivery>>);

struct Delivery {
    shard: Rc<ShardProgress>,
    epoch: Epoch,
    sequence: u64,
    /// Of the delivery's span.
    trace_parent: String,
    address: String,
    event_id: String,
    receivers: Vec<ConnectionId>,
}

/// A delivery in progress: its span, if its trace is sampled, and who received it.
pub(super) struct Tracing {
    span: Span,
    trace_parent: String,
    receivers: Vec<ConnectionId>,
    count: u64,
}

impl Tracing {
    /// Continues the trace of an envelope; `None` if it has none, or one that is not sampled.
    pub(super) fn of(framed: &FramedEnvelope) -> Option<Self> {
        let envelope = framed.envelope();
        let parent = envelope.trace_parent.as_deref().filter(|parent| propagation::is_sampled(parent))?;
        let address = envelope.subject.address.to_string();
        let span = tracing::info_span!(
            target: propagation::TRACES_ONLY,
            "deliver",
            otel.name = "deliver clients",
            otel.kind = "producer",
            messaging.system = "tidings",
            messaging.operation.name = "deliver",
            messaging.operation.r#type = "send",
            messaging.destination.name = address,
            messaging.message.id = envelope.event_id,
            messaging.message.body.size = propagation::number(envelope.body.len()),
            tidings.tenant = envelope.subject.tenant.as_str(),
            tidings.sequence = propagation::number(framed.sequence()),
            tidings.receivers = tracing::field::Empty,
        );
        propagation::continue_parent(&span, parent);
        let trace_parent = propagation::sampled_parent(&span)?;
        Some(Self { span, trace_parent, receivers: Vec::new(), count: 0 })
    }

    pub(super) fn received_by(&mut self, connection: ConnectionId) {
        self.count += 1;
        if self.receivers.len() < RECEIVERS {
            self.receivers.push(connection);
        }
    }
}

impl TracedDeliveries {
    /// Ends the span of a delivery, and awaits the acknowledgements of its receivers.
    pub(super) fn delivered(&self, tracing: Tracing, shard: &Rc<ShardProgress>, framed: &FramedEnvelope) {
        let Tracing { span, trace_parent, receivers, count } = tracing;
        span.record("tidings.receivers", propagation::number(count));
        if receivers.is_empty() {
            return;
        }
        let mut deliveries = self.0.borrow_mut();
        if deliveries.len() >= DELIVERIES {
            deliveries.pop_front();
        }
        let envelope = framed.envelope();
        deliveries.push_back(Delivery {
            shard: Rc::clone(shard),
            epoch: shard.epoch(),
            sequence: framed.sequence(),
            trace_parent,
            address: envelope.subject.address.to_string(),
            event_id: envelope.event_id.clone(),
            receivers,
        });
    }

    /// A connection has acknowledged everything up to a sequence: ends the traces of what it was given.
    pub(super) fn acknowledged(&self, connection: ConnectionId, shard: &Rc<ShardProgress>, sequence: u64) {
        let mut deliveries = self.0.borrow_mut();
        if deliveries.is_empty() {
            return;
        }
        deliveries.retain_mut(|delivery| {
            let is_in_shard = Rc::ptr_eq(&delivery.shard, shard) && delivery.epoch == shard.epoch();
            if !is_in_shard || delivery.sequence > sequence {
                return true;
            }
            if let Some(index) = delivery.receivers.iter().position(|receiver| *receiver == connection) {
                delivery.receivers.swap_remove(index);
                delivery.acknowledged();
            }
            !delivery.receivers.is_empty()
        });
    }
}

impl Delivery {
    /// The last span of the trace: of one receiver's acknowledgement.
    fn acknowledged(&self) {
        let span = tracing::info_span!(
            target: propagation::TRACES_ONLY,
            "acknowledge",
            otel.name = "ack clients",
            otel.kind = "consumer",
            messaging.system = "tidings",
            messaging.operation.name = "ack",
            messaging.operation.r#type = "settle",
            messaging.destination.name = self.address,
            messaging.message.id = self.event_id,
            tidings.sequence = propagation::number(self.sequence),
        );
        propagation::continue_parent(&span, &self.trace_parent);
        span.in_scope(|| ());
    }
}
