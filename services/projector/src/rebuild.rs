//! A tenant's envelopes made anew, beside live projecting.
//!
//! A task of its own copies and projects ([`producer`]); what it makes waits here until it may be put in line ([`schedule`]),
//! where the one fenced writer sends it. An attempt knows what the stream holds from where its writer was opened. Whatever
//! takes the writer's place, another projector, a purge or a fault, ends the attempt, and the next one goes on behind
//! what is stored: so nothing is made twice, and nothing that was removed meanwhile comes back.

mod producer;
mod schedule;

use std::future::pending;

use tidings_model::{Envelope, Placement, Position, Rebuild, Tenant};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::write_queue::entry::Rebuilt;
pub(crate) use producer::{Maker, RebuildContext};
use schedule::Schedule;

/// How many events may wait to be put in line.
const AHEAD: usize = 256;

/// One attempt.
pub(crate) struct RunningRebuild {
    tenant: Tenant,
    rebuild: Rebuild,
    attempt: u64,
    stage: Stage,
    course: Schedule,
    made: mpsc::Receiver<Made>,
    /// What was received and may not be put in line yet.
    first: Option<Made>,
    progress: watch::Sender<tidings_model::Progress>,
    _making: AbortOnDropHandle<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Making,
    /// The notice stands in line.
    Announced,
    /// Nobody wants it any more; what is in line is still to be stored, and then removed.
    Cancelled,
}

/// What a [`Maker`] hands out.
pub(crate) enum Made {
    /// Envelopes of one event, or a copied one.
    Envelopes {
        /// None, if it is copied.
        event: Option<Position>,
        envelopes: Vec<Envelope>,
        kept_until: time::OffsetDateTime,
        is_rejected: bool,
        /// Events that are left, as far as is known.
        left: u64,
    },
    /// All events up to `passed` are made, and the tenant's last one is this.
    Reached { passed: Position, last: Option<Position> },
}

impl RunningRebuild {
    pub(crate) fn start(
        workshop: &RebuildContext,
        (tenant, placement, rebuild): (&Tenant, &Placement, &Rebuild),
        share: usize,
        attempt: u64,
    ) -> Self {
        let (sender, made) = mpsc::channel(AHEAD);
        let (progress, reported) = watch::channel(rebuild.progress.unwrap_or_default());
        let maker = Maker::new(workshop, tenant, placement.current.place, rebuild, sender);
        tracing::info!(%tenant, place = %rebuild.place, "making the tenant's envelopes anew");
        Self {
            tenant: tenant.clone(),
            rebuild: rebuild.clone(),
            attempt,
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

    /// How many of its envelopes are in line.
    pub(crate) fn in_line(&self) -> usize {
        self.course.in_line()
    }

    /// Waits until there is something to [`RunningRebuild::take`], where live projecting is at `live`. May be dropped while it
    /// waits without losing anything.
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

    /// The next envelopes that are to be put in line.
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
                        let (generation, attempt) = (self.rebuild.place.generation, self.attempt);
                        return Some((Rebuilt { generation, kept_until, attempt }, envelopes));
                    }
                }
            }
        }
    }

    /// Live projecting has read an event of the tenant.
    pub(crate) fn read(&mut self, event: Position) {
        self.course.read(event);
    }

    /// One of its envelopes was stored.
    pub(crate) fn confirm(&mut self) {
        self.course.confirm();
        self.progress.send_modify(|progress| progress.envelopes += 1);
    }

    /// One of its envelopes is not to be stored.
    pub(crate) fn leave_out(&mut self) {
        self.course.confirm();
    }

    /// Whether the notice may be put in line now.
    pub(crate) fn is_done(&self, live: Position) -> bool {
        self.stage == Stage::Making && self.course.is_done(live)
    }

    /// The notice is in line.
    pub(crate) fn announce(&mut self) {
        self.stage = Stage::Announced;
    }

    /// Nobody wants it any more; unless it is too late for that.
    pub(crate) fn cancel(&mut self) {
        if self.stage == Stage::Making {
            tracing::info!(tenant = %self.tenant, place = %self.rebuild.place, "nobody wants the envelopes any more");
            self.stage = Stage::Cancelled;
            self.made.close();
        }
    }

    /// Whether nothing more will be made: what was asked for was not there.
    pub(crate) fn has_ended(&self) -> bool {
        self.stage == Stage::Making && self.first.is_none() && self.made.is_closed() && self.made.is_empty()
    }

    /// Nobody wants it, and nothing of it is in line any more.
    pub(crate) fn abandon(&mut self) {
        self.stage = Stage::Cancelled;
        self.course = Schedule::new(0);
        self.made.close();
    }

    /// Whether it is cancelled, and nothing of it is under way.
    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Cancelled && self.course.in_line() == 0
    }
}

/// Waits until a job, if there is one, has something to put in line.
pub(crate) async fn ready(job: Option<&mut RunningRebuild>, live: Position) {
    match job {
        Some(job) => job.ready(live).await,
        None => pending().await,
    }
}
