//! Events as the official CloudEvents SDKs make them. `sdk_events.json` has headers and payloads as each SDK, in the
//! version that is named there, made them of one and the same event: over a real nats-server where the SDK speaks NATS
//! (Go), else by its HTTP binding, which has the same header names.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use serde::Deserialize;
use serde_json::json;
use tidings_model::RawEvent;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Deserialize)]
struct Captured {
    sdk: String,
    mode: String,
    headers: Vec<(String, String)>,
    payload: String,
}

fn captured() -> Vec<Captured> {
    tidings_model::json::read(include_bytes!("sdk_events.json")).unwrap()
}

fn raw(headers: Vec<(String, String)>, payload: &str) -> RawEvent {
    RawEvent {
        subject: "events.t.order.placed".to_owned(),
        headers,
        payload: payload.as_bytes().to_vec().into(),
        position: "5-7".parse().unwrap(),
        stored_at: OffsetDateTime::UNIX_EPOCH,
    }
}

fn check(sdk: &str, event: &RawEvent) {
    let event = event.read().unwrap_or_else(|error| panic!("{sdk}: {error}"));
    assert_eq!(
        (event.id.as_str(), event.source.as_deref(), event.subject.as_deref()),
        ("e 1/é", Some("/orders"), Some("order 1")),
        "{sdk}"
    );
    assert_eq!(event.data, json!({ "user": "ada", "dish": "crème" }), "{sdk}");
    let time = OffsetDateTime::parse(&event.time.unwrap(), &Rfc3339).unwrap();
    assert_eq!(time, OffsetDateTime::parse("2025-01-17T10:30:00Z", &Rfc3339).unwrap(), "{sdk}");
}

#[test]
fn the_event_of_every_sdk_is_read() {
    let captured = captured();
    for name in ["Go", "Java", "JavaScript", "Python"] {
        for mode in ["structured", "binary"] {
            assert!(captured.iter().any(|made| made.sdk.starts_with(name) && made.mode.starts_with(mode)));
        }
    }
    for Captured { sdk, mode, headers, payload } in captured {
        check(&format!("{sdk}, {mode}"), &raw(headers, &payload));
    }
}

/// HTTP gateways and some clients change the case of headers, and a structured event may be copied with the headers of
/// the binary one beside it.
#[test]
fn the_case_of_headers_and_headers_beside_a_structured_event_do_not_matter() {
    let captured = captured();
    let binary = captured.iter().find(|made| made.mode == "binary").unwrap().headers.clone();
    for Captured { sdk, mode, headers, payload } in &captured {
        for change in [str::to_uppercase, title, str::to_lowercase] {
            let headers = headers.iter().map(|(name, value)| (change(name), value.clone())).collect();
            check(&format!("{sdk}, {mode}"), &raw(headers, payload));
        }
        let is_declared = headers.iter().any(|(_, value)| value.starts_with("application/cloudevents"));
        if is_declared {
            let other = ("ce-id".to_owned(), "another".to_owned());
            let headers = [std::slice::from_ref(&other), &binary, headers].concat();
            check(&format!("{sdk}, {mode}, headers beside"), &raw(headers, payload));
        }
    }
}

fn title(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}
