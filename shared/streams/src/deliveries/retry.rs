//! Makes a delivery due again that was not sent.
//!
//! Each fact that a delivery was not sent keeps what is known of it in a header. A retry stores that as due once more, with
//! the sequence of the fact; the dispatcher decides about it as about any other, and looks whether it was received meanwhile.

use async_nats::HeaderMap;
use tidings_model::{DeliveryName, headers};

use super::fact::{Fact, Status};
use super::pending::{Pending, Retried};
use super::{Deliveries, DeliveryError};
use crate::nats::{leader_get, record, set};

/// Keeps what is known of a delivery with the fact that it was not sent.
pub(super) fn keep(map: &mut HeaderMap, pending: &Pending) -> Result<(), DeliveryError> {
    // Escaped, JSON has no line breaks, which would end the headers.
    let json = record::encode(&Pending { retry: None, ..pending.clone() }).map_err(DeliveryError::Encode)?;
    set(map, headers::DELIVERY, String::from_utf8_lossy(&json));
    Ok(())
}

impl Deliveries {
    /// Makes a delivery due again. Returns the fact that had decided it. Done twice before the dispatcher has handled it, it
    /// is handled once.
    pub async fn retry(&self, name: &DeliveryName) -> Result<Fact, RetryDeliveryError> {
        let last = leader_get::last(&self.stream, &name.facts()).await.map_err(DeliveryError::Read)?;
        let last = last.ok_or(RetryDeliveryError::NotFound)?;
        let damaged = |source| DeliveryError::Damaged { sequence: last.sequence, source };
        let fact: Fact = record::decode(&last.payload).map_err(damaged)?;
        if !fact.status.may_be_retried() {
            return Err(RetryDeliveryError::Status(fact.status));
        }
        let kept = last.headers.get(headers::DELIVERY).ok_or(RetryDeliveryError::NotKept)?;
        let kept: Pending = record::decode(kept.as_str().as_bytes()).map_err(damaged)?;
        let retry = Retried { fact: last.sequence, attempts: fact.attempts };
        let pending = Pending { attempts: fact.attempts, retry: Some(retry), ..kept };
        let mut map = HeaderMap::new();
        set(&mut map, headers::EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        let payload = record::encode(&pending).map_err(DeliveryError::Encode)?;
        if self.publish(name.due(), map, payload).await?.is_some() {
            return Ok(fact);
        }
        let due = leader_get::last(&self.stream, &name.due()).await.map_err(DeliveryError::Read)?;
        let due = due.and_then(|due| record::decode::<Pending>(&due.payload).ok());
        if due.is_some_and(|due| due.retry == Some(retry)) {
            return Ok(fact);
        }
        Err(DeliveryError::Contended.into())
    }
}

/// Why a delivery cannot be retried.
#[derive(Debug, thiserror::Error)]
pub enum RetryDeliveryError {
    /// Nothing is known of it.
    #[error(
        "nothing is known of this delivery; what became of deliveries is kept two days longer than envelopes"
    )]
    NotFound,
    /// It was sent, or is under way.
    #[error("the delivery is `{}`; only one that was skipped, has failed, or is unknown can be retried", .0.as_str())]
    Status(Status),
    /// It was decided by a version of Tidings that kept nothing for a retry.
    #[error("the dispatcher that decided the delivery is of a version that keeps nothing for a retry")]
    NotKept,
    /// The stream cannot be read or written.
    #[error(transparent)]
    Deliveries(#[from] DeliveryError),
}
