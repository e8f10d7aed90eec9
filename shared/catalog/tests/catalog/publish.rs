//! Who may say what: what keys and claims allow and nothing else, and every mistake in the rules named.

use proptest::prelude::*;
use serde_json::{Value, json};
use tidings_catalog::{Catalog, PublishRefusal};

use crate::support::{catalog, claims, parse};

const MESSAGE: &str = "[[message]]\nname = 'm'\nevents = ['a.b', 'a.c']\nschema = 'any.json'\nto = 'topic:t'\nbody = { d = '{data}' }\n[topics.t]\n";

fn with(keys: &str, rules: &str) -> String {
    format!("grants = [{keys}]\n{MESSAGE}\n{rules}")
}

fn rules(rules: &str) -> Catalog {
    catalog(&with("'role:{role}'", rules))
}

/// The event and its data, or the word for why not.
fn say(catalog: &Catalog, holder: &Value, frame: &Value) -> Result<(String, Value), String> {
    let holder = claims(holder);
    let keys = catalog.grants(&holder);
    let voice = catalog.publish_claims(&holder, &keys);
    let verb = frame["action"].as_str().unwrap();
    let published = catalog.publish(verb, frame.as_object().unwrap(), &keys, &voice);
    published
        .map(|published| (published.event.to_string(), published.data))
        .map_err(|refusal| refusal.reason().to_owned() + refusal.pointer().unwrap_or_default())
}

#[test]
fn claims_say_where_a_rule_holds() {
    let report = |condition: &str| {
        rules(&format!("[[publish]]\naction = 'report'\nevent = 'a.b'\nwhere = {{ {condition} }}"))
    };
    let long = "x".repeat(600);
    for (condition, holder, data, expected) in [
        ("'data.s' = '{s}'", json!({ "s": "s9" }), json!({ "s": "s9" }), Ok(())),
        ("'data.s' = '{s}'", json!({ "s": "s9" }), json!({ "s": "s" }), Err("forbidden")),
        ("'data.s' = '{s}'", json!({ "s": "s9" }), json!({}), Err("missing-value/data/s")),
        ("'data.s' = '{s}'", json!({ "s": "s9" }), json!({ "s": ["s9"] }), Err("missing-value/data/s")),
        ("'data.s' = '{s}'", json!({ "s": "s9" }), json!(null), Err("missing-value/data/s")),
        ("'data.s' = '{s}'", json!({ "s": ["s4", "s9"] }), json!({ "s": "s9" }), Ok(())),
        ("'data.s' = '{s}'", json!({ "s": ["s4", "s9"] }), json!({ "s": "s4, s9" }), Err("forbidden")),
        ("'data.s' = '{s}'", json!({ "s": [["s9"], null] }), json!({ "s": "s9" }), Err("forbidden")),
        ("'data.s' = '{s}'", json!({ "s": [] }), json!({ "s": "s9" }), Err("forbidden")),
        ("'data.s' = '{s}'", json!({}), json!({ "s": "s9" }), Err("forbidden")),
        ("'data.s' = '{s}'", json!({}), json!({ "s": "" }), Err("forbidden")),
        ("'data.s' = '{s?}'", json!({}), json!({ "s": "" }), Err("forbidden")),
        ("'data.s' = '{s}'", json!({ "s": null }), json!({ "s": "null" }), Err("forbidden")),
        ("'data.s' = '{s}'", json!({ "s": "" }), json!({ "s": "" }), Err("forbidden")),
        ("'data.s' = '{s}'", json!({ "s": "*" }), json!({ "s": "s9" }), Err("forbidden")),
        ("'data.s' = '{s}'", json!({ "s": "s9" }), json!({ "s": "*" }), Err("forbidden")),
        ("'data.s' = '{s}'", json!({ "s": "s9" }), json!({ "s": "S9" }), Err("forbidden")),
        ("'data.s' = '{s}'", json!({ "s": long }), json!({ "s": long }), Ok(())),
        // As in an address, a number is its digits.
        ("'data.s' = '{s}'", json!({ "s": 9 }), json!({ "s": "9" }), Ok(())),
        ("'data.s' = '{s}'", json!({ "s": "9" }), json!({ "s": 9 }), Ok(())),
        ("'data.s' = '{org.sites}'", json!({ "org": { "sites": ["a", "b"] } }), json!({ "s": "b" }), Ok(())),
        (
            "'data.s' = '{org.sites[0]}'",
            json!({ "org": { "sites": ["a", "b"] } }),
            json!({ "s": "a" }),
            Ok(()),
        ),
        (
            "'data.s' = '{org.sites[0]}'",
            json!({ "org": { "sites": ["a", "b"] } }),
            json!({ "s": "b" }),
            Err("forbidden"),
        ),
        ("'data.s' = '{o}/{t}'", json!({ "o": "x", "t": ["y", "z"] }), json!({ "s": "x/z" }), Ok(())),
        ("'data.s' = '{s}'", json!({ "s": "a b" }), json!({ "s": "a b" }), Ok(())),
        ("'data.s' = '{s[words]}'", json!({ "s": "a b" }), json!({ "s": "b" }), Ok(())),
        ("'data.s' = '{s[words]}'", json!({ "s": "a b" }), json!({ "s": "a b" }), Err("forbidden")),
        (
            "'data.s' = '{org.sites[words]}'",
            json!({ "org": { "sites": "a b" } }),
            json!({ "s": "a" }),
            Ok(()),
        ),
        ("'data.s' = '{scope}'", json!({ "scope": "a b" }), json!({ "s": "b" }), Ok(())),
        ("'data.s' = 'fixed'", json!({}), json!({ "s": "fixed" }), Ok(())),
        ("'data.s' = 'fixed'", json!({}), json!({ "s": "other" }), Err("forbidden")),
        (
            "'data.s' = '{s}', 'data.t' = '{t}'",
            json!({ "s": "a", "t": "b" }),
            json!({ "s": "a", "t": "b" }),
            Ok(()),
        ),
        (
            "'data.s' = '{s}', 'data.t' = '{t}'",
            json!({ "s": "a", "t": "b" }),
            json!({ "s": "a", "t": "a" }),
            Err("forbidden"),
        ),
    ] {
        let published = say(&report(condition), &holder, &json!({ "action": "report", "data": data }));
        let expected = expected.map(|()| ("a.b".to_owned(), data.clone())).map_err(str::to_owned);
        assert_eq!(published, expected, "{condition} {holder} {data}");
    }
}

