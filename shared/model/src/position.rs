//! Positions: how far a consumer has received the envelopes.
//!
//! The epoch changes when the stream is created again, so that a position from another stream is never used in this
//! one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The epoch of a stream. It is written in lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:x}", self.0)
    }
}

/// Everything up to and including `sequence` has been received; written `<epoch>-<sequence>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Position {
    /// The epoch of the sequence.
    pub epoch: Epoch,
    /// The stream sequence of the last envelope received; 0 before the first.
    pub sequence: u64,
}

impl Position {
    /// Returns whether this position is `other` or after it. Every position of a newer epoch is after all positions of
    /// an older one.
    #[must_use]
    pub fn is_at_or_behind(self, other: Self) -> bool {
        (self.epoch.0, self.sequence) >= (other.epoch.0, other.sequence)
    }
}

/// A position with the generation of the tenant's envelopes that it is in. Only these can be compared across streams:
/// generations are numbered through all shards of a tenant, the lives of one stream by their epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedPosition {
    /// The generation; 0 where none was noted, which is behind every other one.
    pub generation: u32,
    /// The position, in the epoch of that generation.
    pub position: Position,
}

impl PlacedPosition {
    /// Whether both are positions of one generation in one life of a stream.
    #[must_use]
    pub fn is_in_place_of(self, other: Self) -> bool {
        self.position.epoch == other.position.epoch
    }

    /// Whether this one is in a place that the tenant, or its stream, has left for the place of `other`.
    #[must_use]
    pub fn is_in_older_place_than(self, other: Self) -> bool {
        !self.is_in_place_of(other)
            && (self.generation, self.position.epoch) < (other.generation, other.position.epoch)
    }

    /// The one of both that is further on: in the same place by sequence, else the one in the newer place.
    #[must_use]
    pub fn further(self, other: Self) -> Self {
        if self.is_in_place_of(other) {
            let sequence = self.position.sequence.max(other.position.sequence);
            // One of them may be from before generations were noted.
            let generation = self.generation.max(other.generation);
            Self { generation, position: Position { sequence, ..self.position } }
        } else if self.is_in_older_place_than(other) {
            other
        } else {
            self
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.epoch, self.sequence)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PositionError(text.chars().take(64).collect());
        let (epoch, sequence) = text.split_once('-').ok_or_else(wrong)?;
        let position = Self {
            epoch: Epoch(u64::from_str_radix(epoch, 16).map_err(|_| wrong())?),
            sequence: sequence.parse().map_err(|_| wrong())?,
        };
        if position.to_string() == text { Ok(position) } else { Err(wrong()) }
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

impl TryFrom<String> for Position {
    type Error = PositionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Text that is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("position {0:?} is not of the form <epoch>-<sequence>, such as 18f3a0c2b41-42")]
pub struct PositionError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_have_one_spelling() {
        let position = Position { epoch: Epoch(0x18f3_a0c2), sequence: 42 };
        assert_eq!(position.to_string(), "18f3a0c2-42");
        assert_eq!("18f3a0c2-42".parse(), Ok(position));
        for wrong in ["", "42", "-42", "18f3-", "18F3-1", "018f3-1", "18f3-+1", "18f3-01", "x-1"] {
            assert!(wrong.parse::<Position>().is_err(), "{wrong:?} was taken");
        }
    }
}
