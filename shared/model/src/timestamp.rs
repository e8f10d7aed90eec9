//! Converts producers' times to the RFC 3339 that clients read.
//!
//! RFC 3339 allows some variants (a space for the `T`, small letters, a leap second) that browsers' `Date` does not
//! read, and some languages omit a part (Java the seconds, `strftime` the colon of the offset). A text with one
//! possible meaning is converted. An ambiguous text is refused. A time in the clients' form stays unchanged.

use time::{Date, Month, Time};

/// The longest fraction of a second, in digits.
const LONGEST_FRACTION: usize = 9;

/// Why text is not a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimestampError {
    /// It is not a date and time.
    NoTime,
    /// It has no offset from UTC.
    NoOffset,
}

/// Returns the time as `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`, which is valid RFC 3339.
pub(crate) fn normalized(text: &str) -> Result<String, TimestampError> {
    read(text.trim_ascii()).ok_or(TimestampError::NoTime)?
}

/// Parses a time. Returns `None` if the text is not a time at all.
fn read(text: &str) -> Option<Result<String, TimestampError>> {
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, b"dddd-dd-dd")?;
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let end = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, offset) = rest.split_at_checked(end)?;
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, part)| (clock, Some(part)));
    let [hour, minute, second] = numbers(clock, b"dd:dd:dd")
        .or_else(|| numbers(clock, b"dd:dd").filter(|_| fraction.is_none()).map(|[h, m]| [h, m, 0]))?;
    if fraction.is_some_and(|digits| digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit())) {
        return None;
    }
    let is_leap_second = second == 60;
    Time::from_hms(small(hour)?, small(minute)?, small(if is_leap_second { 59 } else { second })?).ok()?;
    let Some((offset, minutes_ahead)) = offset_of(offset)? else {
        return Some(Err(TimestampError::NoOffset));
    };
    let digits = fraction.map(|digits| digits.get(..LONGEST_FRACTION).unwrap_or(digits));
    let fraction = if is_leap_second {
        // Leap seconds are inserted at midnight UTC. The second before is the nearest that every clock knows.
        let minutes = i64::from(hour) * 60 + i64::from(minute) - minutes_ahead;
        (minutes.rem_euclid(24 * 60) == 24 * 60 - 1).then_some(".999999999".to_owned())?
    } else {
        digits.map(|digits| format!(".{digits}")).unwrap_or_default()
    };
    let second = second.min(59);
    Some(Ok(format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}")))
}

/// Returns an offset in RFC 3339's form and in minutes ahead of UTC, or `None` if there is none.
#[expect(clippy::option_option, reason = "no time at all, or a time without offset")]
fn offset_of(text: &str) -> Option<Option<(String, i64)>> {
    if text.is_empty() {
        return Some(None);
    }
    if text.eq_ignore_ascii_case("z") {
        return Some(Some(("Z".to_owned(), 0)));
    }
    let (sign, digits) = text.split_at_checked(1)?;
    let [hours, minutes] = numbers(digits, b"dd:dd")
        .or_else(|| numbers(digits, b"dddd").map(|[both]| [both / 100, both % 100]))
        .or_else(|| numbers(digits, b"dd").map(|[hours]| [hours, 0]))?;
    let is_offset = hours <= 23 && minutes <= 59;
    let ahead = i64::from(hours) * 60 + i64::from(minutes);
    let ahead = if sign == "-" { -ahead } else { ahead };
    is_offset.then_some(Some((format!("{sign}{hours:02}:{minutes:02}"), ahead)))
}

fn small(number: u32) -> Option<u8> {
    u8::try_from(number).ok()
}

