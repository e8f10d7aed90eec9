//! What is counted of canaries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidings_metrics::{Counter, Histogram, Snapshot, Source};
use tidings_model::Tenant;
use tokio::time::Instant;

tidings_metrics::declare! {
    /// What is counted of canaries.
    pub(crate) METRICS {
        EVENTS: Counter "tidings_canary_events_total" ["tenant", "result"]
            "Events of the tenant's canary, by `result`: `sent` and stored, `failed` to be stored, `delivered` to its client.",
        DELIVERY: Histogram "tidings_canary_delivery_seconds" ["tenant"]
            "Time from before the canary's event was published until its client had received the message, in seconds.",
        SILENCE: Gauge "tidings_canary_silence_seconds" ["tenant"]
            "For how long the canary's client has received nothing, in seconds; at first, since the canary started.",
    }
}

/// The figures of one canary.
#[derive(Debug)]
pub(super) struct CanaryFigures {
    sent: Counter,
    failed: Counter,
    delivered: Counter,
    delivery: Histogram,
    last: Mutex<Instant>,
}

impl CanaryFigures {
    fn new() -> Self {
        Self {
            sent: Counter::default(),
            failed: Counter::default(),
            delivered: Counter::default(),
            delivery: Histogram::default(),
            last: Mutex::new(Instant::now()),
        }
    }

    /// An event was sent, and is stored or not.
    pub(super) fn sent(&self, is_stored: bool) {
        if is_stored { self.sent.increment() } else { self.failed.increment() }
    }

    /// An event came back after this time.
    pub(super) fn came(&self, after: Duration) {
        self.delivered.increment();
        self.delivery.observe(after, 1);
        *locked(&self.last) = Instant::now();
    }
}

/// The figures of all canaries.
#[derive(Debug, Default)]
pub(super) struct CanariesFigures(Mutex<BTreeMap<String, Arc<CanaryFigures>>>);

impl CanariesFigures {
    pub(super) fn of(&self, tenant: &Tenant) -> Arc<CanaryFigures> {
        let mut all = locked(&self.0);
        Arc::clone(all.entry(tenant.to_string()).or_insert_with(|| Arc::new(CanaryFigures::new())))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Source for CanariesFigures {
    fn collect(&self, snapshot: &mut Snapshot) {
        for (tenant, figures) in locked(&self.0).iter() {
            snapshot.count(&EVENTS, &[tenant, "sent"], figures.sent.get());
            snapshot.count(&EVENTS, &[tenant, "failed"], figures.failed.get());
            snapshot.count(&EVENTS, &[tenant, "delivered"], figures.delivered.get());
            snapshot.histogram(&DELIVERY, &[tenant], &figures.delivery);
            snapshot.number(&SILENCE, &[tenant], locked(&figures.last).elapsed().as_secs_f64());
        }
    }
}
