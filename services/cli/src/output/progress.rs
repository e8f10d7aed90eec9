//! Progress of a long operation: a bar on a terminal, and a line from time to time elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::{print, visible};
use crate::failure::Failure;

/// Time between two lines where a line cannot be rewritten.
const LINE: Duration = Duration::from_secs(5);

/// Progress on standard output.
#[derive(Debug)]
pub(crate) enum ProgressLine {
    /// A line that is rewritten; `None` before the first, or when the last one stays.
    Terminal(Option<ProgressBar>),
    /// When the last line was printed.
    Lines(Option<Instant>),
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        if io::stdout().is_terminal() { Self::Terminal(None) } else { Self::Lines(None) }
    }

    /// Shows a text, behind a bar if `done` of `all` is known.
    pub(crate) fn show(&mut self, done: Option<(u64, u64)>, text: &str, now: Instant) -> Result<(), Failure> {
        match self {
            Self::Terminal(bar) => {
                let bar = bar.get_or_insert_with(|| {
                    ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout())
                        .with_style(style("{msg}"))
                });
                if let Some((done, all)) = done {
                    bar.set_style(style("[{bar:20}] {msg}"));
                    bar.set_length(all);
                    bar.set_position(done);
                }
                bar.set_message(visible(text).into_owned());
                bar.tick();
            }
            Self::Lines(printed_at) if printed_at.is_none_or(|at| now - at >= LINE) => {
                print(text)?;
                *printed_at = Some(now);
            }
            Self::Lines(_) => {}
        }
        Ok(())
    }

    /// Keeps the last line; the next output starts a new one.
    pub(crate) fn close(&mut self) {
        if let Self::Terminal(bar) = self
            && let Some(bar) = bar.take()
        {
            bar.abandon();
        }
    }
}

/// The templates are constants, so the fallback is never used.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
