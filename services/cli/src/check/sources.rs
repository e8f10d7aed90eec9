//! Checks the configured sources: whether their catalogs know what they name, and what their newest messages would become.

use std::collections::BTreeMap;
use std::fmt::Display;

use tidings_catalog::{Catalogs, project};
use tidings_model::{Epoch, EventName, Position, RawEvent, copy_subject, headers};
use tidings_projector::Source;
use tidings_streams::{SourceMessage, Topology};

use crate::failure;
use crate::output::counted;

/// How many of a stream's newest messages are looked at.
const NEWEST: u64 = 1_000;

/// What is found of a source.
pub(super) struct Finding {
    pub(super) text: String,
    /// Whether the source cannot work like this.
    pub(super) is_wrong: bool,
}

impl Finding {
    fn new(source: &Source, is_wrong: bool, text: impl Display) -> Self {
        Self { text: format!("source {}: {text}", source.name), is_wrong }
    }
}

/// Names that the tenant's catalog does not know.
pub(super) fn unknown_names(source: &Source, catalogs: &Catalogs) -> Vec<Finding> {
    let Some(catalog) = catalogs.get(&source.tenant) else { return Vec::new() };
    let is_known =
        |name: &EventName| catalog.messages().iter().any(|message| message.events().contains(name));
    let unknown = source.mapping.known_names().into_iter().filter(|name| !is_known(name));
    let text = |name| format!("the catalog of tenant {} has no message for event {name}", source.tenant);
    unknown.map(|name| Finding::new(source, true, text(name))).collect()
}

/// What the newest messages of a source would become.
pub(super) async fn newest(
    source: &Source,
    topology: &Topology,
    catalogs: &Catalogs,
    max_event_bytes: usize,
) -> Vec<Finding> {
    let messages = match source.stream.newest(topology, NEWEST).await {
        Ok(messages) => messages,
        Err(error) => return vec![Finding::new(source, true, failure::line(&error))],
    };
    let mut named: BTreeMap<String, u64> = BTreeMap::new();
    let mut rejected: BTreeMap<&str, (u64, String)> = BTreeMap::new();
    for message in &messages {
        match outcome(source, message, catalogs, max_event_bytes) {
            Ok(name) => *named.entry(name).or_default() += 1,
            Err((reason, text)) => {
                let first = || (0, format!("first {:?} at {}: {text}", message.subject, message.place));
                rejected.entry(reason).or_insert_with(first).0 += 1;
            }
        }
    }
    let named: Vec<_> = named.iter().map(|(name, number)| format!("{name} {number}")).collect();
    let found = counted(messages.len() as u64, "newest message");
    let named = if named.is_empty() { "no event".to_owned() } else { named.join(", ") };
    let stream = &source.stream.stream;
    let summary = Finding::new(source, false, format!("{found} of stream {stream}: {named}"));
    let rejected = rejected.into_iter().map(|(reason, (number, first))| {
        Finding::new(source, false, format!("{number} would be rejected as {reason}, {first}"))
    });
    std::iter::once(summary).chain(rejected).collect()
}

/// The name of a message's event, or the reason why the event would be rejected.
fn outcome(
    source: &Source,
    message: &SourceMessage,
    catalogs: &Catalogs,
    max_event_bytes: usize,
) -> Result<String, (&'static str, String)> {
    let name = source.mapping.name(&message.subject, |name| message.header(name), &message.payload);
    let name = name.map_err(|unmapped| ("unmapped", unmapped.to_string()))?;
    let mut own = message.headers.clone();
    own.push((headers::SOURCE_POSITION.to_owned(), message.place.to_string()));
    let event = RawEvent {
        subject: copy_subject(&source.tenant, Some(&name), &source.name),
        headers: own,
        payload: message.payload.clone(),
        position: Position { epoch: Epoch(0), sequence: message.place.position.sequence },
        stored_at: message.place.stored_at,
    };
    let projected = project(catalogs, &event, max_event_bytes);
    projected.map(|_| name.to_string()).map_err(|rejection| (rejection.reason.as_str(), rejection.text))
}
