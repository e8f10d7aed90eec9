//! Rebuild: writes a tenant's envelopes again, beside live projecting.
//!
//! A task of its own copies and projects ([`producer`]). What it produces waits here until [`schedule`] allows it to
//! be queued; the engine's one writer sends it. An attempt knows the content of the stream from where its
//! writer was opened. Another projector, a purge or a fault takes the writer's place and ends the attempt. The next
//! attempt continues behind what is stored: so no envelope is written twice, and none that was removed meanwhile
//! returns.

mod producer;
mod schedule;

use std::future::pending;

use tidings_model::{Envelope, Placement, Position, Progress, Rebuild, Tenant};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::write_queue::entry::Rebuilt;
pub(crate) use producer::{Maker, RebuildContext};
use schedule::Schedule;

/// How many events may wait to be queued.
const AHEAD: usize = 256;

/// One attempt of a rebuild.
pub(crate) struct RunningRebuild {
    tenant: Tenant,
    rebuild: Rebuild,
    stage: Stage,
    course: Schedule,
    made: mpsc::Receiver<Made>,
    /// The next item, received and not yet allowed to be queued.
    first: Option<Made>,
    progress: watch::Sender<Progress>,
    _making: AbortOnDropHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Making,
    /// The notice is queued.
    Announced,
    /// The rebuild is cancelled; its queued envelopes are still to be stored, and then removed.
    Cancelled,
}

/// What a [`Maker`] produces.
pub(crate) enum Made {
    /// The envelopes of one event, or a copied one.
    Envelopes {
        /// `None` for a copied envelope.
        event: Option<Position>,
        envelopes: Vec<Envelope>,
        kept_until: time::OffsetDateTime,
        is_rejected: bool,
        /// The number of remaining events, as far as it is known.
        left: u64,
    },
    /// All events up to `passed` are projected; `last` is the tenant's last event.
    Reached { passed: Position, last: Option<Position> },
}

impl RunningRebuild {
    pub(crate) fn start(
        workshop: &RebuildContext,
        (tenant, placement, rebuild): (&Tenant, &Placement, &Rebuild),
        share: usize,
    ) -> Self {
        let (sender, made) = mpsc::channel(AHEAD);
        let (progress, reported) = watch::channel(rebuild.progress.unwrap_or_default());
        let maker = Maker::new(workshop, tenant, placement.current.place, rebuild, sender);
        tracing::info!(%tenant, place = %rebuild.place, "rebuilding the tenant's envelopes");
        Self {
            tenant: tenant.clone(),
            rebuild: rebuild.clone(),
            stage: Stage::Making,
            course: Schedule::new(share),
            made,
            first: None,
            progress,
            _making: AbortOnDropHandle::new(tokio::spawn(maker.run(reported))),
        }
    }

    pub(crate) fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    pub(crate) fn rebuild(&self) -> &Rebuild {
        &self.rebuild
    }

    /// How far the rebuild is.
    pub(crate) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// The number of queued envelopes of this rebuild.
    pub(crate) fn in_line(&self) -> usize {
        self.course.in_line()
    }

    /// Waits until [`RunningRebuild::take`] has something to return, where live projecting is at `live`. Cancel-safe.
    pub(crate) async fn ready(&mut self, live: Position) {
        if self.stage != Stage::Making {
            return pending().await;
        }
        if self.first.is_none() {
            self.first = self.made.recv().await;
        }
        if !self.is_ready(live) && !self.has_ended() {
            pending::<()>().await;
        }
    }

    fn is_ready(&self, live: Position) -> bool {
        match &self.first {
            Some(Made::Envelopes { event, .. }) => self.course.may_take(*event, live),
            Some(Made::Reached { .. }) => true,
            None => false,
        }
    }

    /// Returns the next envelopes to queue.
    pub(crate) fn take(&mut self, live: Position) -> Option<(Rebuilt, Vec<Envelope>)> {
        loop {
            if self.first.is_none() {
                self.first = self.made.try_recv().ok();
            }
            if !self.is_ready(live) {
                return None;
            }
            match self.first.take()? {
                Made::Reached { passed, last } => self.course.reach(passed, last),
                Made::Envelopes { event, envelopes, kept_until, is_rejected, left } => {
                    self.course.take(event, envelopes.len());
                    self.progress.send_modify(|progress| {
                        progress.events += u64::from(event.is_some());
                        progress.rejected += u64::from(is_rejected);
                        progress.left = left;
                    });
                    if !envelopes.is_empty() {
                        let generation = self.rebuild.place.generation;
                        return Some((Rebuilt { generation, kept_until }, envelopes));
                    }
                }
            }
        }
    }

    /// Notes that live projecting has read an event of the tenant.
    pub(crate) fn read(&mut self, event: Position) {
        self.course.read(event);
    }

    /// Notes that an envelope was stored.
    pub(crate) fn confirm(&mut self) {
        self.course.confirm();
        self.progress.send_modify(|progress| progress.envelopes += 1);
    }

    /// Notes that an envelope will not be stored.
    pub(crate) fn leave_out(&mut self) {
        self.course.confirm();
    }

    /// Whether the notice may be queued now.
    pub(crate) fn is_done(&self, live: Position) -> bool {
        self.stage == Stage::Making && self.course.is_done(live)
    }

    /// Notes that the notice is queued.
    pub(crate) fn announce(&mut self) {
        self.stage = Stage::Announced;
    }

    /// Cancels the rebuild, unless its notice is queued.
    pub(crate) fn cancel(&mut self) {
        if self.stage == Stage::Making {
            tracing::info!(tenant = %self.tenant, place = %self.rebuild.place, "the rebuild was cancelled");
            self.stage = Stage::Cancelled;
            self.made.close();
        }
    }

    /// Whether the producer has ended without a result: the requested rebuild was not there.
    pub(crate) fn has_ended(&self) -> bool {
        self.stage == Stage::Making && self.first.is_none() && self.made.is_closed() && self.made.is_empty()
    }

    /// Cancels the rebuild without waiting for its queued envelopes.
    pub(crate) fn abandon(&mut self) {
        self.stage = Stage::Cancelled;
        self.course = Schedule::new(0);
        self.made.close();
    }

    /// Whether the rebuild is cancelled and none of its envelopes is queued.
    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Cancelled && self.course.in_line() == 0
    }
}

/// Waits until the rebuild, if there is one, has something to queue.
pub(crate) async fn ready(job: Option<&mut RunningRebuild>, live: Position) {
    match job {
        Some(job) => job.ready(live).await,
        None => pending().await,
    }
}
