//! Formats timestamps: RFC 3339 in UTC with `Z`, as in the ops contract.

use time::{OffsetDateTime, UtcOffset};

/// Formats a time as `2025-01-17T16:00:00Z`, or as `2025-01-17T16:00:00.120Z` if the milliseconds are not zero.
/// Fractions of a millisecond are cut.
#[must_use]
pub fn rfc3339(at: OffsetDateTime) -> String {
    let at = at.to_offset(UtcOffset::UTC);
    let milliseconds = match at.millisecond() {
        0 => String::new(),
        milliseconds => format!(".{milliseconds:03}"),
    };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{milliseconds}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
    )
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn timestamps_are_utc_with_milliseconds_where_there_are_any() {
        for (at, expected) in [
            (datetime!(2025-01-17 16:00:00 UTC), "2025-01-17T16:00:00Z"),
            (datetime!(2025-01-17 16:00:00.12 UTC), "2025-01-17T16:00:00.120Z"),
            (datetime!(2025-01-17 16:00:00.000_999 UTC), "2025-01-17T16:00:00Z"),
            (datetime!(2025-01-01 00:30:00 +1), "2024-12-31T23:30:00Z"),
            (datetime!(0987-06-05 04:03:02.001 UTC), "0987-06-05T04:03:02.001Z"),
        ] {
            assert_eq!(rfc3339(at), expected);
        }
    }
}
