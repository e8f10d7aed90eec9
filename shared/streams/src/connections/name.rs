//! Names a connection: a gateway, and the connection's ordinal there. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An ordinal within a gateway. The ordinals of one worker ascend with each new connection, and are never reused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ordinal {
    /// The number of the gateway's worker.
    pub worker: usize,
    /// The worker's number for the connection; the first is 1.
    pub number: u64,
}

impl fmt::Display for Ordinal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.worker, self.number)
    }
}

impl From<Ordinal> for String {
    fn from(ordinal: Ordinal) -> Self {
        ordinal.to_string()
    }
}

impl FromStr for Ordinal {
    type Err = ConnectionNameError;

    fn from_str(text: &str) -> Result<Self, ConnectionNameError> {
        let parts = text.split_once('.');
        let ordinal = parts.and_then(|(worker, number)| {
            Some(Self { worker: worker.parse().ok()?, number: number.parse().ok()? })
        });
        ordinal.ok_or_else(|| ConnectionNameError(text.chars().take(64).collect()))
    }
}

impl TryFrom<String> for Ordinal {
    type Error = ConnectionNameError;

    fn try_from(text: String) -> Result<Self, ConnectionNameError> {
        text.parse()
    }
}

/// The name of a connection among all gateways: `<gateway>.<worker>.<number>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectionName {
    /// The name of the gateway, which may contain dots.
    pub gateway: String,
    /// The ordinal within the gateway.
    pub ordinal: Ordinal,
}

impl fmt::Display for ConnectionName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.gateway, self.ordinal)
    }
}

impl FromStr for ConnectionName {
    type Err = ConnectionNameError;

    fn from_str(text: &str) -> Result<Self, ConnectionNameError> {
        let no_name = || ConnectionNameError(text.chars().take(64).collect());
        let (before, _) = text.rsplit_once('.').ok_or_else(no_name)?;
        let (gateway, _) =
            before.rsplit_once('.').filter(|(name, _)| !name.is_empty()).ok_or_else(no_name)?;
        let ordinal = text.get(gateway.len() + 1..).and_then(|ordinal| ordinal.parse().ok());
        Ok(Self { gateway: gateway.to_owned(), ordinal: ordinal.ok_or_else(no_name)? })
    }
}

/// A text that is not the name of a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no connection, expected <gateway>.<worker>.<number> as a listing shows it")]
pub struct ConnectionNameError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for gateway in ["host-1", "host.example-1.7", "a b", "é", "0"] {
            let name = ConnectionName {
                gateway: gateway.to_owned(),
                ordinal: Ordinal { worker: 3, number: u64::MAX },
            };
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        for no_name in ["", "1", "1.2", ".1.2", "host.1.x", "host.x.1", "host.1.", "host..1"] {
            no_name.parse::<ConnectionName>().unwrap_err();
        }
    }
}
