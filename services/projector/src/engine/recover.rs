//! Recovery after a failed publication: finds what the stream holds, what is still to be written, and what never will
//! be.

use std::collections::HashMap;
use std::sync::Arc;

use tidings_streams::{EnvelopeWriter, WriteError, last_purge};

use super::refuse::refuse;
use super::{Engine, is_wanted};
use crate::error::ProjectorError;
use crate::write_queue::entry::{Cause, Item};

impl Engine {
    /// Recovers from a failed publication: reads what the stream holds and sends the rest again.
    pub(super) async fn recover(&mut self, error: WriteError) {
        self.log_interruption(&error).await;
        self.traced.lost();
        match error {
            WriteError::LostPlace => {}
            WriteError::Refused(_) => {
                let refused = self.backlog.confirm();
                refuse(&mut self.projecting, &mut self.refused, refused, &error).await;
            }
            // A lost place is resolved at once. What cannot be stored now, because the stream is full or has no
            // leader, cannot be stored a moment later either.
            WriteError::Unconfirmed { .. } | WriteError::Unavailable(_) => self.writing.wait().await,
        }
        while let Err(error) = self.try_recover().await {
            self.writing.failed(&error);
            self.writing.wait().await;
        }
        self.acknowledge_done().await;
    }

    /// Logs why writing is interrupted, once until something is written again. An interruption by a purge is normal.
    async fn log_interruption(&mut self, error: &WriteError) {
        let purge = match error {
            WriteError::LostPlace => last_purge(&self.topology, None).await.ok().flatten(),
            _ => None,
        };
        match purge {
            Some((sequence, _)) if sequence > self.stored_last => {
                tracing::info!(sequence, "going on behind the notice of a purge");
            }
            _ => self.writing.failed(error),
        }
    }

    /// Looks for writes of a former leader. What it sent before the end of its lease may arrive after this projector
    /// has looked, including the acknowledgement of an event whose envelope it held back. If another projector has
    /// moved the streams and no longer does, this one takes over the rest.
    pub(super) async fn look_for_others(&mut self) -> Result<(), ProjectorError> {
        self.reader.compare(None).await?;
        if self.backlog.len() > 0 || self.writer.unconfirmed() > 0 {
            return Ok(());
        }
        if !self.holding.is_used() {
            return Ok(());
        }
        let last = self.topology.extent().await?.last;
        let acknowledged = self.reader.acknowledged().await?;
        let is_own = self.writer.is_at(last) && acknowledged <= self.reader.position().sequence;
        let standing = (!is_own).then_some((last, acknowledged));
        if standing.is_some() && standing == self.seen {
            self.try_recover().await?;
        }
        self.seen = standing;
        Ok(())
    }

    pub(super) async fn try_recover(&mut self) -> Result<(), ProjectorError> {
        let (writer, resume) = EnvelopeWriter::open(&self.topology).await?;
        let written = resume.after.map(|after| after.event).zip(resume.stored_at);
        self.reader.compare(written).await?;
        self.reader.catch_up().await?;
        let served = Arc::clone(&self.catalogs.borrow());
        self.residents.learn(served.keys()).await?;
        if let Some(job) = self.job.as_mut() {
            job.abandon();
        }
        let residents = &self.residents;
        // An attempt of a rebuild ends with its writer; a rebuild that is still wanted starts again.
        self.job.take_if(|job| residents.wants(job.tenant(), job.rebuild()));
        let now = (self.clock)();
        // Late and rebuilt envelopes that were not written are found or produced again.
        self.backlog.rewind(|entry, item| {
            let Some(envelope) = item.envelope() else { return false };
            matches!(entry.cause, Cause::Event(_))
                && residents.is_here(envelope.subject.tenant.as_str())
                && is_wanted(envelope, resume, now)
        });
        let in_line = self.backlog.items().filter_map(Item::envelope);
        let in_line: HashMap<_, _> =
            in_line.map(|envelope| (envelope.subject.clone(), envelope.origin)).collect();
        let still = self.reader.still(resume);
        self.holding.reload(still, self.reader.position(), &in_line, residents, now).await?;
        (self.writer, self.resume) = (writer.led_in(self.term).with_window(self.in_flight), resume);
        Ok(())
    }
}
