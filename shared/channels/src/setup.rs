//! Why a channel cannot be set up from its configuration.

use std::path::Path;

use tidings_access::{Trust, TrustError};

/// Why a channel cannot be set up from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The certificates of servers cannot be verified.
    #[error("servers cannot be verified")]
    Trust(#[from] TrustError),
    /// A key is needed and not set.
    #[error("{key} is not set")]
    Unset {
        /// The key.
        key: &'static str,
    },
    /// A key has a value that cannot be used.
    #[error("{key} cannot be used: expected {expected}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What is expected.
        expected: &'static str,
    },
}

/// Returns the roots that verify servers.
pub(crate) fn trust(file: Option<&Path>) -> Trust<'_> {
    file.map_or(Trust::System, Trust::File)
}

/// Returns the value of a key that is needed.
pub(crate) fn needed<'v, T>(key: &'static str, value: Option<&'v T>) -> Result<&'v T, SetupError> {
    value.ok_or(SetupError::Unset { key })
}
