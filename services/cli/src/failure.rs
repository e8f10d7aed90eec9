//! A command's failure as one line, from the attempted action to the cause.

use std::error::Error;

/// Why a command failed.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Formats the error and its sources. Some libraries' errors end with the text of their source, which is not
/// repeated.
pub(crate) fn line(failure: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(failure.source(), |error| (*error).source());
    causes.map(ToString::to_string).fold(failure.to_string(), |line, cause| {
        if line.ends_with(&cause) { line } else { format!("{line}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Outer {
        text: &'static str,
        source: io::Error,
    }

    #[test]
    fn causes_are_told_once() {
        let check = |text, expected: &str| {
            let failure = Outer { text, source: io::Error::other("connection refused") };
            assert_eq!(line(&failure), expected);
        };
        check("cannot connect", "cannot connect: connection refused");
        check("cannot connect: connection refused", "cannot connect: connection refused");
    }
}
