//! Everything in the process that has figures.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use crate::process::ProcessFigures;
use crate::snapshot::{Page, Snapshot, Source};

/// The sources of a process. Cheap to clone; a new one has the figures of the process itself.
#[derive(Clone)]
pub struct Registry {
    process: Arc<ProcessFigures>,
    sources: Arc<RwLock<Vec<Arc<dyn Source>>>>,
    began: SystemTime,
}

impl Default for Registry {
    fn default() -> Self {
        Self { process: Arc::default(), sources: Arc::default(), began: SystemTime::now() }
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Registry").finish_non_exhaustive()
    }
}

impl Registry {
    /// Collects from this source from now on, also when its owner is gone: what was counted stays until the process ends.
    pub fn register<S: Source + 'static>(&self, source: &Arc<S>) {
        let source = Arc::clone(source);
        self.sources.write().unwrap_or_else(PoisonError::into_inner).push(source);
    }

    /// The figures of this page as they are now.
    #[must_use]
    pub fn snapshot(&self, page: Page) -> Snapshot {
        let mut snapshot = Snapshot::new(page, self.began);
        self.process.collect(&mut snapshot);
        // Not locked while sources look at themselves.
        let sources = self.sources.read().unwrap_or_else(PoisonError::into_inner).clone();
        for source in &sources {
            source.collect(&mut snapshot);
        }
        snapshot.keep_the_busiest();
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::Counter;

    crate::declare! {
        ALL { LOAVES: Counter "bakery_loaves_total" [] "Loaves.", }
    }

    struct Oven(Counter);

    impl Source for Oven {
        fn collect(&self, snapshot: &mut Snapshot) {
            snapshot.count(ALL[0], &[], self.0.get());
        }
    }

    #[test]
    fn what_was_counted_stays() {
        let registry = Registry::default();
        let ovens = [Arc::new(Oven(Counter::default())), Arc::new(Oven(Counter::default()))];
        for oven in &ovens {
            registry.register(oven);
        }
        ovens[0].0.add(3);
        ovens[1].0.add(4);
        assert_eq!(registry.snapshot(Page::Process).value(&LOAVES, &[]), Some(7.0));
        drop(ovens);
        assert_eq!(registry.snapshot(Page::Process).value(&LOAVES, &[]), Some(7.0));
    }
}