/// Returns the numbers in a text of this form, in which `d` is a digit and other characters are literal.
fn numbers<const N: usize>(text: &str, form: &[u8]) -> Option<[u32; N]> {
    let fits =
        |(byte, expected): (u8, &u8)| byte == *expected || (*expected == b'd' && byte.is_ascii_digit());
    if text.len() != form.len() || !text.bytes().zip(form).all(fits) {
        return None;
    }
    let parts: Vec<u32> = text.split([':', '-']).map(str::parse).collect::<Result<_, _>>().ok()?;
    parts.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::format_description::well_known::Rfc3339;
    use time::{OffsetDateTime, UtcOffset};

    use super::*;

    #[test]
    fn what_means_one_moment_is_rfc_3339() {
        for (given, expected) in [
            ("2025-01-17T10:30:00Z", "2025-01-17T10:30:00Z"),
            ("2025-01-17T10:30:00.120+02:00", "2025-01-17T10:30:00.120+02:00"),
            ("2025-01-17T10:30:00-00:00", "2025-01-17T10:30:00-00:00"),
            ("2025-01-17t10:30:00z", "2025-01-17T10:30:00Z"),
            ("2025-01-17 10:30:00+00:00", "2025-01-17T10:30:00+00:00"),
            ("2025-01-17T10:30Z", "2025-01-17T10:30:00Z"),
            ("2025-01-17T10:30+01:00", "2025-01-17T10:30:00+01:00"),
            ("2025-01-17T10:30:00+0530", "2025-01-17T10:30:00+05:30"),
            ("2025-01-17T10:30:00-05", "2025-01-17T10:30:00-05:00"),
            (" 2025-01-17T10:30:00Z\n", "2025-01-17T10:30:00Z"),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999999Z"),
            ("2017-01-01T01:59:60+02:00", "2017-01-01T01:59:59.999999999+02:00"),
            ("2016-12-31T18:59:60.5-05:00", "2016-12-31T18:59:59.999999999-05:00"),
            ("2025-01-17T10:30:00.1234567890123Z", "2025-01-17T10:30:00.123456789Z"),
            ("0000-02-29T00:00:00Z", "0000-02-29T00:00:00Z"),
        ] {
            assert_eq!(normalized(given).as_deref(), Ok(expected), "{given}");
            OffsetDateTime::parse(expected, &Rfc3339).unwrap();
        }
    }

    #[test]
    fn what_is_no_moment_is_not_guessed() {
        for given in ["2025-01-17T10:30:00", "2025-01-17 10:30", "2025-01-17T10:30:00.5"] {
            assert_eq!(normalized(given), Err(TimestampError::NoOffset), "{given}");
        }
        for given in [
            "",
            "now",
            "1737109800",
            "1737109800.5",
            "2025-01-17",
            "10:30:00Z",
            "2025-02-30T10:30:00Z",
            "2025-13-01T10:30:00Z",
            "2025-01-17T24:00:00Z",
            "2025-01-17T10:60:00Z",
            "2025-01-17T10:30:61Z",
            "2025-01-17T10:30:60Z",
            "2025-01-17T10:30:00.Z",
            "2025-01-17T10:30.5Z",
            "2025-01-17T10:30:00,5Z",
            "2025-01-17T10:30:00+24:00",
            "2025-01-17T10:30:00+1",
            "2025-01-17T1030Z",
            "2025-1-17T10:30:00Z",
            "+2025-01-17T10:30:00Z",
            "2025-01-17T10:30:00Z Z",
            "2025-01-17T10:30:00 UTC",
            "2025-01-17T10:30:00é",
            "20é5-01-17T10:30:00Z",
            "2025:01:17T10:30:00Z",
            "Fri, 17 Jan 2025 10:30:00 GMT",
        ] {
            assert_eq!(normalized(given), Err(TimestampError::NoTime), "{given}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_that_others_read_or_none(text in "[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9](:[0-6][0-9])?(\\.[0-9]{1,12})?(Z|z|[+-][0-2][0-9]:?[0-5][0-9]|)|.{0,30}") {
            if let Ok(time) = normalized(&text) {
                prop_assert!(OffsetDateTime::parse(&time, &Rfc3339).is_ok(), "{}", time);
                prop_assert_eq!(normalized(&time), Ok(time.clone()));
            }
        }

        #[test]
        fn every_moment_is_read_as_it_is(seconds in -62_167_219_200_i64..253_402_300_800, nanoseconds in 0_u32..1_000_000_000, offset in -1439_i32..1440) {
            let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap().replace_nanosecond(nanoseconds).unwrap();
            let offset = UtcOffset::from_whole_seconds(offset * 60).unwrap();
            prop_assume!(moment.checked_to_offset(offset).is_some_and(|moment| (0..=9999).contains(&moment.year())));
            let text = moment.to_offset(offset).format(&Rfc3339).unwrap();
            prop_assert_eq!(normalized(&text), Ok(text.clone()));
        }
    }
}
