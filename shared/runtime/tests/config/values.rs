//! The values of keys: their defaults, and what is told of one that is wrong.

use std::time::Duration;

use proptest::prelude::*;
use tidings_runtime::config::{Config, SecretRule};

use crate::support::{File, check, check_value};

#[test]
fn nothing_given_is_the_default() {
    let config = File::new("").load(&[], SecretRule::Optional).unwrap();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.streams.rejected_max_age, Duration::from_secs(30 * 24 * 60 * 60));
}

#[test]
fn the_defaults_keep_their_own_rules() {
    let told = File::new("[gateway]\nheartbeat = \"30s\"\n[streams]\nduplicate_window = \"2m\"\n");
    assert_eq!(told.mistakes(&[], SecretRule::Optional), Vec::<String>::new());
}

#[test]
fn a_wrong_value_is_told_with_what_was_expected() {
    const DURATION: &str = "expected a duration above zero and up to 100 years, such as 30s, 5m or 7d";
    const SIZE: &str = "expected a size above zero, in bytes or such as 16 KiB, 1 MiB or 2 GB";
    const ADDRESS: &str = "expected an IP address and port, such as 127.0.0.1:8080 or [::]:8080";
    let told = |value: &str, expected: &str| format!("{value} (@): {expected}");
    for text in ["soon", "0s", "-5s", "200 years", "30"] {
        let value = format!("{text:?}");
        check_value("gateway.heartbeat", &value, Some(text), &told(&value, DURATION));
    }
    check_value("gateway.heartbeat", "30", None, &told("30", DURATION));
    for text in ["large", "0 KiB", "-1 KiB", "99999999999 GB"] {
        let value = format!("{text:?}");
        check_value("gateway.max_frame_bytes", &value, Some(text), &told(&value, SIZE));
        check_value("streams.events_max_bytes", &value, Some(text), &told(&value, SIZE));
    }
    check_value("gateway.window_bytes", "1.0", None, &told("1.0", SIZE));
    for text in ["0", "-1", "1.5", "18446744073709551616"] {
        check_value(
            "projector.max_event_bytes",
            text,
            Some(text).filter(|text| text.len() < 3),
            &told(text, SIZE),
        );
    }
    for text in ["localhost:8080", "127.0.0.1", ":8080", "127.0.0.1:65536"] {
        let value = format!("{text:?}");
        check_value("gateway.listen", &value, Some(text), &told(&value, ADDRESS));
    }
}

#[test]
fn every_kind_of_value_tells_its_range() {
    let rows = [
        ("streams.replicas", "0", "a whole number from 1 to 5"),
        ("streams.replicas", "3.0", "a whole number from 1 to 5"),
        ("streams.replicas", "6", "a whole number from 1 to 5"),
        ("streams.replicas", "\"three\"", "a whole number from 1 to 5"),
        ("streams.storage", "\"disk\"", "\"file\" or \"memory\""),
        ("telemetry.log_format", "\"xml\"", "\"text\" or \"json\""),
        ("telemetry.sample_ratio", "1.01", "a number from 0.0 to 1.0"),
        ("telemetry.sample_ratio", "-1", "a number from 0.0 to 1.0"),
        ("telemetry.log", "\"info,=,\"", "a log filter such as info or warn,tidings_gateway=debug"),
        (
            "telemetry.otlp_endpoint",
            "\"https://collector:4318\"",
            "a URL such as http://127.0.0.1:4318, without user or password (for TLS, let a collector beside this process \
             forward)",
        ),
        (
            "nats.url",
            "\"http://127.0.0.1:4222\"",
            "URLs such as nats://127.0.0.1:4222 or tls://nats-1.example:4222,tls://nats-2.example:4222, without user or password",
        ),
        ("gateway.cookie", "\"my session\"", "a cookie name: letters, digits and any of !#$%&'*+-.^_`|~"),
        ("gateway.proxy_protocol", "\"yes\"", "true or false"),
        ("gateway.max_topics", "0", "a whole number from 1 to 1000000"),
        ("gateway.max_connections", "0", "a whole number from 1 to 1000000000"),
        ("projector.consumer", "\"my.projector\"", "1 to 32 letters, digits, - and _"),
        ("schemas.directory", "\"\"", "text that is not empty"),
        ("gateway.drain_time", "\"later\"", "a duration up to 100 years, such as 0s, 30s or 5m"),
        ("access.leeway", "\"later\"", "a duration up to 100 years, such as 0s, 30s or 5m"),
    ];
    for (key, value, expected) in rows {
        let text = Some(value.trim_matches('"')).filter(|text| !text.is_empty() && *text != "3.0");
        check_value(key, value, text, &format!("{value} (@): expected {expected}"));
    }
}

#[test]
fn a_list_is_checked_item_by_item() {
    check(
        "[gateway]\nallowed_origins = [\"https://a.example\", \"https://b.example/\", \"c.example\", \"https://d/e\"]\n",
        &[],
        &[
            "gateway.allowed_origins = \"https://b.example/\" (tidings.toml): expected in each item an origin such as \
             https://app.example or capacitor://localhost, without a path",
            "gateway.allowed_origins = \"c.example\" (tidings.toml): expected in each item an origin such as https://app.example or \
             capacitor://localhost, without a path",
            "gateway.allowed_origins = \"https://d/e\" (tidings.toml): expected in each item an origin such as \
             https://app.example or capacitor://localhost, without a path",
        ],
    );
    for network in ["10.0.0.0/33", "proxy.example", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104"] {
        check(
            &format!("[gateway]\ntrusted_proxies = [\"10.0.0.0/8\", \"{network}\"]\n"),
            &[],
            &[&format!(
                "gateway.trusted_proxies = \"{network}\" (tidings.toml): expected in each item an IP address or network \
                 such as 10.0.0.7, 10.0.0.0/8 or fd00::/8"
            )],
        );
    }
    check(
        "[gateway]\nallowed_origins = \"https://a.example\"\n",
        &[],
        &[
            "gateway.allowed_origins = \"https://a.example\" (tidings.toml): expected a list, in each item an origin such as \
           https://app.example or capacitor://localhost, without a path",
        ],
    );
}

proptest! {
    /// Whatever stands in a variable is either understood or told as a mistake of it, and never a contradiction between
    /// the check and the program.
    #[test]
    fn any_text_is_understood_or_told(index in 0..ANY.len(), text in ".{0,12}|[0-9]{1,20}( ?[KMG]i?B|[smhd])?|-?[0-9.e]{1,6}") {
        let file = File::new("");
        let name = ANY[index];
        prop_assume!(!text.contains('\0'));
        for told in file.mistakes(&[(name, &text)], SecretRule::Optional) {
            prop_assert!(told.contains(name) || told.contains("at most the shortest"), "{told}");
        }
    }
}

const ANY: [&str; 12] = [
    "TIDINGS_NATS__URL",
    "TIDINGS_NATS__CONNECT_TIMEOUT",
    "TIDINGS_STREAMS__REPLICAS",
    "TIDINGS_STREAMS__EVENTS_MAX_AGE",
    "TIDINGS_STREAMS__EVENTS_MAX_BYTES",
    "TIDINGS_GATEWAY__LISTEN",
    "TIDINGS_GATEWAY__WINDOW_BYTES",
    "TIDINGS_GATEWAY__MESSAGE_BURST",
    "TIDINGS_GATEWAY__ALLOWED_ORIGINS",
    "TIDINGS_PROJECTOR__IN_FLIGHT",
    "TIDINGS_TELEMETRY__LOG",
    "TIDINGS_TELEMETRY__SAMPLE_RATIO",
];
