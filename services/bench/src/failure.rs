//! Why a benchmark failed, for a person to read.

use std::error::Error;
use std::process::ExitCode;

/// Why a benchmark failed.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Prints the error and its sources, and returns the exit code of a failure.
pub(crate) fn fail(failure: &(dyn Error + 'static)) -> ExitCode {
    let causes = std::iter::successors(Some(failure), |error| (*error).source());
    let line: Vec<String> = causes.map(ToString::to_string).collect();
    eprintln!("tidings-bench: {}", line.join(": "));
    ExitCode::FAILURE
}
