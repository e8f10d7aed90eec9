//! Following a rebuild until it is done. It goes on without anybody who looks: ending this ends nothing.

use std::process::ExitCode;
use std::time::Duration;

use tidings_model::{Place, Progress, Rebuild, Tenant};
use tidings_streams::{PlacementError, Placements};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::progress::{Pace, State, state};
use crate::failure::{Failure, line, report};
use crate::output::{self, print};

/// How often it is looked how far it is.
const LOOK: Duration = Duration::from_millis(500);
/// How often a line is printed where lines cannot be rewritten.
const LINE: Duration = Duration::from_secs(5);
/// A projector says once a second how far it is; one that is silent for so long does not seem to run.
const SILENCE: Duration = Duration::from_secs(6);
/// What a shell says of a command that Ctrl-C ended (128 and the signal's number).
const INTERRUPTED: u8 = 130;

/// Shows how far the rebuild is until it has ended, or until Ctrl-C.
pub(crate) async fn follow(
    placements: &Placements,
    tenant: &Tenant,
    place: Place,
) -> Result<ExitCode, Failure> {
    let following = Following {
        placements,
        tenant,
        place,
        screen: Screen { line: output::Screen::new(), printed_at: None },
        pace: Pace::default(),
        progress: None,
        heard_at: Instant::now(),
        is_silent: false,
        is_away: false,
    };
    // From here on Ctrl-C is told what it does not end.
    following.run(signal(SignalKind::interrupt())?).await
}

/// Says that a rebuild goes on, and how to go on with it.
pub(crate) fn leave(tenant: &Tenant) -> Result<ExitCode, Failure> {
    print(&format!(
        "it continues without this command: `tidings projector rebuild --tenant {tenant}` shows it again, `tidings \
         projector cancel --tenant {tenant}` cancels it"
    ))?;
    Ok(ExitCode::SUCCESS)
}

struct Following<'f> {
    placements: &'f Placements,
    tenant: &'f Tenant,
    place: Place,
    screen: Screen,
    pace: Pace,
    /// What was said last.
    progress: Option<Progress>,
    /// When something was said that had not been said before.
    heard_at: Instant,
    /// The silence was told.
    is_silent: bool,
    /// NATS does not answer, and that was told.
    is_away: bool,
}

impl Following<'_> {
    async fn run(mut self, mut interrupts: Signal) -> Result<ExitCode, Failure> {
        let mut asked_at = None;
        loop {
            match self.placements.load(self.tenant).await {
                Ok(placement) => {
                    self.is_away = false;
                    match state(&placement, self.place) {
                        State::UnderWay(rebuild) => {
                            asked_at = Some(rebuild.requested_at);
                            self.show(rebuild)?;
                        }
                        State::Done => return self.done(asked_at),
                        State::Cancelled => return self.cancelled(),
                    }
                }
                Err(error @ PlacementError::Damaged { .. }) => return Err(error.into()),
                Err(error) => self.wait_for_nats(&error)?,
            }
            tokio::select! {
                biased;
                _ = interrupts.recv() => {
                    self.screen.close()?;
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
            (self.progress, self.heard_at, self.is_silent) = (rebuild.progress, now, false);
        }
        let shard = self.place.shard;
        if now - self.heard_at >= SILENCE && !self.is_silent {
            self.is_silent = true;
            self.screen.close()?;
            print(&format!(
                "the projector of shard {shard} does not seem to run; this continues when one runs \
                 (`projector.shard = {shard}`)"
            ))?;
        }
        match &self.progress {
            Some(progress) => {
                self.pace.note(now, progress.events);
                self.screen.show(&self.pace.line(progress), now)
            }
            None if self.is_silent => Ok(()),
            None => self.screen.show(&format!("waiting for the projector of shard {shard}"), now),
        }
    }

    fn done(&mut self, asked_at: Option<u64>) -> Result<ExitCode, Failure> {
        self.screen.close()?;
        let Self { tenant, place: Place { shard, generation }, progress, .. } = self;
        let took = asked_at.map(|at| Duration::from_secs(super::now().saturating_sub(at)));
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
        self.screen.close()?;
        Err(format!("it was cancelled; the envelopes of tenant {} are where they were", self.tenant).into())
    }

    fn wait_for_nats(&mut self, error: &PlacementError) -> Result<(), Failure> {
        if !self.is_away {
            self.is_away = true;
            self.screen.close()?;
            report(&*Failure::from(format!("{}; looking again", line(error))));
        }
        // Nobody could say anything meanwhile.
        self.heard_at = Instant::now();
        Ok(())
    }
}

/// One line that is rewritten on a terminal, and lines now and then elsewhere.
struct Screen {
    line: output::Screen,
    /// When the last line was printed that stays.
    printed_at: Option<Instant>,
}

impl Screen {
    fn show(&mut self, line: &str, now: Instant) -> Result<(), Failure> {
        if self.line.is_terminal {
            self.line.rewrite(line)?;
        } else if self.printed_at.is_none_or(|at| now - at >= LINE) {
            print(line)?;
            self.printed_at = Some(now);
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Failure> {
        self.line.close()
    }
}
