//! The spans of writes. Envelopes of many events are written together, so a write is one span, in the trace of the first
//! event, with a link to each other event of which it has an envelope.
//!
//! Only envelopes of sampled traces count here. A span lasts from the first of them being sent until the last is stored.

use std::collections::VecDeque;

use tidings_model::Envelope;
use tidings_runtime::telemetry::propagation;
use tracing::Span;

/// Envelopes of one span; the SDK keeps as many links.
const MOST: u64 = 128;

#[derive(Default)]
pub(crate) struct WriteTrace(VecDeque<Write>);

struct Write {
    span: Span,
    sent: u64,
    stored: u64,
}

impl WriteTrace {
    /// The envelope was sent.
    pub(crate) fn sent(&mut self, envelope: &Envelope) {
        let Some(parent) = sampled(envelope) else { return };
        let joined = self.0.back_mut().filter(|write| write.sent < MOST);
        if let Some(write) = joined {
            propagation::link(&write.span, parent);
            write.sent += 1;
            return;
        }
        let span = tracing::info_span!(
            target: propagation::TRACES_ONLY,
            "write",
            otel.name = "send ENVELOPES",
            otel.kind = "producer",
            messaging.system = "nats",
            messaging.operation.name = "send",
            messaging.operation.r#type = "send",
            messaging.destination.name = "ENVELOPES",
            messaging.batch.message_count = tracing::field::Empty,
        );
        propagation::continue_parent(&span, parent);
        self.0.push_back(Write { span, sent: 1, stored: 0 });
    }

    /// The envelope is stored; they are stored in the order in which they were sent.
    pub(crate) fn stored(&mut self, envelope: &Envelope) {
        let (Some(_), Some(write)) = (sampled(envelope), self.0.front_mut()) else { return };
        write.stored += 1;
        if write.stored == write.sent {
            write.span.record("messaging.batch.message_count", propagation::number(write.sent));
            self.0.pop_front();
        }
    }

    /// What was sent and not stored will be sent again.
    pub(crate) fn lost(&mut self) {
        self.0.clear();
    }
}

fn sampled(envelope: &Envelope) -> Option<&str> {
    envelope.trace_parent.as_deref().filter(|parent| propagation::is_sampled(parent))
}
