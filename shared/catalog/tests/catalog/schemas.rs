//! Schemas of every draft, and what they refer to in files beside them.

use serde_json::{Value, json};
use tidings_catalog::{Catalog, Files, Member, Shape, breaks, event_shapes, is_catalog_file};
use tidings_model::Tenant;

use crate::support::event;

const CATALOG: &str = "grants = ['user:{sub}']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'm.json'\nto = 'user:x'\nbody.d = '{data}'";

/// A catalog whose message has the event's data at `d`, which must fit the schema `d`.
fn files(schema: &Value, beside: &[(&str, Value)]) -> Files {
    let beside = beside.iter().map(|(name, text)| ((*name).to_owned(), text.to_string()));
    let own = [("catalog.toml".to_owned(), CATALOG.to_owned()), ("m.json".to_owned(), schema.to_string())];
    own.into_iter().chain(beside).collect()
}

fn tenant() -> Tenant {
    Tenant::parse("t").unwrap()
}

#[track_caller]
fn check(files: &Files, good: &Value, bad: &Value) {
    let catalog = Catalog::parse(&tenant(), files).unwrap_or_else(|error| panic!("{error}"));
    assert!(catalog.project(&event("a.b", good.clone())).is_ok(), "{good} is rejected");
    assert!(catalog.project(&event("a.b", bad.clone())).is_err(), "{bad} is not rejected");
}

#[track_caller]
fn refused(files: &Files, expected: &[&str]) {
    let error = Catalog::parse(&tenant(), files).unwrap_err().to_string();
    assert!(expected.iter().all(|expected| error.contains(expected)), "{error:?} does not say {expected:?}");
}

#[test]
fn a_schema_is_of_the_draft_that_it_says() {
    // In each draft something means what it does not mean in another.
    for (draft, d, good, bad) in [
        (
            "http://json-schema.org/draft-04/schema#",
            json!({ "minimum": 1, "exclusiveMinimum": true }),
            json!(2),
            json!(1),
        ),
        (
            "http://json-schema.org/draft-06/schema#",
            json!({ "exclusiveMinimum": 1, "if": false, "else": false }),
            json!(2),
            json!(1),
        ),
        (
            "http://json-schema.org/draft-07/schema#",
            json!({ "items": [{ "type": "string" }], "additionalItems": false }),
            json!(["x"]),
            json!(["x", 1]),
        ),
        (
            "http://json-schema.org/draft-07/schema",
            json!({ "dependencies": { "a": ["b"] } }),
            json!({ "a": 1, "b": 1 }),
            json!({ "a": 1 }),
        ),
        (
            "https://json-schema.org/draft/2019-09/schema",
            json!({ "items": [{ "type": "string" }], "additionalItems": false }),
            json!(["x"]),
            json!(["x", 1]),
        ),
        (
            "https://json-schema.org/draft/2020-12/schema",
            json!({ "prefixItems": [{ "type": "string" }], "items": false }),
            json!(["x"]),
            json!(["x", 1]),
        ),
    ] {
        check(&files(&json!({ "$schema": draft, "properties": { "d": d } }), &[]), &good, &bad);
    }
    check(
        &files(&json!({ "properties": { "d": { "prefixItems": [{ "type": "string" }] } } }), &[]),
        &json!(["x"]),
        &json!([1]),
    );
    for unknown in ["http://json-schema.org/draft-03/schema#", "https://example.com/mine"] {
        refused(&files(&json!({ "$schema": unknown }), &[]), &["m.json", unknown, "2020-12", "07"]);
        let beside = [("c.json", json!({ "$schema": unknown }))];
        refused(&files(&json!({ "$ref": "c.json" }), &beside), &["m.json", unknown]);
    }
}

