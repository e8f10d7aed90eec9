//! What commands print for people.

use std::io::Write as _;
use std::process::ExitCode;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::failure::Failure;

/// Prints a line; the end of a command that has done its work.
pub(crate) fn print(line: &str) -> Result<ExitCode, Failure> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(ExitCode::SUCCESS)
}

/// Seconds since 1970 as `2025-01-17T16:00:00Z`; nothing for what no calendar holds.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok();
    let time = time.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}
