//! Quiet hours in every time zone, and what follows for messages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "tests read what they have written")]

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::sample::Index;
use tidings_model::ChannelKind::{Email, Webhook};
use tidings_preferences::{Category, ClockTime, Decision, Defaults, Preferences, Question, QuietHours};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

fn at(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap()
}

fn hours(from: &str, to: &str, zone: &str) -> QuietHours {
    QuietHours::new(from.parse().unwrap(), to.parse().unwrap(), zone).unwrap()
}

#[test]
fn they_end_when_the_clock_on_the_wall_shows_it() {
    for (from, to, zone, now, end) in [
        ("22:00", "07:00", "Europe/Berlin", "2026-01-10T20:59:59.999Z", None),
        ("22:00", "07:00", "Europe/Berlin", "2026-01-10T21:00:00Z", Some("2026-01-11T06:00:00Z")),
        ("22:00", "07:00", "Europe/Berlin", "2026-01-11T05:59:59.5Z", Some("2026-01-11T06:00:00Z")),
        ("22:00", "07:00", "Europe/Berlin", "2026-01-11T06:00:00Z", None),
        ("12:00", "13:30", "Asia/Kolkata", "2026-01-11T07:00:00Z", Some("2026-01-11T08:00:00Z")),
        // The clock goes from 02:00 to 03:00 at 01:00 UTC: the night is an hour shorter.
        ("22:00", "07:00", "Europe/Berlin", "2026-03-28T21:30:00Z", Some("2026-03-29T05:00:00Z")),
        // They end in the hour that there is not: with the jump.
        ("22:00", "02:30", "Europe/Berlin", "2026-03-29T00:59:00Z", Some("2026-03-29T01:00:00Z")),
        // They begin in it.
        ("02:30", "05:00", "Europe/Berlin", "2026-03-29T00:59:59Z", None),
        ("02:30", "05:00", "Europe/Berlin", "2026-03-29T01:00:00Z", Some("2026-03-29T03:00:00Z")),
        // The clock goes from 03:00 to 02:00 at 01:00 UTC: an hour longer.
        ("22:00", "07:00", "Europe/Berlin", "2026-10-24T20:30:00Z", Some("2026-10-25T06:00:00Z")),
        // They end in the hour that comes twice, and are there again for its second half.
        ("22:00", "02:30", "Europe/Berlin", "2026-10-25T00:10:00Z", Some("2026-10-25T00:30:00Z")),
        ("22:00", "02:30", "Europe/Berlin", "2026-10-25T00:40:00Z", None),
        ("22:00", "02:30", "Europe/Berlin", "2026-10-25T01:10:00Z", Some("2026-10-25T01:30:00Z")),
        // Samoa had no 30th of December.
        ("22:00", "07:00", "Pacific/Apia", "2011-12-30T09:00:00Z", Some("2011-12-30T17:00:00Z")),
        ("00:00", "23:59", "UTC", "2026-01-11T12:00:00Z", Some("2026-01-11T23:59:00Z")),
    ] {
        let found = hours(from, to, zone).end(at(now));
        assert_eq!(found, end.map(at), "{from} to {to} in {zone} at {now}");
    }
}

