//! Watches a rebuild until it has ended. The rebuild does not depend on this command.

use std::process::ExitCode;
use std::time::Duration;

use tidings_model::{Place, Progress, Rebuild, Tenant};
use tidings_streams::{PlacementError, Placements};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::progress::{Pace, State, state};
use crate::failure::{Failure, line};
use crate::output::{ProgressLine, print};
use crate::report::report;

/// Time between two checks of the progress.
const LOOK: Duration = Duration::from_millis(500);
/// A projector reports progress once a second; one that reports nothing for this long probably does not run.
const SILENCE: Duration = Duration::from_secs(6);
/// Exit code of a command that Ctrl-C ended (128 and the signal's number).
const INTERRUPTED: u8 = 130;

/// Shows the progress of the rebuild until it has ended, or until Ctrl-C.
pub(crate) async fn watch(
    placements: &Placements,
    tenant: &Tenant,
    place: Place,
) -> Result<ExitCode, Failure> {
    let watch = Watch {
        placements,
        tenant,
        place,
        line: ProgressLine::new(),
        pace: Pace::default(),
        progress: None,
        changed_at: Instant::now(),
        is_silent: false,
        is_away: false,
    };
    // From here on, Ctrl-C ends the watch and prints that the rebuild goes on.
    watch.run(signal(SignalKind::interrupt())?).await
}

/// Prints that a rebuild goes on, and how to watch or cancel it.
pub(crate) fn leave(tenant: &Tenant) -> Result<ExitCode, Failure> {
    print(&format!(
        "it continues without this command: `tidings projector rebuild --tenant {tenant}` shows it again, `tidings \
         projector cancel --tenant {tenant}` cancels it"
    ))?;
    Ok(ExitCode::SUCCESS)
}

struct Watch<'f> {
    placements: &'f Placements,
    tenant: &'f Tenant,
    place: Place,
    line: ProgressLine,
    pace: Pace,
    /// The last reported progress.
    progress: Option<Progress>,
    /// When the progress last changed.
    changed_at: Instant,
    /// Whether the projector's silence was reported.
    is_silent: bool,
    /// Whether an outage of NATS was reported.
    is_away: bool,
}

impl Watch<'_> {
    async fn run(mut self, mut interrupts: Signal) -> Result<ExitCode, Failure> {
        let mut requested_at = None;
        loop {
            match self.placements.load(self.tenant).await {
                Ok(placement) => {
                    self.is_away = false;
                    match state(&placement, self.place) {
                        State::UnderWay(rebuild) => {
                            requested_at = Some(rebuild.requested_at);
                            self.show(rebuild)?;
                        }
                        State::Done => return self.done(requested_at),
                        State::Cancelled => return self.cancelled(),
                    }
                }
                Err(error @ PlacementError::Damaged { .. }) => return Err(error.into()),
                Err(error) => self.wait_for_nats(&error),
            }
            tokio::select! {
                biased;
                _ = interrupts.recv() => {
                    self.line.close();
                    leave(self.tenant)?;
                    return Ok(ExitCode::from(INTERRUPTED));
                }
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn show(&mut self, rebuild: &Rebuild) -> Result<(), Failure> {
        let now = Instant::now();
        if rebuild.progress != self.progress {
            (self.progress, self.changed_at, self.is_silent) = (rebuild.progress, now, false);
        }
        let shard = self.place.shard;
        if now - self.changed_at >= SILENCE && !self.is_silent {
            self.is_silent = true;
            self.line.close();
            print(&format!(
                "the projector of shard {shard} does not seem to run; this continues when one runs \
                 (`projector.shard = {shard}`)"
            ))?;
        }
        match &self.progress {
            Some(progress) => {
                self.pace.note(now, progress.events);
                let done = (progress.events, progress.events + progress.left);
                self.line.show(Some(done), &self.pace.line(progress), now)
            }
            None if self.is_silent => Ok(()),
            None => self.line.show(None, &format!("waiting for the projector of shard {shard}"), now),
        }
    }

    fn done(&mut self, requested_at: Option<u64>) -> Result<ExitCode, Failure> {
        self.line.close();
        let Self { tenant, place: Place { shard, generation }, progress, .. } = self;
        let took = requested_at.map(|at| Duration::from_secs(super::now().saturating_sub(at)));
        let took = took.map(|took| format!(" in {}", humantime::format_duration(took))).unwrap_or_default();
        let made = progress.map(|Progress { envelopes, rejected, .. }| {
            format!(", {envelopes} envelopes, {rejected} events rejected")
        });
        let made = made.unwrap_or_default();
        print(&format!(
            "done{took}{made}: the envelopes of tenant {tenant} are in shard {shard} now, generation {generation}"
        ))?;
        Ok(ExitCode::SUCCESS)
    }

    fn cancelled(&mut self) -> Result<ExitCode, Failure> {
        self.line.close();
        Err(format!("it was cancelled; the envelopes of tenant {} are where they were", self.tenant).into())
    }

    fn wait_for_nats(&mut self, error: &PlacementError) {
        if !self.is_away {
            self.is_away = true;
            self.line.close();
            report(&*Failure::from(format!("{}; trying again", line(error))));
        }
        // No progress could arrive meanwhile.
        self.changed_at = Instant::now();
    }
}
