//! Errors of a configuration, with what is needed to fix them.
//!
//! No error shows a secret: for values of secret keys, of unknown keys (which may be a misspelled secret) and of whole
//! sections, it shows only the size.

use std::fmt;
use std::path::PathBuf;

/// All mistakes of a configuration, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(mistakes: Vec<ConfigError>) -> Self {
        Self(mistakes)
    }

    /// The mistakes, in the order in which they were found: file, variables, values, conflicts.
    #[must_use]
    pub fn as_slice(&self) -> &[ConfigError] {
        &self.0
    }
}

impl std::error::Error for ConfigErrors {}

/// Formats a headline and one line per mistake.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(formatter, "the configuration has a mistake:")?,
            count => write!(formatter, "the configuration has {count} mistakes:")?,
        }
        self.0.iter().try_for_each(|mistake| write!(formatter, "\n  {mistake}"))
    }
}

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File(PathBuf),
    /// An environment variable, by name.
    Variable(String),
    /// The default.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Variable(name) => formatter.write_str(name),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// A mistake in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read ({reason}); name a file that exists and may be read", path.display())]
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// The system's error.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: expected TOML: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The parser's error, without the line itself.
        reason: String,
    },
    /// The file has a section or key that does not exist.
    #[error("{key} ({origin}): unknown{}", hint(suggestion.as_ref()))]
    UnknownKey {
        /// The key with its section, separated by a dot.
        key: String,
        /// The file.
        origin: Origin,
        /// A key with a similar name.
        suggestion: Option<String>,
    },
    /// A variable starts with `TIDINGS_` but names no key.
    #[error("{name}: unknown variable{}", hint(suggestion.as_ref()))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// A variable with a similar name.
        suggestion: Option<String>,
    },
    /// A variable's name or value is not UTF-8.
    #[error("{name}: expected a variable in UTF-8")]
    NotUnicode {
        /// The variable, with replacement characters for invalid UTF-8.
        name: String,
    },
    /// A value is not valid for its key.
    #[error("{key} = {value} ({origin}): expected {expected}")]
    Invalid {
        /// The key with its section, separated by a dot.
        key: String,
        /// The value as JSON, or its size if it may be secret.
        value: String,
        /// The source of the value.
        origin: Origin,
        /// The expectation, which ends the sentence "expected …".
        expected: String,
    },
    /// A required key is not set.
    #[error("{key} is not set: expected {expected}")]
    Missing {
        /// The key with its section, separated by a dot.
        key: String,
        /// The expectation, which ends the sentence "expected …".
        expected: String,
    },
    /// The schema admits a value that the program cannot deserialise: a bug of Tidings.
    #[error("the configuration is valid but cannot be deserialised: {reason}")]
    Undescribed {
        /// The deserialiser's error.
        reason: String,
    },
}

impl ConfigError {
    /// Returns the wrong key, if the mistake concerns one.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::UnknownKey { key, .. } | Self::Invalid { key, .. } | Self::Missing { key, .. } => Some(key),
            Self::UnreadableFile { .. }
            | Self::Syntax { .. }
            | Self::UnknownVariable { .. }
            | Self::NotUnicode { .. }
            | Self::Undescribed { .. } => None,
        }
    }
}

fn hint(suggestion: Option<&String>) -> String {
    suggestion.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// Describes a value that must not be shown by its size.
pub(super) fn sized(bytes: usize) -> String {
    format!("a value of {bytes} bytes")
}
