//! The wall clock.

use time::OffsetDateTime;

/// The wall clock; tests set their own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(fn() -> OffsetDateTime);

impl Clock {
    pub(crate) fn now(self) -> OffsetDateTime {
        (self.0)()
    }

    /// Seconds since 1970; 0 for an earlier time.
    pub(crate) fn unix_seconds(self) -> u64 {
        u64::try_from(self.now().unix_timestamp()).unwrap_or_default()
    }
}

impl From<fn() -> OffsetDateTime> for Clock {
    fn from(now: fn() -> OffsetDateTime) -> Self {
        Self(now)
    }
}
