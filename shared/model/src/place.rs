//! Places of a tenant's envelopes: the shard and the generation.
//!
//! A rebuild projects a tenant's events again. The envelopes of the new generation are written beside those of the
//! current one, under their own subjects, until all are written and the new generation becomes current. A generation
//! may be in another shard's stream; a tenant is moved that way.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Epoch, Tenant};

/// The number of a shard, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardNumber(pub u16);

impl ShardNumber {
    /// Returns the name in this shard: `name` itself in shard 0, `<name>_<number>` in others.
    #[must_use]
    pub fn name(self, name: &str) -> String {
        if self.0 == 0 { name.to_owned() } else { format!("{name}_{}", self.0) }
    }

    /// Returns the shard of a name that [`ShardNumber::name`] made from `name`.
    #[must_use]
    pub fn of(named: &str, name: &str) -> Option<Self> {
        let rest = named.strip_prefix(name)?;
        if rest.is_empty() {
            return Some(Self(0));
        }
        let number = rest.strip_prefix('_')?.parse().ok().filter(|number| *number > 0)?;
        let shard = Self(number);
        (shard.name(name) == named).then_some(shard)
    }
}

impl fmt::Display for ShardNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A place of a tenant's envelopes, written `<shard>/<generation>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The shard.
    pub shard: ShardNumber,
    /// The generation: 0 for the first projection; each rebuild makes the next one.
    pub generation: u32,
}

impl Place {
    /// A stream that was created more than this many microseconds after another one is not taken for a generation of it.
    pub const MOST_GENERATIONS: u32 = 10_000;

    /// Returns the epoch of positions in this place, in a stream that was created at `stream`.
    ///
    /// Each generation has its own epoch, because its sequences refer to other envelopes. Streams differ by the
    /// microsecond of their creation. No stream makes generations that fast.
    #[must_use]
    pub fn epoch(self, stream: Epoch) -> Epoch {
        Epoch(stream.0.wrapping_add(u64::from(self.generation)))
    }

    /// Returns the generation of an epoch, in a stream that was created at `stream`, if it is at most `newest`.
    #[must_use]
    pub fn generation_of(epoch: Epoch, stream: Epoch, newest: u32) -> Option<u32> {
        let generation = u32::try_from(epoch.0.checked_sub(stream.0)?).ok()?;
        (generation <= newest).then_some(generation)
    }

    /// Returns the subject token of a tenant here. It is the tenant's name, followed from generation 1 on by `~` and
    /// the number. No tenant's name contains `~`.
    #[must_use]
    pub fn token(self, tenant: &Tenant) -> TenantToken<'_> {
        TenantToken { tenant, generation: self.generation }
    }

    /// Returns the tenant and the generation of a token.
    #[must_use]
    pub fn parse_token(token: &str) -> Option<(Tenant, u32)> {
        let Some((tenant, number)) = token.split_once('~') else {
            return Some((Tenant::parse(token).ok()?, 0));
        };
        let generation = number.parse().ok().filter(|generation: &u32| *generation > 0)?;
        (generation.to_string() == number).then_some((Tenant::parse(tenant).ok()?, generation))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.shard, self.generation)
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (shard, generation) = text.split_once('/')?;
            Some(Self { shard: ShardNumber(shard.parse().ok()?), generation: generation.parse().ok()? })
        };
        read().ok_or_else(|| PlaceError(text.chars().take(64).collect()))
    }
}

/// Text that is not a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("place {0:?} is not of the form <shard>/<generation>, such as 0/3")]
pub struct PlaceError(String);

/// The token of [`Place::token`].
#[derive(Debug, Clone, Copy)]
pub struct TenantToken<'t> {
    tenant: &'t Tenant,
    generation: u32,
}

impl fmt::Display for TenantToken<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tenant.fmt(formatter)?;
        if self.generation == 0 { Ok(()) } else { write!(formatter, "~{}", self.generation) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_known_by_their_names() {
        for (number, name) in [(0, "ENVELOPES"), (1, "ENVELOPES_1"), (12, "ENVELOPES_12")] {
            assert_eq!(ShardNumber(number).name("ENVELOPES"), name);
            assert_eq!(ShardNumber::of(name, "ENVELOPES"), Some(ShardNumber(number)));
        }
        for wrong in [
            "EVENTS",
            "ENVELOPES_",
            "ENVELOPES_0",
            "ENVELOPES_01",
            "ENVELOPES1",
            "ENVELOPES_x",
            "ENVELOPES_70000",
        ] {
            assert_eq!(ShardNumber::of(wrong, "ENVELOPES"), None, "{wrong}");
        }
    }

    #[test]
    fn tokens_lead_back() {
        let tenant = Tenant::parse("ops").unwrap();
        for (generation, token) in [(0, "ops"), (1, "ops~1"), (20, "ops~20")] {
            let place = Place { generation, ..Place::default() };
            assert_eq!(place.token(&tenant).to_string(), token);
            assert_eq!(Place::parse_token(token), Some((tenant.clone(), generation)));
        }
        for wrong in ["", "ops~", "ops~0", "ops~01", "ops~+1", "ops~x", "~1", "ops~1~2"] {
            assert_eq!(Place::parse_token(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn places_lead_back() {
        let place = Place { shard: ShardNumber(3), generation: 12 };
        assert_eq!(place.to_string(), "3/12");
        assert_eq!("3/12".parse(), Ok(place));
        for wrong in ["", "3", "3/", "/1", "3/1/2", "x/1", "70000/1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong} was taken");
        }
    }

    #[test]
    fn a_generation_has_an_epoch_of_its_own() {
        let stream = Epoch(0x18f3_a0c2);
        let place = Place { shard: ShardNumber(3), generation: 2 };
        let epoch = place.epoch(stream);
        assert_eq!(Place::generation_of(epoch, stream, 2), Some(2));
        assert_eq!(Place::generation_of(epoch, stream, 1), None, "one that nobody has made");
        assert_eq!(Place::generation_of(Epoch(0x18f3_a0c1), stream, 2), None, "an older stream");
    }
}
