//! What is counted of sources. They are few, so each has a series of its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidings_metrics::{Counter, Gauge, LagGauge, Snapshot, Source};

tidings_metrics::declare! {
    /// What is counted of sources.
    pub METRICS {
        ACTIVE: Gauge "tidings_source_active" ["source"]
            "1 in the projector that copies the source, 0 in one that stands by.",
        LAG: Gauge "tidings_source_lag_messages" ["source"]
            "Messages of the source that are not copied into `EVENTS` yet; of the projector that copies it.",
        LAG_SECONDS: Gauge "tidings_source_lag_seconds" ["source"]
            "For how long there have been such messages, in seconds; 0 while it keeps up.",
        COPIED: Counter "tidings_source_copied_messages_total" ["source", "result"]
            "Messages that were copied, by `result`: `named`, or `unmapped` without an event's name, for `REJECTED`.",
    }
}

/// The figures of one source.
#[derive(Debug, Default)]
pub(super) struct SourceFigures {
    active: Gauge,
    lag: LagGauge,
    named: Counter,
    unmapped: Counter,
}

impl SourceFigures {
    pub(super) fn active(&self, is_active: bool) {
        self.active.set(is_active.into());
    }

    pub(super) fn copied(&self, has_name: bool) {
        if has_name { self.named.increment() } else { self.unmapped.increment() }
    }

    /// The message that was copied last, and how many are left.
    pub(super) fn look(&self, done: u64, left: u64) {
        self.lag.look(done, done.saturating_add(left));
    }
}

/// The figures of all sources.
#[derive(Debug, Default)]
pub(super) struct SourcesFigures(Mutex<BTreeMap<String, Arc<SourceFigures>>>);

impl SourcesFigures {
    pub(super) fn of(&self, source: &str) -> Arc<SourceFigures> {
        Arc::clone(self.lock().entry(source.to_owned()).or_default())
    }

    pub(super) fn remove(&self, source: &str) {
        self.lock().remove(source);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<SourceFigures>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for SourcesFigures {
    fn collect(&self, snapshot: &mut Snapshot) {
        for (name, figures) in self.lock().iter() {
            snapshot.count(&ACTIVE, &[name], figures.active.get());
            // One that stands by does not know how far the other has come.
            if figures.active.get() > 0 {
                let (messages, time) = figures.lag.read();
                snapshot.count(&LAG, &[name], messages);
                snapshot.number(&LAG_SECONDS, &[name], time.as_secs_f64());
            }
            snapshot.count(&COPIED, &[name, "named"], figures.named.get());
            snapshot.count(&COPIED, &[name, "unmapped"], figures.unmapped.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use tidings_metrics::{Format, Page, Registry, expose};

    use super::*;

    #[test]
    fn a_source_that_is_behind_shows_by_how_much() {
        let (registry, figures) = (Registry::default(), Arc::new(SourcesFigures::default()));
        registry.register(&figures);
        let orders = figures.of("orders");
        orders.look(10, 7);
        let text = || {
            let exposition = expose(registry.snapshot(Page::Process), Format::Text);
            String::from_utf8(exposition.body).unwrap()
        };
        assert!(!text().contains("tidings_source_lag_messages{"), "it stands by");
        orders.active(true);
        orders.copied(true);
        orders.copied(true);
        orders.copied(false);
        let shown = text();
        for line in [
            "tidings_source_active{source=\"orders\"} 1",
            "tidings_source_lag_messages{source=\"orders\"} 7",
            "tidings_source_copied_messages_total{source=\"orders\",result=\"named\"} 2",
            "tidings_source_copied_messages_total{source=\"orders\",result=\"unmapped\"} 1",
        ] {
            assert!(shown.contains(line), "{line} is not in\n{shown}");
        }
        figures.remove("orders");
        assert!(!text().contains("source=\"orders\""));
    }
}
