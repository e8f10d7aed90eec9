//! What is wrong with a configuration, said so that the reader can mend it.
//!
//! No mistake shows a secret: values of secret keys, of unknown keys (which may be a misspelt secret) and of whole
//! sections are told by their size alone.

use std::fmt;
use std::path::PathBuf;

/// Every mistake of a configuration, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(super) fn new(mistakes: Vec<ConfigError>) -> Self {
        Self(mistakes)
    }

    /// The mistakes, in the order in which they were found: file, variables, values, combinations.
    #[must_use]
    pub fn as_slice(&self) -> &[ConfigError] {
        &self.0
    }
}

impl std::error::Error for ConfigErrors {}

/// One line per mistake below a headline.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(formatter, "the configuration has a mistake:")?,
            count => write!(formatter, "the configuration has {count} mistakes:")?,
        }
        self.0.iter().try_for_each(|mistake| write!(formatter, "\n  {mistake}"))
    }
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration file.
    File(PathBuf),
    /// An environment variable, by name.
    Variable(String),
    /// Nobody said anything else.
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

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read ({reason}); name a file that exists and may be read", path.display())]
    UnreadableFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is not TOML.
    #[error("{}, line {line}: expected TOML: {reason}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What the parser said; never the line itself.
        reason: String,
    },
    /// The file has a section or key that does not exist.
    #[error("{key} ({origin}): unknown{}", hint(suggestion.as_ref()))]
    UnknownKey {
        /// With its section, separated by a dot.
        key: String,
        /// The file.
        origin: Origin,
        /// A key with a similar name.
        suggestion: Option<String>,
    },
    /// A variable starts with `TIDINGS_` and names no key.
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
        /// The variable, with the replacement character for what is not UTF-8.
        name: String,
    },
    /// A value is not what its key expects.
    #[error("{key} = {value} ({origin}): expected {expected}")]
    Invalid {
        /// With its section, separated by a dot.
        key: String,
        /// As JSON, or its size if it may be secret.
        value: String,
        /// Where the value is.
        origin: Origin,
        /// Ends the sentence "expected …".
        expected: String,
    },
    /// A key needs a value and has none.
    #[error("{key} is not set: expected {expected}")]
    Missing {
        /// With its section, separated by a dot.
        key: String,
        /// Ends the sentence "expected …".
        expected: String,
    },
    /// The schema admits something that the program does not understand: a defect of Tidings.
    #[error("the configuration was checked and yet not understood: {reason}")]
    Undescribed {
        /// What the program said.
        reason: String,
    },
}

impl ConfigError {
    /// The key that is wrong, if the mistake concerns one.
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

/// How a value that must not be shown is told.
pub(super) fn sized(bytes: usize) -> String {
    format!("a value of {bytes} bytes")
}
