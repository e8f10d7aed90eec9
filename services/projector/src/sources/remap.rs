//! Maps a rejected message of a source again when it is retried.
//!
//! It becomes another event of `EVENTS`, so that a rebuild finds it there under its name. If the projector is killed between
//! that and the acknowledgement, the event is stored twice; the second is a repetition, as it has the same place in the
//! source.

use tidings_catalog::{Reason, Rejection};
use tidings_model::{
    RawEvent, Tenant, copy_subject, headers, is_retried_copy, is_unnamed, retry_subject, source_of,
};
use tidings_streams::{PublishEventError, Retry, Topology};

use super::source::Sources;

/// Maps messages again.
pub(crate) struct Remap {
    topology: Topology,
    sources: Sources,
}

impl Remap {
    pub(crate) fn new(topology: &Topology, sources: Sources) -> Self {
        Self { topology: topology.clone(), sources }
    }

    /// Stores a message that is retried under the name that it has now; `false` if the event is none. Waits while NATS is away.
    pub(crate) async fn map_again(&self, event: &RawEvent) -> Result<bool, Rejection> {
        if !is_unnamed(&event.subject) || !is_retried_copy(&event.subject) {
            return Ok(false);
        }
        let named = self.named(event)?;
        let mut retry = Retry::to("store a message of a source that is retried");
        loop {
            let stored = match self.topology.send_event(&named).await {
                Ok(answer) => answer.await,
                Err(error) => Err(error),
            };
            if let Some(stored) = retry.settled(stored, PublishEventError::is_permanent).await {
                stored.map_err(|error| Rejection::new(Reason::TooLarge, &error.to_string()))?;
                return Ok(true);
            }
        }
    }

    /// The same event with a name.
    fn named(&self, event: &RawEvent) -> Result<RawEvent, Rejection> {
        let unmapped = |text: &str| Rejection::new(Reason::Unmapped, text);
        let name = source_of(&event.subject).unwrap_or_default();
        let source = self.sources.find(name).ok_or_else(|| {
            unmapped(&format!("the projector has no source {name} in its configuration; add it, send SIGHUP, and retry the event"))
        })?;
        let subject = event.header(headers::SOURCE_SUBJECT).unwrap_or_default();
        let named = source.mapping.name(subject, |header| event.header(header), &event.payload);
        let named = named.map_err(|reason| unmapped(&reason.advice(name)))?;
        let tenant = event.tenant().and_then(|tenant| Tenant::parse(tenant).ok()).unwrap_or(source.tenant);
        let subject = retry_subject(&copy_subject(&tenant, Some(&named), name));
        Ok(RawEvent { subject, ..event.clone() })
    }
}
