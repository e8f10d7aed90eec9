//! How a command that cannot do its work says so: one line, from what was tried to the cause.

use std::error::Error;
use std::io::Write as _;

/// Why a command ends without having done its work.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Writes the error and its sources to standard error.
pub(crate) fn report(failure: &(dyn Error + 'static)) {
    let causes = std::iter::successors(Some(failure), |error| (*error).source());
    let line: Vec<String> = causes.map(ToString::to_string).collect();
    // Nobody is left to be told if this fails.
    let _ = writeln!(std::io::stderr(), "tidings: {}", line.join(": "));
}
