//! Tenants: applications with their own users. A tenant is the unit of isolation, order and scale.
//!
//! Its name is a folder in `schemas/`, a token in every subject and a claim in every JWT, so only characters that are
//! safe in all three are allowed.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A tenant's name: 1 to 32 characters of `a-z`, `0-9`, `_` and `-`.
///
/// Cloning is cheap: the name is shared.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(Arc<str>);

impl Tenant {
    /// The longest name, in bytes.
    pub const MAX_LENGTH: usize = 32;

    /// Checks a name.
    pub fn parse(name: &str) -> Result<Self, TenantError> {
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if name.is_empty() || name.len() > Self::MAX_LENGTH || !name.bytes().all(allowed) {
            return Err(TenantError(name.chars().take(64).collect()));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Allows lookups in tables by tenant with a subject token.
impl Borrow<str> for Tenant {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Tenant {
    type Error = TenantError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::parse(&name)
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0.as_ref().to_owned()
    }
}

/// Text that is not a tenant's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tenant {0:?} is not a name of 1 to 32 characters of a-z, 0-9, _ and -")]
pub struct TenantError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_subjects_and_folders() {
        for good in ["ops", "cnc", "a", "shelter-2", "x_y", &"a".repeat(32)] {
            assert_eq!(Tenant::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "Ops", "a.b", "*", ">", "a b", "../x", "é", &"a".repeat(33)] {
            assert!(Tenant::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
