//! Quiet hours: each day from one time to another, by the clock of a time zone.
//!
//! Whether a moment is quiet is decided by what the clock shows then, so the rule needs no word about summer time: where the
//! clock jumps over the end, they end with the jump; where it goes back behind the end, they begin once more. The rules of
//! time zones come with the program (IANA's database as of its build), and are the same in all processes of a version.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime, UtcOffset};

/// A clock changes at most so often within quiet hours: real ones do once. What exceeds that ends early, and is asked again.
const MAX_CHANGES: usize = 16;

const DAY: Duration = Duration::DAY;

/// Quiet hours of each day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct QuietHours {
    from: ClockTime,
    to: ClockTime,
    zone: TimeZone,
    name: String,
}

/// Quiet hours as they are written in JSON and TOML.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    from: String,
    to: String,
    time_zone: String,
}

impl QuietHours {
    /// Quiet hours from one time to another, past midnight if that is earlier, in the zone with this name, such as
    /// `Europe/Berlin`.
    pub fn new(from: ClockTime, to: ClockTime, time_zone: &str) -> Result<Self, QuietHoursError> {
        if from == to {
            return Err(QuietHoursError::Empty(from));
        }
        let unknown = || QuietHoursError::TimeZone(time_zone.chars().take(64).collect());
        let zone = TimeZone::get(time_zone).map_err(|_| unknown())?;
        // The database finds names in any case, and knows one spelling of each.
        let name = zone.iana_name().ok_or_else(unknown)?.to_owned();
        Ok(Self { from, to, zone, name })
    }

    /// When they begin.
    #[must_use]
    pub fn from(&self) -> ClockTime {
        self.from
    }

    /// When they end.
    #[must_use]
    pub fn to(&self) -> ClockTime {
        self.to
    }

    /// The name of their time zone.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        &self.name
    }

    /// If this moment is quiet: the first one after it that is not.
    #[must_use]
    pub fn end(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let start = Timestamp::from_nanosecond(now.unix_timestamp_nanos()).ok()?;
        let mut at = start;
        for _ in 0..MAX_CHANGES {
            let Some(left) = self.left(self.zone.to_datetime(at).time()) else { break };
            let end = Timestamp::from_nanosecond(at.as_nanosecond() + left.whole_nanoseconds()).ok()?;
            // Up to the next change of the clock, or the end: there it is looked at again.
            let change = self.zone.following(at).next().map(|change| change.timestamp());
            at = change.filter(|change| *change < end).unwrap_or(end);
        }
        let end = OffsetDateTime::from_unix_timestamp_nanos(at.as_nanosecond()).ok()?;
        (at != start).then(|| end.to_offset(UtcOffset::UTC))
    }

    /// For how long a clock that shows this time still goes until the end; `None` if it shows no quiet time.
    fn left(&self, shown: Time) -> Option<Duration> {
        let midnight = Time::midnight().duration_until(shown);
        let shown = Duration::new(midnight.as_secs(), midnight.subsec_nanos());
        let until = |time: ClockTime| {
            let wait = time.since_midnight() - shown;
            if wait.is_positive() { wait } else { wait + DAY }
        };
        let (begin, end) = (until(self.from), until(self.to));
        // The end comes before the next beginning.
        (end < begin).then_some(end)
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} to {} {}", self.from, self.to, self.name)
    }
}

impl TryFrom<Written> for QuietHours {
    type Error = QuietHoursError;

    fn try_from(written: Written) -> Result<Self, QuietHoursError> {
        Self::new(written.from.parse()?, written.to.parse()?, &written.time_zone)
    }
}

impl From<QuietHours> for Written {
    fn from(hours: QuietHours) -> Self {
        Self { from: hours.from.to_string(), to: hours.to.to_string(), time_zone: hours.name }
    }
}

/// What a clock shows, to the minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockTime {
    minutes: u16,
}

impl ClockTime {
    fn since_midnight(self) -> Duration {
        Duration::minutes(self.minutes.into())
    }
}

impl fmt::Display for ClockTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:02}:{:02}", self.minutes / 60, self.minutes % 60)
    }
}

impl FromStr for ClockTime {
    type Err = QuietHoursError;

    fn from_str(text: &str) -> Result<Self, QuietHoursError> {
        let wrong = || QuietHoursError::ClockTime(text.chars().take(16).collect());
        let two = |digits: &str| {
            let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<u16>().ok().filter(|_| is_number)
        };
        let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
        match (two(hours), two(minutes)) {
            (Some(hours @ 0..24), Some(minutes @ 0..60)) => Ok(Self { minutes: hours * 60 + minutes }),
            _ => Err(wrong()),
        }
    }
}

/// Why these are no quiet hours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuietHoursError {
    /// No time of a day.
    #[error("{0:?} is not a time from 00:00 to 23:59, such as 07:30")]
    ClockTime(String),
    /// They end when they begin.
    #[error("quiet hours begin and end at {0}; expected two different times")]
    Empty(ClockTime),
    /// The zone is unknown.
    #[error("there is no time zone {0:?}; expected a name of the IANA database, such as Europe/Berlin")]
    TimeZone(String),
}
