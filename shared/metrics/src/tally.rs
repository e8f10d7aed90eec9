//! Numbers of one metric that are counted under labels known from the start, and times of one metric: sources by
//! themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::counter::Counter;
use crate::histogram::Histogram;
use crate::metric::Metric;
use crate::registry::Registry;
use crate::snapshot::{Snapshot, Source};

/// A counter for each value of a metric's only label.
#[derive(Debug)]
pub struct Tally {
    metric: &'static Metric,
    counters: Box<[(&'static str, Counter)]>,
}

impl Tally {
    /// Counters for these values, in a registry. Those of equal values are shown as one.
    pub fn register(
        registry: &Registry,
        metric: &'static Metric,
        labels: impl IntoIterator<Item = &'static str>,
    ) -> Arc<Self> {
        let counters = labels.into_iter().map(|label| (label, Counter::default())).collect();
        let tally = Arc::new(Self { metric, counters });
        registry.register(&tally);
        tally
    }

    /// Adds one to the counter with this number, from 0 on in the order of the labels.
    pub fn increment(&self, number: usize) {
        if let Some((_, counter)) = self.counters.get(number) {
            counter.increment();
        }
    }
}

impl Source for Tally {
    fn collect(&self, snapshot: &mut Snapshot) {
        for (label, counter) in &self.counters {
            snapshot.count(self.metric, &[label], counter.get());
        }
    }
}

/// A histogram of a metric without labels.
#[derive(Debug)]
pub struct Timing {
    metric: &'static Metric,
    histogram: Histogram,
}

impl Timing {
    /// A histogram in a registry.
    #[must_use]
    pub fn register(registry: &Registry, metric: &'static Metric) -> Arc<Self> {
        let timing = Arc::new(Self { metric, histogram: Histogram::default() });
        registry.register(&timing);
        timing
    }

    /// Notes that something took this long.
    pub fn observe(&self, time: Duration) {
        self.histogram.observe(time, 1);
    }
}

impl Source for Timing {
    fn collect(&self, snapshot: &mut Snapshot) {
        snapshot.histogram(self.metric, &[], &self.histogram);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Page;

    crate::declare! {
        ALL {
            LOAVES: Counter "bakery_loaves_total" ["flour"] "Loaves.",
            BAKING: Histogram "bakery_baking_seconds" [] "Time.",
        }
    }

    #[test]
    fn equal_labels_are_one_series() {
        let registry = Registry::default();
        let tally = Tally::register(&registry, ALL[0], ["rye", "oat", "rye"]);
        let timing = Timing::register(&registry, &BAKING);
        for number in [0, 2, 9] {
            tally.increment(number);
        }
        timing.observe(Duration::from_secs(1));
        let snapshot = registry.snapshot(Page::Process);
        assert_eq!(snapshot.value(&LOAVES, &["rye"]), Some(2.0));
        assert_eq!(snapshot.value(&LOAVES, &["oat"]), Some(0.0));
        assert_eq!(snapshot.value(&BAKING, &[]), Some(1.0));
    }
}
