//! Limits of the producers of one tenant that publish over HTTP.

use std::hash::{BuildHasher as _, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tidings_rate::{Rate, RateByKey};
use tidings_runtime::config::{GatewayConfig, TenantConfig};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::figures::{Counted, Limit, Usage};
use crate::error::{ApiCode, ApiError};

/// Memory for the requests of one tenant that are being read, in units of [`UNIT`].
const MEMORY: u32 = 32 * 1024;
/// How long a request may wait for memory.
const PATIENCE: Duration = Duration::from_secs(5);
/// When its producer tries again.
const WHEN_FULL: Duration = Duration::from_secs(1);
/// What one permit stands for, in bytes.
const UNIT: usize = 1024;

/// What the producers of a tenant may publish, and what of it is used up.
pub(crate) struct ProducerLimits {
    max_request_bytes: usize,
    rate: Rate,
    /// By a hash of the producer's name; its secret is the process's own.
    events: RateByKey<u64>,
    hasher: RandomState,
    memory: Arc<Semaphore>,
    usage: Arc<Usage>,
}

impl ProducerLimits {
    /// As a tenant's own table says, and else as all tenants have it.
    pub(super) fn new(all: &GatewayConfig, own: &TenantConfig, usage: Arc<Usage>) -> Self {
        let rate = Rate::new(
            own.producer_events_per_minute.unwrap_or(all.producer_events_per_minute),
            own.producer_event_burst.unwrap_or(all.producer_event_burst),
        );
        Self {
            max_request_bytes: all.max_producer_request_bytes,
            rate,
            events: RateByKey::new(rate),
            hasher: RandomState::new(),
            memory: Arc::new(Semaphore::new(MEMORY as usize)),
            usage,
        }
    }

    /// Bytes that the body of one request may have.
    pub(crate) fn max_request_bytes(&self) -> usize {
        self.max_request_bytes
    }

    /// Memory for a body of so many bytes, or of as many as may be. A tenant that sends more at once than there is room for
    /// waits for its own requests alone, and not for long.
    pub(crate) async fn reserve(&self, bytes: Option<usize>) -> Result<OwnedSemaphorePermit, ApiError> {
        let bytes = bytes.unwrap_or(self.max_request_bytes).min(self.max_request_bytes);
        let units = u32::try_from(bytes.div_ceil(UNIT).max(1)).unwrap_or(u32::MAX).min(MEMORY);
        let full = || {
            let text =
                "the producers of this tenant send more at once than the gateway has room for; try again";
            ApiError::new(ApiCode::TooManyEvents, text).retry_after(WHEN_FULL)
        };
        let reserving = Arc::clone(&self.memory).acquire_many_owned(units);
        timeout(PATIENCE, reserving).await.ok().and_then(Result::ok).ok_or_else(full)
    }

    /// A producer publishes so many events more.
    pub(crate) fn publish(&self, producer: &str, events: usize) -> Result<(), ApiError> {
        let Some(events) = NonZeroU32::new(u32::try_from(events).unwrap_or(u32::MAX)) else { return Ok(()) };
        self.events.check_many(&self.hasher.hash_one(producer), events).map_err(|wait| {
            self.usage.count(Counted::Refused(Limit::ProducerEvents));
            let text = format!("more than {} events per minute of this producer", self.rate.per_minute());
            ApiError::new(ApiCode::TooManyEvents, text).retry_after(wait)
        })
    }
}
