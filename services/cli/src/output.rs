//! Output of commands: no other module writes to standard output or standard error.
//!
//! Two rules hold for all of it. Untrusted text, such as names and reasons, is made visible and cannot control the
//! terminal: see [`visible()`]. And a reader that closes the output, as `head` does, is no error: [`print()`] fails
//! with [`ReaderGone`], which ends the command quietly.

mod colour;
mod progress;
mod table;

use std::io::{self, IsTerminal as _, Write as _};

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

/// Prints JSON text unchanged, on one line.
pub(crate) fn print_json_text(json: &str) -> Result<(), Failure> {
    write(&format!("{}\n", visible_json(json)))
}

/// Prints a message as [`print_json_text`] does, in colours where somebody looks at it.
pub(crate) fn print_message(json: &str) -> Result<(), Failure> {
    let json = visible_json(json);
    let variable = |name| std::env::var_os(name);
    if colour::is_wanted(io::stdout().is_terminal(), variable("NO_COLOR"), variable("TERM")) {
        write(&format!("{}\n", colour::coloured(&json)))
    } else {
        write(&format!("{json}\n"))
    }
}

/// Prints a value as JSON on one line.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print_json_text(&serde_json::to_string(value)?)
}

/// Prints a value as JSON on several lines.
pub(crate) fn print_pretty_json(value: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_string_pretty(value)?.lines().try_for_each(print_json_text)
}

/// Works as [`print()`] does, for a completed action: a command with several actions continues although its output is
/// closed.
pub(crate) fn announce(line: &str) -> Result<(), Failure> {
    print(line).or_else(|failure| if failure.is::<ReaderGone>() { Ok(()) } else { Err(failure) })
}

/// Writes a remark to standard error.
pub(crate) fn remark<'l>(lines: impl IntoIterator<Item = &'l str>) {
    let lines: Vec<_> = lines.into_iter().map(visible).collect();
    // Nothing can be done if this fails.
    let _ = writeln!(io::stderr(), "tidings: {}", lines.join("\n"));
}

fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => ReaderGone.into(),
        _ => format!("cannot write to standard output: {error}").into(),
    })
}

/// The reader has closed standard output.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(crate) struct ReaderGone;

/// Formats seconds since 1970 as `2025-01-17T16:00:00Z`; empty outside the calendar's range.
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

    /// All output goes through this module, so that no text controls the terminal.
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
