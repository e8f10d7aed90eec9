//! What counts as nothing, and where: absence, null, empty texts and empty lists, in every place of a catalog.

use serde_json::{Map, Value, json};
use tidings_catalog::Catalog;

use crate::support::{catalog, claims, event};

/// What `v` is in each column.
fn columns() -> [Option<Value>; 5] {
    [None, Some(json!(null)), Some(json!("")), Some(json!([])), Some(json!("x"))]
}

fn with(v: Option<Value>) -> Map<String, Value> {
    v.into_iter().map(|v| ("v".to_owned(), v)).collect()
}

fn message(members: &str) -> Catalog {
    let to = if members.contains("to =") { "" } else { "to = 'all'\n" };
    catalog(&format!(
        "grants = ['all', 'user:{{sub}}']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\n{to}{members}\n"
    ))
}

/// What an event with this value becomes, seen in one place: `-` for nothing, else the JSON there, or why it is rejected.
fn projected(members: &str, v: Option<Value>, seen: &str) -> String {
    let envelopes = match message(members).project(&event("a.b", Value::Object(with(v)))) {
        Ok(envelopes) => envelopes,
        Err(rejection) => return rejection.reason.to_string(),
    };
    let body: Value = serde_json::from_slice(&envelopes[0].body).unwrap();
    let found = match seen {
        "to" => envelopes.iter().find_map(|envelope| envelope.subject.address.id()).map(Value::from),
        "key" => envelopes[0].subject.key.clone().map(Value::from),
        "attribute" => envelopes[0].attributes.get("v").map(|values| json!(values)),
        member => body.pointer(member).cloned(),
    };
    found.map_or_else(|| "-".to_owned(), |found| found.to_string())
}

