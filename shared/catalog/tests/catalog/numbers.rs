//! Numbers count by their value wherever they choose or name something, and keep their spelling in messages.

use proptest::prelude::*;
use serde_json::Value;
use tidings_catalog::Catalog;
use tidings_model::json;

use crate::support::{catalog, event};

fn numbered() -> Catalog {
    catalog(
        "grants = ['user:{n}', 'all']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\n\
         to = ['user:{data.n}', { address = 'all', when = { 'data.n' = 1, 'data.l' = [1, { x = 2.5 }] } }]\n\
         class = 'latest'\nkey = 'k{data.n}'\nattributes = { n = '{data.n}' }\n\
         body = { n = '{data.n}', t = 'n={data.n}' }\n\
         [routes.newest]\nmessage = 'm'\nkey = 'k{n}'\n\
         [[publish]]\naction = 'say'\nevent = 'a.b'\nwhere = { 'data.n' = '{n}' }",
    )
}

fn read(text: &str) -> Value {
    json::parse(text.as_bytes()).unwrap()
}

/// What is named after a number: the address, the key, the attribute, the key of a token that has it as a claim, and
/// what a client asks for. All of them must agree; then the name of the address is given back.
fn named(spelling: &str) -> String {
    let catalog = numbered();
    let data = read(&format!(r#"{{"n":{spelling}}}"#));
    let envelopes = catalog.project(&event("a.b", data.clone())).unwrap();
    let envelope = &envelopes[0];
    let object = data.as_object().unwrap();
    let name = envelope.subject.address.id().unwrap();
    assert_eq!(envelope.subject.key.as_deref(), Some(format!("k{name}").as_str()));
    assert_eq!(serde_json::to_value(&envelope.attributes["n"]).unwrap(), *name);
    assert!(catalog.grants(object).contains(&envelope.subject.address));
    assert_eq!(catalog.route("newest").unwrap().key(object).unwrap(), format!("k{name}"));
    // In the message, it is as the producer wrote it.
    let written = object["n"].to_string();
    assert_eq!(envelope.body, format!(r#"{{"n":{written},"t":"n={written}"}}"#).as_bytes());
    name.to_owned()
}

#[test]
fn one_value_has_one_name() {
    for (name, spellings) in [
        ("1", ["1", "1.0", "1e0", "10E-1"]),
        ("0", ["0", "-0", "0.0", "-0e7"]),
        (
            "9007199254740993",
            ["9007199254740993", "9007199254740993.0", "9007199254740993e0", "90071992547409930e-1"],
        ),
        ("-2.5", ["-2.5", "-2.50", "-25e-1", "-0.25e1"]),
    ] {
        for spelling in spellings {
            assert_eq!(named(spelling), name, "{spelling}");
        }
    }
    assert_ne!(named("9007199254740992"), named("9007199254740993"));
}

#[test]
fn a_condition_holds_for_every_spelling_of_its_numbers() {
    let holds = |data: &str| numbered().project(&event("a.b", read(data))).unwrap().len() == 2;
    for data in [
        r#"{"n":1,"l":[1,{"x":2.5}]}"#,
        r#"{"n":1.0,"l":[1e0,{"x":25e-1}]}"#,
        r#"{"n":10e-1,"l":[1.00,{"x":2.50}]}"#,
    ] {
        assert!(holds(data), "{data}");
    }
    for data in
        [r#"{"n":1.5,"l":[1,{"x":2.5}]}"#, r#"{"n":"1","l":[1,{"x":2.5}]}"#, r#"{"n":1,"l":[1,{"x":2}]}"#]
    {
        assert!(!holds(data), "{data}");
    }
}

#[test]
fn what_clients_say_is_compared_by_value() {
    let catalog = numbered();
    let say = |claim: &str, published: &str| {
        let holder = read(&format!(r#"{{"n":{claim}}}"#));
        let frame = read(&format!(r#"{{"action":"say","data":{{"n":{published}}}}}"#));
        let keys = catalog.grants(holder.as_object().unwrap());
        let voice = catalog.publish_claims(holder.as_object().unwrap(), &keys);
        catalog.publish("say", frame.as_object().unwrap(), &keys, &voice).is_ok()
    };
    for (claim, published, expected) in [
        ("7", "7.0", true),
        ("7e0", "7", true),
        ("[6, 7.00]", "7", true),
        (r#""7""#, "7.0", true),
        ("9007199254740993", "9007199254740992", false),
        ("7", "7.5", false),
    ] {
        assert_eq!(say(claim, published), expected, "{claim} {published}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_number_has_the_name_of_its_value(digits in "[1-9][0-9]{0,24}", zeros in 0_usize..6, exponent in -9_i32..9) {
        let plain = named(&format!("{digits}e{exponent}"));
        prop_assert_eq!(named(&format!("{digits}{}E{}", "0".repeat(zeros), exponent - i32::try_from(zeros).unwrap())), plain.clone());
        prop_assert_eq!(named(&format!("{digits}.{}e{exponent:+}", "0".repeat(zeros + 1))), plain);
    }
}