#[test]
fn a_file_beside_is_referred_to_by_its_name_or_its_id() {
    let short = json!({ "type": "string", "maxLength": 3 });
    let defs = json!({ "$defs": { "d": short }, "definitions": { "d": short } });
    let with_id = |id: &str| json!({ "$id": id, "$defs": { "d": short } });
    for (schema, beside) in [
        (
            json!({ "properties": { "d": { "$ref": "common.schema.json#/$defs/d" } } }),
            vec![("common.schema.json", defs.clone())],
        ),
        (
            json!({ "properties": { "d": { "$ref": "./common.schema.json#/$defs/d" } } }),
            vec![("common.schema.json", defs.clone())],
        ),
        (
            json!({ "properties": { "d": { "$ref": "a%20b.json#/$defs/d" } } }),
            vec![("a b.json", defs.clone())],
        ),
        (
            json!({ "$schema": "http://json-schema.org/draft-07/schema#", "properties": { "d": { "$ref": "c.json#/definitions/d" } } }),
            vec![("c.json", defs.clone())],
        ),
        // The file names itself, and the one beside does, too, or does not.
        (
            json!({ "$id": "https://example.com/s/m.json", "properties": { "d": { "$ref": "c.json#/$defs/d" } } }),
            vec![("c.json", with_id("https://example.com/s/c.json"))],
        ),
        (
            json!({ "$id": "https://example.com/s/m.json", "properties": { "d": { "$ref": "c.json#/$defs/d" } } }),
            vec![("c.json", defs.clone())],
        ),
        (
            json!({ "properties": { "d": { "$ref": "urn:short#/$defs/d" } } }),
            vec![("any.json", with_id("urn:short"))],
        ),
        // One leads to the next, and back.
        (
            json!({ "properties": { "d": { "$ref": "b.json" }, "e": { "$ref": "#" } } }),
            vec![("b.json", json!({ "$ref": "c.json#/$defs/d" })), ("c.json", defs)],
        ),
    ] {
        check(&files(&schema, &beside), &json!("abc"), &json!("abcd"));
    }
}

#[test]
fn nothing_outside_the_folder_is_read() {
    for target in [
        "gone.json",
        "../other/m.json",
        "../tenant/c.json2",
        "../../c.json",
        "/c.json",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1/c.json",
        "https://example.com/c.json",
        "sub/c.json",
        "tidings:/schemas/other/c.json",
        "c.json/../gone.json",
    ] {
        refused(
            &files(&json!({ "$ref": target }), &[("c.json", json!({}))]),
            &["m.json", "is not a file of the tenant's folder", "c.json"],
        );
    }
    refused(
        &files(&json!({ "$ref": "c.json#/$defs/gone" }), &[("c.json", json!({}))]),
        &["m.json", "/$defs/gone"],
    );
    let mut broken = files(&json!({ "$ref": "c.json" }), &[]);
    broken.insert("c.json".to_owned(), "{".to_owned());
    refused(&broken, &["m.json", "c.json", "EOF"]);
}

#[test]
fn what_is_no_file_of_a_catalog_is_passed_over() {
    for name in ["catalog.toml", "x.schema.json", "a b.json"] {
        assert!(is_catalog_file(name), "{name}");
    }
    for name in [
        "._x.schema.json",
        ".x.json",
        ".#x.json",
        "#x.json#",
        "x.json~",
        "x.json.swp",
        ".x.json.swp",
        "x.json.orig",
        "..data",
        "old.toml",
        "json",
        "README.md",
        ".DS_Store",
    ] {
        assert!(!is_catalog_file(name), "{name}");
    }
    let mut files = files(&json!({}), &[]);
    files.insert("unused.json".to_owned(), "{".to_owned());
    assert!(Catalog::parse(&tenant(), &files).is_ok());
}

/// Windows editors begin a file with it.
#[test]
fn a_byte_order_mark_is_no_mistake() {
    let files =
        files(&json!({}), &[]).into_iter().map(|(name, text)| (name, format!("\u{FEFF}{text}"))).collect();
    assert!(Catalog::parse(&tenant(), &files).is_ok());
}

#[test]
fn types_and_comparisons_follow_references_between_files() {
    let d = |level: Value| json!({ "$defs": { "d": { "type": "object", "required": ["level"], "properties": { "level": level, "more": { "$ref": "#/$defs/d" } } } } });
    let schema = json!({ "properties": { "d": { "$ref": "c.json#/$defs/d" } } });
    let old = files(&schema, &[("c.json", d(json!({ "enum": ["low", "high"] })))]);
    let shapes = event_shapes(&tenant(), &old).unwrap();
    let Shape::Object { members, .. } = &shapes[0].data else { panic!("{shapes:?}") };
    let [Member { name, shape, is_required: true, .. }, Member { is_required: false, .. }] =
        members.as_slice()
    else {
        panic!("{members:?}")
    };
    assert_eq!((name.as_str(), shape), ("level", &Shape::Choice(vec!["low".to_owned(), "high".to_owned()])));

    let new = files(&schema, &[("c.json", d(json!({ "enum": ["low"] })))]);
    let found: Vec<_> = breaks(&old, &new).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["breaks producers: message `m` /d/level: it may no longer be \"high\""]);
    assert_eq!(breaks(&old, &old).unwrap(), []);
    let level = json!({ "enum": ["low"] });
    let apart = files(&schema, &[("c.json", json!({ "$defs": { "d": level } }))]);
    let moved = files(&json!({ "properties": { "d": level } }), &[]);
    assert_eq!(breaks(&apart, &moved).unwrap(), [], "where a schema stands does not matter");
}
