//! Checks all examples of a tenant against its catalog.

use std::collections::{BTreeMap, BTreeSet};

use super::{Example, ExampleError};
use crate::catalog::Catalog;
use crate::file::Files;
use crate::message::MessageType;

/// The result of checking a tenant's examples.
#[derive(Debug)]
pub struct ExampleReport {
    /// The number of examples.
    pub count: usize,
    /// The failed examples, by file name.
    pub wrong: BTreeMap<String, ExampleError>,
    /// The catalog's events, `<entity>.<action>`, without an example.
    pub missing: BTreeSet<String>,
}

impl ExampleReport {
    /// Checks every file of a tenant's `examples/`.
    #[must_use]
    pub fn new(catalog: &Catalog, files: &Files) -> Self {
        let events = catalog.messages().iter().flat_map(MessageType::events);
        let mut missing: BTreeSet<_> = events.map(ToString::to_string).collect();
        let mut wrong = BTreeMap::new();
        for (name, text) in files {
            let checked = Example::parse(text).and_then(|example| {
                example.event().map(|event| missing.remove(event));
                example.check(catalog)
            });
            if let Err(error) = checked {
                wrong.insert(name.clone(), error);
            }
        }
        Self { count: files.len(), wrong, missing }
    }
}
