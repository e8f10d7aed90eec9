//! What commands print: nothing else of this command writes to standard output or standard error.
//!
//! Two things hold for all of it. What others chose, such as names and reasons, is shown and never obeyed: see
//! [`visible()`]. And a reader that has seen enough, as `head` has, is no error: [`print()`] fails with [`ReaderGone`], which
//! ends the command quietly.

mod progress;
mod table;

use std::io::{self, Write as _};

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(crate) use self::progress::ProgressLine;
pub(crate) use self::table::Table;
use crate::failure::Failure;
pub(crate) use tidings_runtime::visible::{visible, visible_json, visible_name};

/// Prints one line.
pub(crate) fn print(line: &str) -> Result<(), Failure> {
    write(&format!("{}\n", visible(line)))
}

/// Prints a text of several lines.
pub(crate) fn print_text(text: &str) -> Result<(), Failure> {
    text.lines().try_for_each(print)
}

/// Prints JSON on one line, equal to what was given.
pub(crate) fn print_json_text(json: &str) -> Result<(), Failure> {
    write(&format!("{}\n", visible_json(json)))
}

/// Prints a value as JSON on one line.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print_json_text(&serde_json::to_string(value)?)
}

/// Prints a value as JSON on several lines.
pub(crate) fn print_pretty_json(value: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_string_pretty(value)?.lines().try_for_each(print_json_text)
}

/// As [`print()`], of something that was done: who does more of it goes on, although nobody reads.
pub(crate) fn announce(line: &str) -> Result<(), Failure> {
    print(line).or_else(|failure| if failure.is::<ReaderGone>() { Ok(()) } else { Err(failure) })
}

/// Says something beside the output, to whoever watches.
pub(crate) fn remark<'l>(lines: impl IntoIterator<Item = &'l str>) {
    let lines: Vec<_> = lines.into_iter().map(visible).collect();
    // Nobody is left to hear if this fails.
    let _ = writeln!(io::stderr(), "tidings: {}", lines.join("\n"));
}

fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => ReaderGone.into(),
        _ => format!("cannot write to standard output: {error}").into(),
    })
}

/// Whoever read standard output has closed it.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub(crate) struct ReaderGone;

/// Seconds since 1970 as `2025-01-17T16:00:00Z`; nothing for what no calendar holds.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok();
    let time = time.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

/// `1 event`, `2 events`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// All output goes through this module, so that none of it is obeyed by a terminal.
    #[test]
    fn nothing_else_writes() {
        fn check(folder: &Path) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    check(&path);
                } else if !path.ends_with("src/output.rs") && !path.ends_with("output/progress.rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    for word in ["stdout()", "stderr()", "println!", "print!"] {
                        assert!(!text.contains(word), "{} has {word}", path.display());
                    }
                }
            }
        }
        check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    }
}