#[test]
fn the_first_rule_that_a_token_may_use_counts() {
    let catalog = rules(
        "[[publish]]\naction = 'report'\nevent = 'a.b'\nroles = ['lead', 'chief']\n\
         [[publish]]\naction = 'report'\nevent = 'a.c'\nroles = ['member']\nwhere = { 'data.s' = '{s}' }\n\
         [[publish]]\naction = 'created'\ntype = 'task'\nevent = 'a.c'\ndata = { who = '{claims.sub}', what = '{text?}' }",
    );
    let report = json!({ "action": "report", "data": { "s": "1" } });
    for (holder, frame, expected) in [
        (json!({ "role": "lead" }), &report, Ok("a.b")),
        (json!({ "role": ["member", "chief"], "s": "2" }), &report, Ok("a.b")),
        (json!({ "role": "member", "s": "1" }), &report, Ok("a.c")),
        (json!({ "role": "member", "s": "2" }), &report, Err("forbidden")),
        (json!({ "role": "guest", "s": "1" }), &report, Err("forbidden")),
        (json!({ "s": "1" }), &report, Err("forbidden")),
        (json!({ "role": "lead" }), &json!({ "action": "reports" }), Err("unknown-action")),
        (json!({ "role": "lead" }), &json!({ "action": "report" }), Err("missing-value/data")),
        (json!({ "sub": "ada" }), &json!({ "action": "created", "type": "task" }), Ok("a.c")),
        (json!({}), &json!({ "action": "created", "type": "task" }), Err("forbidden")),
        (json!({ "sub": "ada" }), &json!({ "action": "created", "type": "note" }), Err("unknown-action")),
        (json!({ "sub": "ada" }), &json!({ "action": "created" }), Err("unknown-action")),
    ] {
        let published = say(&catalog, &holder, frame).map(|(event, _)| event);
        assert_eq!(published, expected.map(str::to_owned).map_err(str::to_owned), "{holder} {frame}");
    }
    // Only the token speaks for itself, whatever the frame is made of.
    let frame =
        json!({ "action": "created", "type": "task", "claims": { "sub": "bo" }, "text": "{claims.sub}" });
    let (_, data) = say(&catalog, &json!({ "sub": "ada" }), &frame).unwrap();
    assert_eq!(data, json!({ "who": "ada", "what": "{claims.sub}" }));
}

#[test]
fn a_connection_keeps_the_claims_that_it_needs() {
    let catalog = rules(
        "[[publish]]\naction = 'report'\nevent = 'a.b'\nroles = ['lead']\nwhere = { 'data.s' = '{org.site}' }\n\
         [[publish]]\naction = 'note'\nevent = 'a.c'\nroles = ['clerk']\ndata.by = '{claims.sub}'",
    );
    let kept = |holder: &Value| {
        let holder = claims(holder);
        format!("{:?}", catalog.publish_claims(&holder, &catalog.grants(&holder)))
    };
    let holder = |role: &str| json!({ "role": role, "sub": "ada", "org": { "site": "s9", "more": "secret" }, "x": "secret" });
    assert_eq!(kept(&holder("guest")), "PublishClaims(None)");
    let lead = kept(&holder("lead"));
    assert!(lead.contains("s9") && !lead.contains("secret") && !lead.contains("ada"), "{lead}");
    let clerk = kept(&holder("clerk"));
    assert!(clerk.contains("ada") && !clerk.contains("secret") && !clerk.contains("s9"), "{clerk}");
    assert_eq!(size_of::<tidings_catalog::PublishClaims>(), size_of::<usize>());
}

