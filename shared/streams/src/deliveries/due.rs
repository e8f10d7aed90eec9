//! Reads what is due.

use std::collections::VecDeque;

use async_nats::jetstream::Context;
use tidings_model::{DeliveryName, Tenant};
use time::OffsetDateTime;

use super::pending::Pending;
use super::{DELIVERIES, DeliveryError};
use crate::nats::{Content, Delivered, OrderedReader, Read, Selection, record};

/// A delivery that is due.
#[derive(Debug, Clone)]
pub struct Due {
    /// Its name.
    pub name: DeliveryName,
    /// What is known of it.
    pub pending: Pending,
    /// The sequence of the message, by which it is removed.
    pub sequence: u64,
    /// When JetStream stored it as due.
    pub at: OffsetDateTime,
}

/// Reads a tenant's deliveries that are due, the oldest first.
pub struct DueReader {
    reader: OrderedReader,
    ready: VecDeque<Due>,
}

impl DueReader {
    pub(super) async fn open(context: Context, tenant: &Tenant) -> Result<Self, DeliveryError> {
        let subjects = vec![DeliveryName::all_due(tenant)];
        let selection = Selection::new(DELIVERIES.to_owned(), subjects, Content::Whole);
        let reader = OrderedReader::open_at_start(context, selection).await.map_err(DeliveryError::List)?;
        Ok(Self { reader, ready: VecDeque::new() })
    }

    /// Waits for the next one. After NATS came back with an older state, all that are there are returned again. Waits until
    /// faults of NATS have passed. Cancel-safe.
    pub async fn next(&mut self) -> Due {
        loop {
            if let Some(due) = self.ready.pop_front() {
                return due;
            }
            if let Read::Messages(messages) = self.reader.read().await {
                self.ready.extend(messages.iter().filter_map(read));
            }
        }
    }
}

/// Reads one; one that cannot be read stays where it is, and is logged.
fn read(delivered: &Delivered) -> Option<Due> {
    let Delivered { message, sequence, time } = delivered;
    let pending = record::decode::<Pending>(&message.payload);
    match (DeliveryName::parse(&message.subject), pending) {
        (Some(name), Ok(pending)) => Some(Due { name, pending, sequence: *sequence, at: *time }),
        (_, pending) => {
            let error = pending.err();
            tracing::error!(
                error = error.as_ref().map(|error| error as &dyn std::error::Error),
                subject = %message.subject, sequence,
                "a delivery that is due cannot be read, and stays in stream DELIVERIES"
            );
            None
        }
    }
}
