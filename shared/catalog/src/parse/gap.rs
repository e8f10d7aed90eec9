//! Parses `[gap]`: how plain clients are told of a gap.

use super::Problems;
use crate::file::{GapFile, to_json};
use crate::gap::GapForm;
use crate::template::Template;

/// Where mistakes are.
const PLACE: &str = "gap";

impl Problems {
    pub(super) fn gap(&mut self, file: GapFile) -> Option<GapForm> {
        let body = self.take(PLACE, to_json(file.body))?;
        let body = self.take(PLACE, Template::parse(&body))?;
        if !body.is_object() {
            self.add(PLACE, "`body` is not a table: a message is a JSON object");
        }
        for path in body.paths().into_iter().filter(|path| !GapForm::has(path)) {
            self.add(PLACE, format!("{{{path}}} is none of {}", GapForm::ROOTS.join(", ")));
        }
        Some(GapForm::new(body))
    }
}
