//! Formats times for every interface: RFC 3339 in UTC with `Z` and always three digits of milliseconds, so that programs
//! can compare and sort them as text.

use serde::{Serialize as _, Serializer};
use time::{OffsetDateTime, UtcOffset};

/// Formats a time as `2025-01-17T16:00:00.120Z`. Fractions of a millisecond are cut.
#[must_use]
pub fn rfc3339(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond(),
    )
}

/// Formats seconds since 1970-01-01T00:00:00Z in the same way; `None` outside the calendar.
#[must_use]
pub fn rfc3339_of_seconds(seconds: u64) -> Option<String> {
    let seconds = i64::try_from(seconds).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok().map(rfc3339)
}

/// Serializes a time as [`rfc3339`] does; for `serialize_with`.
pub fn serialize_time<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

/// The same for a time that may be absent.
pub fn serialize_optional_time<S: Serializer>(
    at: &Option<OffsetDateTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(rfc3339).serialize(serializer)
}

/// Serializes seconds as [`rfc3339_of_seconds`] does, and what is outside the calendar as `null`; for `serialize_with`.
pub fn serialize_seconds<S: Serializer>(seconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    rfc3339_of_seconds(*seconds).serialize(serializer)
}

/// The same for seconds that may be absent.
pub fn serialize_optional_seconds<S: Serializer>(
    seconds: &Option<u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    seconds.and_then(rfc3339_of_seconds).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        for (at, expected) in [
            (datetime!(2025-01-17 16:00:00 UTC), "2025-01-17T16:00:00.000Z"),
            (datetime!(2025-01-17 16:00:00.12 UTC), "2025-01-17T16:00:00.120Z"),
            (datetime!(2025-01-17 16:00:00.000_999 UTC), "2025-01-17T16:00:00.000Z"),
            (datetime!(2025-01-01 00:30:00 +1), "2024-12-31T23:30:00.000Z"),
            (datetime!(0987-06-05 04:03:02.001 UTC), "0987-06-05T04:03:02.001Z"),
        ] {
            assert_eq!(rfc3339(at), expected);
        }
    }

    #[test]
    fn seconds_outside_the_calendar_are_no_time() {
        assert_eq!(rfc3339_of_seconds(1_737_129_600).as_deref(), Some("2025-01-17T16:00:00.000Z"));
        assert_eq!(rfc3339_of_seconds(u64::MAX), None);
    }
}