#[test]
fn what_are_none_is_named() {
    for (json, expected) in [
        (r#"{"from":"7:00","to":"22:00","time_zone":"UTC"}"#, "\"7:00\" is not a time"),
        (r#"{"from":"07:00","to":"24:00","time_zone":"UTC"}"#, "\"24:00\" is not a time"),
        (r#"{"from":"+7:00","to":"22:60","time_zone":"UTC"}"#, "\"+7:00\" is not a time"),
        (r#"{"from":"07:00","to":"07:00","time_zone":"UTC"}"#, "begin and end at 07:00"),
        (r#"{"from":"07:00","to":"08:00","time_zone":"Berlin"}"#, "no time zone \"Berlin\""),
        (r#"{"from":"07:00","to":"08:00","time_zone":"+01:00"}"#, "no time zone"),
        (r#"{"from":"07:00","to":"08:00"}"#, "missing field `time_zone`"),
    ] {
        let error = serde_json::from_str::<QuietHours>(json).unwrap_err().to_string();
        assert!(error.contains(expected), "{json}: {error}");
    }
    let json = r#"{"from":"22:00","to":"07:05","time_zone":"Europe/Berlin"}"#;
    let hours: QuietHours = serde_json::from_str(&json.replace("Europe", "europe")).unwrap();
    assert_eq!(serde_json::to_string(&hours).unwrap(), json);
}

fn clock() -> impl Strategy<Value = ClockTime> {
    (0..24u8, 0..60u8).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}").parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// A moment is quiet if the clock shows a quiet time; the end is the first moment after it that is not.
    #[test]
    fn they_are_what_the_clock_shows(
        zone in any::<Index>(),
        seconds in 0..4_000_000_000_i64,
        nanoseconds in 0..1_000_000_000_i64,
        near_a_change in any::<bool>(),
        (from, to) in (clock(), clock()).prop_filter("they differ", |(from, to)| from != to),
        between in prop::collection::vec(0.0..1.0, 20),
    ) {
        let names: Vec<_> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let name = zone.get(&names);
        let zone = TimeZone::get(name).unwrap();
        let mut now = Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap()).unwrap();
        if near_a_change && let Some(change) = zone.following(now).next() {
            // Up to twelve hours before or after it.
            now = change.timestamp() + jiff::SignedDuration::from_secs(seconds % 86_400 - 43_200);
        }
        let hours = QuietHours::new(from, to, name).unwrap();
        let is_quiet = |moment: Timestamp| {
            let shown = zone.to_datetime(moment).time();
            let shown = format!("{:02}:{:02}", shown.hour(), shown.minute()).parse::<ClockTime>().unwrap();
            if from < to { from <= shown && shown < to } else { from <= shown || shown < to }
        };
        let end = hours.end(OffsetDateTime::from_unix_timestamp_nanos(now.as_nanosecond()).unwrap());
        prop_assert_eq!(end.is_some(), is_quiet(now), "{} {}", name, now);
        if let Some(end) = end {
            let end = Timestamp::from_nanosecond(end.unix_timestamp_nanos()).unwrap();
            prop_assert!(!is_quiet(end), "{} {} to {}", name, now, end);
            let span = end.as_nanosecond() - now.as_nanosecond();
            prop_assert!(span > 0 && span < 50 * 3_600_000_000_000, "{} {} to {}", name, now, end);
            prop_assert!(is_quiet(Timestamp::from_nanosecond(end.as_nanosecond() - 1).unwrap()));
            for part in between {
                #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "any moment will do")]
                let moment = now.as_nanosecond() + (part * span as f64) as i128;
                let moment = Timestamp::from_nanosecond(moment.min(end.as_nanosecond() - 1)).unwrap();
                prop_assert!(is_quiet(moment), "{} {} of {} to {}", name, moment, now, end);
            }
        }
    }
}

#[test]
fn what_the_user_has_set_decides() {
    let category = Category::parse("offers").unwrap();
    let mut defaults = Defaults::default();
    defaults.off.insert(category.clone(), [Email].into());
    let question = |channel, is_critical| Question { category: &category, channel, is_critical };
    let day = at("2026-01-10T12:00:00Z");
    let mut user = Preferences::default();
    let decide = |user: &Preferences, channel, now| user.decide(&defaults, question(channel, false), now);
    assert_eq!(decide(&user, Webhook, day), Decision::Send);
    let Decision::Skip(reason) = decide(&user, Email, day) else { panic!("it is off by the catalog") };
    assert!(reason.contains("email is off for offers by the catalog"), "{reason}");
    user.switch(category.clone(), Email, true);
    user.switch(category.clone(), Webhook, false);
    assert_eq!(decide(&user, Email, day), Decision::Send);
    let Decision::Skip(reason) = decide(&user, Webhook, day) else { panic!("the user has switched it off") };
    assert_eq!(reason, "the user has switched off webhook for offers");

    user.quiet_hours = Some(hours("22:00", "07:00", "Europe/Berlin"));
    assert_eq!(decide(&user, Email, day), Decision::Send);
    let night = at("2026-01-10T23:00:00Z");
    let until = at("2026-01-11T06:00:00Z");
    let reason = "quiet hours, 22:00 to 07:00 Europe/Berlin".to_owned();
    assert_eq!(decide(&user, Email, night), Decision::Wait { until, reason });
    user.muted_until = Some(day + Duration::HOUR);
    let Decision::Skip(reason) = decide(&user, Email, day) else { panic!("the user is muted") };
    assert_eq!(reason, "the user is muted until 2026-01-10T13:00:00.000Z");
    assert_eq!(decide(&user, Email, day + Duration::HOUR), Decision::Send);
    for channel in [Email, Webhook] {
        assert_eq!(user.decide(&defaults, question(channel, true), night), Decision::Send, "critical");
    }
    let json = r#"{"categories":{"offers":{"webhook":false,"email":true}},"quiet_hours":{"from":"22:00","to":"07:00","time_zone":"Europe/Berlin"},"muted_until":"2026-01-10T13:00:00.000Z"}"#;
    assert_eq!(serde_json::to_string(&user).unwrap(), json);
    assert_eq!(serde_json::from_str::<Preferences>(json).unwrap(), user);
}
