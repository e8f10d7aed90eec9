//! What plain clients are told of a gap: `[gap]` in a catalog.
//!
//! Clients of `tidings.v1` are told in the protocol's own form. A plain client knows nothing but its catalog's messages, so the
//! catalog says in which form it is told, if it is.

use std::borrow::Cow;

use serde_json::Value;

use crate::template::{Path, Scope, Template};

/// A gap between two positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldGap<'a> {
    /// The position that the client had reached.
    pub from: &'a str,
    /// The position after which delivery continues.
    pub to: &'a str,
    /// Why: `epoch`, `future` or `retention`.
    pub reason: &'a str,
    /// When the client is told.
    pub time: &'a str,
}

/// The form in which plain clients are told.
#[derive(Debug)]
pub(crate) struct GapForm(Template);

impl GapForm {
    /// The paths of its templates, each of which is one of these names.
    pub(crate) const ROOTS: [&str; 4] = ["from", "to", "reason", "time"];

    pub(crate) fn new(body: Template) -> Self {
        Self(body)
    }

    /// Whether a path leads to something that is known of every gap.
    pub(crate) fn has(path: &Path) -> bool {
        Self::ROOTS.contains(&path.to_string().as_str())
    }

    /// The message. Nothing in it can be missing, since every path was checked.
    pub(crate) fn message(&self, gap: ToldGap<'_>) -> Option<String> {
        self.0.render(&gap).ok().flatten().map(|message| message.to_string())
    }
}

impl Scope for ToldGap<'_> {
    fn root(&self, name: &str) -> Option<Cow<'_, Value>> {
        let text = match name {
            "from" => self.from,
            "to" => self.to,
            "reason" => self.reason,
            "time" => self.time,
            _ => return None,
        };
        Some(Cow::Owned(Value::from(text)))
    }
}