#[test]
fn mistakes_in_rules_are_named() {
    let rule = |lines: &str| {
        let keys = "'user:{sub}', 'role:{role}'";
        let rule = format!("[[publish]]\naction = 'report'\nevent = 'a.b'\n{lines}");
        with(keys, &rule)
    };
    for (catalog, place, text) in [
        (rule("colour = 'red'"), "catalog.toml", "unknown field `colour`"),
        (rule("where = { 'data.s' = 7 }"), "catalog.toml", "invalid type"),
        (rule("").replace("'report'", "'ack'"), "publish `ack`", "the protocol itself uses this verb"),
        (rule("").replace("event = 'a.b'", "event = 'a'"), "publish `report`", "\"a\" is not of the form"),
        (rule("").replace("event = 'a.b'", "event = 'a.x'"), "publish `report`", "a.x becomes no message"),
        (rule("roles = []"), "publish `report`", "names no role"),
        (rule("roles = ['sre', '']"), "publish `report`", "role"),
        (
            rule("roles = ['sre']").replace(", 'role:{role}'", ""),
            "publish `report`",
            "no token opens \"role:sre\": `grants` open user:{sub}",
        ),
        (rule("where = { 's' = '{s}' }"), "publish `report`", "{s} in `where` does not begin with data"),
        (rule("where = { 'data..s' = '{s}' }"), "publish `report`", "{data..s}"),
        (rule("where = { 'data.s[*]' = '{s}' }"), "publish `report`", "{data.s[*]}"),
        (rule("where = { 'data.s' = '{s' }"), "publish `report`", "brace"),
        (rule("where = { 'data.s' = '{s[*]}' }"), "publish `report`", "[*]"),
        (rule("data = '{data'"), "publish `report`", "brace"),
        (rule("data = { n = '{data.n[*]}' }"), "publish `report`", "{data.n[*]}"),
        (rule("data = { n = '{claims}' }"), "publish `report`", "names no claim"),
        (rule("data = { n = '{claims[0]}' }"), "publish `report`", "names no claim"),
        (rule("data = 2025-01-17"), "publish `report`", "date"),
        (
            with(
                "",
                "[[publish]]\naction = 'm'\nevent = 'a.b'\n[routes.m]\nmessage = 'l'\nkey = 'k'\n[[message]]\nname = 'l'\nevents = ['l.l']\nschema = 'any.json'\nto = 'topic:t'\nclass = 'latest'\nkey = 'k'\nbody = {}",
            ),
            "publish `m`",
            "there is a route of this verb",
        ),
    ] {
        let error = parse(&catalog).unwrap_err();
        let found: Vec<_> = error.problems.iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 1, "{catalog}: {found:#?}");
        assert!(found[0].starts_with(place) && found[0].contains(text), "{text}: {found:#?}");
    }
    assert!(parse(&rule("")).is_ok());
}

fn any_id() -> impl Strategy<Value = Value> {
    let text = prop_oneof![".{0,6}", "[ab]", "[.*> /\u{0}-]{0,3}"];
    let leaf = prop_oneof![text.prop_map(Value::from), any::<i8>().prop_map(Value::from), Just(Value::Null)];
    prop_oneof![leaf.clone(), prop::collection::vec(leaf, 0..4).prop_map(Value::from)]
}

proptest! {
    /// Whatever claims and data are: what may be published is published of an id that a claim names, letter by letter.
    #[test]
    fn nobody_speaks_for_another(claim in any_id(), id in any_id(), role in any_id(), more in any_id()) {
        let catalog = rules("[[publish]]\naction = 'report'\nevent = 'a.b'\nroles = ['a']\nwhere = { 'data.s' = '{s}' }");
        let frame = json!({ "action": "report", "data": { "s": id, "more": more }, "s": claim, "role": "a", "claims": { "s": id } });
        let texts = |value: &Value| -> Vec<String> {
            let elements = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            elements.iter().filter_map(|v| v.as_str().map(str::to_owned).or(v.as_i64().map(|n| n.to_string()))).collect()
        };
        let own = |id: &str| !id.is_empty() && texts(&claim).iter().any(|text| text == id);
        let is_own = !id.is_array() && texts(&id).iter().all(|id| own(id)) && !texts(&id).is_empty();
        let may = texts(&role).iter().any(|role| role == "a") && is_own;
        prop_assert_eq!(say(&catalog, &json!({ "role": role, "s": claim }), &frame).is_ok(), may);
    }
}

#[test]
fn refusals_are_for_people_too() {
    let catalog = rules("[[publish]]\naction = 'report'\nevent = 'a.b'\nwhere = { 'data.s' = '{s}' }");
    let (keys, voice) = (catalog.grants(&claims(&json!({}))), tidings_catalog::PublishClaims::default());
    let frame = json!({ "data": { "s": "x\n".repeat(100) } });
    let refusal = catalog.publish("report", frame.as_object().unwrap(), &keys, &voice).unwrap_err();
    assert!(matches!(refusal, PublishRefusal::Forbidden(_)));
    let text = refusal.to_string();
    assert!(text.starts_with(r#"your token does not permit "report" where data.s is "x\nx\n"#), "{text}");
    assert!(text.len() < 256 && !text.contains('\n'), "{text}");
}