#[test]
fn nothing_is_the_same_in_every_place_of_a_message() {
    let missing = "missing-value";
    for (members, seen, expected) in [
        ("to = ['all', 'user:{data.v?}']\nbody = {}", "to", ["-", "-", "-", missing, r#""x""#]),
        ("to = ['all', 'user:<{data.v?}>']\nbody = {}", "to", ["-", "-", "-", missing, r#""<x>""#]),
        (
            "to = ['all', 'user:{data.v}']\nbody = {}",
            "to",
            [missing, missing, "no-address", missing, r#""x""#],
        ),
        (
            "to = 'user:{data.v?}'\nbody = {}",
            "to",
            ["no-address", "no-address", "no-address", missing, r#""x""#],
        ),
        ("to = ['all', 'user:{data.v[*]}']\nbody = {}", "to", ["-", "-", "-", "-", "-"]),
        ("attributes = { v = '<{data.v?}>' }\nbody = {}", "attribute", ["-", "-", "-", "-", r#""<x>""#]),
        ("attributes = { v = '{data.v[*]}' }\nbody = {}", "attribute", ["-", "-", "-", "-", "-"]),
        ("attributes = { v = '{data.v?}' }\nbody = {}", "attribute", ["-", "-", "-", "-", r#""x""#]),
        (
            "attributes = { v = '{data.v}' }\nbody = {}",
            "attribute",
            [missing, missing, r#""""#, missing, r#""x""#],
        ),
        (
            "class = 'latest'\nkey = '{data.v}'\nbody = {}",
            "key",
            [missing, missing, r#""""#, missing, r#""x""#],
        ),
        ("body.v = '{data.v?}'", "/v", ["-", "-", r#""""#, "[]", r#""x""#]),
        ("body.v = '{data.v}'", "/v", [missing, "null", r#""""#, "[]", r#""x""#]),
        ("body.v = ['{data.v?}', 1]", "/v", ["[1]", "[1]", r#"["",1]"#, "[[],1]", r#"["x",1]"#]),
        ("body.v = '<{data.v?}>'", "/v", ["-", "-", r#""<>""#, missing, r#""<x>""#]),
        ("body.v = '<{data.v}>'", "/v", [missing, missing, r#""<>""#, missing, r#""<x>""#]),
        ("body.v = '{data.v.w?}'", "/v", ["-", "-", "-", "-", "-"]),
        ("body.d = '{data}'", "/d/v", ["-", "null", r#""""#, "[]", r#""x""#]),
        ("body.d = '{data.*?}'", "/d/v", ["-", "-", r#""""#, "[]", r#""x""#]),
        ("body.d = '{data.v.*?}'", "/d", ["-", "-", r#""""#, "[]", r#""x""#]),
    ] {
        for (v, expected) in columns().into_iter().zip(expected) {
            assert_eq!(projected(members, v.clone(), seen), expected, "{members} with {v:?}");
        }
    }
}

#[test]
fn each_element_of_a_list_that_is_nothing_reaches_nobody() {
    let catalog = message("to = ['all', 'user:{data.v[*]}', 'user:{data.w[*].id}']\nbody = {}");
    let data = json!({ "v": [null, "ada", "", 7, 7.0], "w": [{ "id": null }, {}, { "id": "bo" }, null] });
    let reached = catalog.project(&event("a.b", data)).unwrap();
    let reached: Vec<_> = reached.iter().map(|envelope| envelope.subject.address.as_str()).collect();
    assert_eq!(reached, ["all", "user:ada", "user:7", "user:bo"]);
}

#[test]
fn only_the_object_itself_loses_its_nulls() {
    let catalog = message("body = { whole = '{data.*?}', inner = '{data.o.*?}', list = '{data.l.*?}' }");
    let data = json!({ "o": { "n": null, "d": { "n": null } }, "l": [null], "n": null });
    let envelopes = catalog.project(&event("a.b", data)).unwrap();
    let body: Value = serde_json::from_slice(&envelopes[0].body).unwrap();
    let whole = json!({ "o": { "n": null, "d": { "n": null } }, "l": [null] });
    assert_eq!(body, json!({ "whole": whole, "inner": { "d": { "n": null } }, "list": [null] }));
}

#[test]
fn nothing_is_the_same_in_what_clients_say() {
    let refused = "missing-value";
    for (data, expected) in [
        ("data.v = '{v?}'", [r"{}", r"{}", r#"{"v":""}"#, r#"{"v":[]}"#, r#"{"v":"x"}"#]),
        ("data.v = '{v}'", [refused, r#"{"v":null}"#, r#"{"v":""}"#, r#"{"v":[]}"#, r#"{"v":"x"}"#]),
        ("data.v = '<{v?}>'", [r"{}", r"{}", r#"{"v":"<>"}"#, refused, r#"{"v":"<x>"}"#]),
        (
            "data = { o = '{o.*?}' }",
            [r#"{"o":{}}"#, r#"{"o":{}}"#, r#"{"o":{"v":""}}"#, r#"{"o":{"v":[]}}"#, r#"{"o":{"v":"x"}}"#],
        ),
        ("data.v = '{claims.v?}'", [r"{}", r"{}", r#"{"v":""}"#, r#"{"v":[]}"#, r#"{"v":"x"}"#]),
        ("data = {}\nwhere = { 'data.v' = 'x' }", [refused; 5]),
    ] {
        let catalog = message(&format!("body = {{}}\n[[publish]]\naction = 'say'\nevent = 'a.b'\n{data}"));
        for (v, expected) in columns().into_iter().zip(expected) {
            let mut frame = with(v.clone());
            frame.insert("o".to_owned(), Value::Object(with(v.clone())));
            let holder = with(v.clone());
            let keys = catalog.grants(&holder);
            let published = catalog.publish("say", &frame, &keys, &catalog.publish_claims(&holder, &keys));
            let published = published
                .map_or_else(|refusal| refusal.reason().to_owned(), |published| published.data.to_string());
            assert_eq!(published, expected, "{data} with {v:?}");
        }
    }
}

#[test]
fn nothing_opens_no_key_and_asks_for_nothing() {
    let route = "class = 'latest'\nkey = '{data.k}'\nbody = {}\n[routes.newest]\nmessage = 'm'\nkey = '{v}'";
    for (v, keys, key) in [
        (None, 0, None),
        (Some(json!(null)), 0, None),
        (Some(json!("")), 0, Some("")),
        (Some(json!([])), 0, None),
        (Some(json!([null, "", "x"])), 1, None),
        (Some(json!("x")), 1, Some("x")),
    ] {
        for template in ["user:{v}", "user:{v?}"] {
            let catalog = catalog(&format!(
                "grants = ['{template}']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = 'user:{{data.u}}'\n{route}"
            ));
            let holder = with(v.clone());
            assert_eq!(catalog.grants(&claims(&json!(holder))).iter().count(), keys, "{template} with {v:?}");
            let asked = catalog.route("newest").unwrap().key(&holder).ok();
            assert_eq!(asked.as_deref(), key, "{v:?}");
        }
    }
}

#[test]
fn each_element_of_a_list_is_a_value_of_an_attribute() {
    let attributes = "{ plain = '{data.v?}', text = '<{data.v?}>', inside = '{data.w[*].id}', two = '{data.one}{data.two?}' }";
    let catalog = message(&format!("attributes = {attributes}\nbody = {{}}"));
    let project = |data: Value| catalog.project(&event("a.b", data));
    let found = |data: Value| json!(project(data).unwrap()[0].attributes);
    let data =
        json!({ "v": ["b", null, "", 1.0, "b", 1, true], "w": [{ "id": "x" }, {}, { "id": "y" }], "one": 1 });
    assert_eq!(
        found(data),
        json!({ "plain": ["b", "1", "true"], "text": ["<b>", "<1>", "<true>"], "inside": ["x", "y"] })
    );
    assert_eq!(
        found(json!({ "v": ["b"], "one": "1", "two": 2 })),
        json!({ "plain": "b", "text": "<b>", "two": "12" })
    );
    for (v, one, reason) in [
        (json!([["a"]]), json!(1), "missing-value"),
        (json!([{}]), json!(1), "missing-value"),
        (json!("a"), json!(["a"]), "missing-value"),
        (json!((0..64).collect::<Vec<_>>()), json!(1), ""),
        (json!((0..65).collect::<Vec<_>>()), json!(1), "too-large"),
        (json!(["x".repeat(257)]), json!(1), "too-large"),
        (json!((0..16).map(|n| format!("{n:0256}")).collect::<Vec<_>>()), json!(1), "too-large"),
    ] {
        let projected = project(json!({ "v": v, "one": one, "two": 2 }));
        let found = projected.err().map(|rejection| rejection.reason.to_string()).unwrap_or_default();
        assert_eq!(found, reason, "{v} {one}");
    }
}
