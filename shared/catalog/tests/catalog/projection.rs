//! Any event becomes envelopes that are sound in themselves, or is rejected; always the same.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidings_catalog::{Catalog, Reason};
use tidings_model::{Address, EnvelopeSubject, Place};

use crate::support::{any_json, any_text, as_text, catalog, event};

fn everything() -> Catalog {
    catalog(
        r#"
        grants = ['all', 'user:{sub}', 'room:{rooms}', 'x:<{x}>']
        topics.news = {}
        [[message]]
        name = "whole"
        events = ["a.b"]
        schema = "any.json"
        to = [{ address = "all", when = { "data.u" = "all" } }, "user:{data.u}", "topic:news", "room:{data.list[*]}", "x:<{data.v?}>"]
        attributes = { u = "{data.u?}", text = "v={data.v?}" }
        body = { data = "{data}", u = "{data.u}", text = "{data.u}/{data.v?}", time = "{time}", none = "{data.none?}" }
        [[message]]
        name = "newest"
        events = ["a.b"]
        schema = "any.json"
        to = "user:{data.u}"
        class = "latest"
        key = "{data.v}"
        ttl = "1s"
        body = { v = ["{data.v}"] }
        "#,
    )
}

/// Data that often has what the catalog wants.
fn likely_data() -> impl Strategy<Value = Value> {
    let list = prop::collection::vec(any_text(), 0..5);
    let fitting = (any_text(), any_text(), list, any_json())
        .prop_map(|(u, v, list, more)| json!({ "u": u, "v": v, "list": list, "more": more }));
    prop_oneof![3 => fitting, 1 => any_json()]
}

proptest! {
    #[test]
    fn any_data_becomes_sound_envelopes_or_is_rejected(data in likely_data()) {
        let catalog = everything();
        let event = event("a.b", data.clone());
        let first = catalog.project(&event);
        prop_assert_eq!(&first, &catalog.project(&event));
        let Ok(envelopes) = first else {
            let rejection = first.unwrap_err();
            prop_assert!(!rejection.text.chars().any(char::is_control), "{:?}", rejection.text);
            return Ok(());
        };
        let text = |name: &str| as_text(&data[name]);
        for (part, envelope) in (0..).zip(&envelopes) {
            prop_assert_eq!(envelope.origin.part, part);
            let body: Value = serde_json::from_slice(&envelope.body).unwrap();
            prop_assert!(body.is_object());
            if envelope.subject.slot == "whole" {
                prop_assert_eq!(&body["data"], &data);
                prop_assert_eq!(&body["time"], "1970-01-01T00:00:00.000Z");
            } else {
                prop_assert_eq!(envelope.subject.key.clone(), Some(text("v")));
            }

            // Nothing in a subject but what its encoding lets through, and it leads back to the address.
            let subject = envelope.subject.written_in(Place::default());
            prop_assert!(subject.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-=.".contains(&byte)), "{}", subject);
            prop_assert_eq!(subject.matches('.').count(), 6, "{}", &subject);
            let (parsed, _) = EnvelopeSubject::parse(&subject).unwrap();
            prop_assert_eq!(&parsed, &envelope.subject);

            // Data fills ids; it never chooses a kind.
            let address = &envelope.subject.address;
            prop_assert_eq!(&Address::parse(address.as_str()).unwrap(), address);
            match address.kind() {
                "all" => prop_assert_eq!(&data["u"], "all"),
                "user" => prop_assert_eq!(address.id().unwrap(), text("u")),
                "topic" => prop_assert_eq!(address.id(), Some("news")),
                "room" => {
                    let mut ids = data["list"].as_array().unwrap().iter().map(as_text);
                    prop_assert!(ids.any(|id| Some(id.as_str()) == address.id()));
                }
                "x" => prop_assert!(address.id().unwrap().starts_with('<')),
                other => prop_assert!(false, "kind {}", other),
            }
        }
        let mut addresses: Vec<_> = envelopes.iter().map(|e| (&e.subject.slot, &e.subject.address)).collect();
        let all = addresses.len();
        addresses.sort();
        addresses.dedup();
        prop_assert_eq!(addresses.len(), all, "an address is reached twice by one message");
    }
}

#[test]
fn an_event_is_rejected_with_a_reason_and_a_place() {
    let list = "a".repeat(600);
    for (name, data, reason, pointer) in [
        ("x.y", json!({}), Reason::UnknownEvent, None),
        ("a.b", json!(null), Reason::MissingValue, Some("/u")),
        ("a.b", json!({ "u": [] }), Reason::MissingValue, Some("/u")),
        ("a.b", json!({ "u": "" , "v": "v" }), Reason::NoAddress, None),
        ("a.b", json!({ "u": list, "v": "v" }), Reason::NoAddress, None),
        ("a.b", json!({ "u": "u", "v": {} }), Reason::MissingValue, Some("/v")),
        ("a.b", json!({ "u": "u", "v": "v".repeat(257) }), Reason::TooLarge, None),
        ("a.b", json!({ "u": "u", "v": "v", "large": "x".repeat(128 * 1024) }), Reason::TooLarge, None),
        ("a.b", json!({ "u": "u", "v": "v", "list": [1, [2]] }), Reason::MissingValue, Some("/list/*")),
    ] {
        let rejection = everything().project(&event(name, data.clone())).unwrap_err();
        assert_eq!((rejection.reason, rejection.pointer.as_deref()), (reason, pointer), "{rejection}");
    }
}

/// Whatever has an address can be what something is the newest of.
#[test]
fn a_key_may_be_as_long_as_an_address() {
    let catalog = catalog(
        "grants = ['all', 'user:{sub}']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = 'all'\nclass = 'latest'\nkey = '{data.k}'\nbody = {}",
    );
    let project = |length: usize| catalog.project(&event("a.b", json!({ "k": "é".repeat(length / 2) })));
    assert_eq!(project(Address::MAX_ID_LENGTH).unwrap().len(), 1);
    assert_eq!(project(Address::MAX_ID_LENGTH + 2).unwrap_err().reason, Reason::TooLarge);
}

#[test]
fn a_list_of_ten_thousand_is_reached_once_each_in_order() {
    let catalog = catalog(
        "grants = ['all', 'user:{sub}']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = 'user:{data.w[*]}'\nbody = {}",
    );
    let watchers: Vec<String> = (0..10_000).map(|n| format!("w{n}")).collect();
    let twice = [watchers.as_slice(), &watchers].concat();
    let envelopes = catalog.project(&event("a.b", json!({ "w": twice }))).unwrap();
    let reached: Vec<_> = envelopes.iter().map(|envelope| envelope.subject.address.id().unwrap()).collect();
    assert_eq!(reached, watchers);
    assert!(
        envelopes.windows(2).all(|pair| pair[0].body.as_ptr() == pair[1].body.as_ptr()),
        "one body for all"
    );
}

#[test]
fn numbers_keep_their_digits() {
    let catalog = catalog(
        "grants = ['all', 'user:{sub}']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = 'all'\nbody.n = '{data}'",
    );
    let data: Value = serde_json::from_str("[1.00, 12345678901234567890123, 1e-7]").unwrap();
    let envelopes = catalog.project(&event("a.b", data)).unwrap();
    assert_eq!(envelopes[0].body, r#"{"n":[1.00,12345678901234567890123,1e-7]}"#.as_bytes());
}
