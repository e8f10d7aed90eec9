//! Figures of the catalogs: which ones run, and how reloading them went.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};
use tidings_catalog::Files;
use tidings_metrics::{Counter, Snapshot, Source};
use tidings_model::Tenant;

use crate::catalogs::Texts;

tidings_metrics::declare! {
    /// What is known of catalogs.
    pub(crate) METRICS {
        RELOADS: Counter "tidings_catalog_reloads_total" ["result"]
            "Attempts to reload the catalogs, by `result`: `reloaded`, `unchanged`, `refused` (one has an error; the previous \
             ones stay in use).",
        LOADED: Gauge "tidings_catalog_loaded_timestamp_seconds" []
            "When the catalogs in use were loaded, in seconds since 1970.",
        CATALOG: Gauge "tidings_catalog_info" ["tenant", "version"]
            "Always 1; `version` is a hash of the tenant's catalog and schemas, equal in all processes that use the same.",
    }
}

/// The catalogs in use, and how reloading went.
pub(super) struct CatalogFigures {
    reloaded: Counter,
    unchanged: Counter,
    refused: Counter,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    at: SystemTime,
    versions: BTreeMap<Tenant, String>,
}

impl Loaded {
    fn now(texts: &Texts) -> Mutex<Self> {
        let versions = texts.iter().map(|(tenant, files)| (tenant.clone(), version(files))).collect();
        Mutex::new(Self { at: SystemTime::now(), versions })
    }
}

impl CatalogFigures {
    pub(super) fn new(texts: &Texts) -> Self {
        Self {
            reloaded: Counter::default(),
            unchanged: Counter::default(),
            refused: Counter::default(),
            loaded: Loaded::now(texts),
        }
    }

    pub(super) fn reloaded(&self, texts: &Texts) {
        self.reloaded.increment();
        let loaded = Loaded::now(texts).into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    pub(super) fn unchanged(&self) {
        self.unchanged.increment();
    }

    pub(super) fn refused(&self) {
        self.refused.increment();
    }
}

/// The first digits of a hash of names and contents.
fn version(files: &Files) -> String {
    let mut hash = Sha256::new();
    for part in files.iter().flat_map(|(name, text)| [name, text]) {
        // With its length, so that no two sets of files are the same bytes.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = format!("{:x}", hash.finalize());
    digest.get(..12).unwrap_or(&digest).to_owned()
}

impl Source for CatalogFigures {
    fn collect(&self, snapshot: &mut Snapshot) {
        let results =
            [("reloaded", &self.reloaded), ("unchanged", &self.unchanged), ("refused", &self.refused)];
        for (result, counter) in results {
            snapshot.count(&RELOADS, &[result], counter.get());
        }
        let loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let at = loaded.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        snapshot.number(&LOADED, &[], at.as_secs_f64());
        for (tenant, version) in &loaded.versions {
            snapshot.count(&CATALOG, &[tenant.as_str(), version], 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_depends_on_every_name_and_text() {
        let files = |pairs: &[(&str, &str)]| {
            version(&pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect())
        };
        let one = files(&[("catalog.toml", "a"), ("x.json", "b")]);
        assert_eq!(one.len(), 12);
        assert_eq!(one, files(&[("x.json", "b"), ("catalog.toml", "a")]));
        for other in [
            files(&[("catalog.toml", "a"), ("x.json", "c")]),
            files(&[("catalog.toml", "a"), ("y.json", "b")]),
            files(&[("catalog.toml", "ax.json"), ("", "b")]),
            files(&[("catalog.toml", "a")]),
        ] {
            assert_ne!(one, other);
        }
    }
}
