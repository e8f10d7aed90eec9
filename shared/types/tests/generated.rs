//! What is generated for the five systems is what the tests of clients and producers compile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tidings_catalog::{Catalog, Catalogs, Files, TextRule, checks, project};
use tidings_model::{RawEvent, Tenant, json as model_json};
use tidings_types::{python_producer, rust_producer, typescript_client, typescript_producer};

const TENANTS: [&str; 5] = ["cnc", "documents", "ops", "shelter", "uploads"];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of a tenant's catalog.
fn read(tenant: &str) -> Files {
    let folder = std::fs::read_dir(top().join("schemas").join(tenant)).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let named = paths.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path));
    named
        .filter(|(name, path)| path.is_file() && tidings_catalog::is_catalog_file(name))
        .map(|(name, path)| (name, std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// With `UPDATE_GENERATED=1` it is written.
fn assert_up_to_date(path: &str, generated: &str) {
    let path = top().join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, generated).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == generated, "{} is out of date; UPDATE_GENERATED=1 writes it", path.display());
}

#[test]
fn what_tests_compile_is_up_to_date() {
    for tenant in TENANTS {
        let (name, files) = (Tenant::parse(tenant).unwrap(), read(tenant));
        let generated = [
            ("client-ts/types/src", "ts", typescript_client(&name, &files).unwrap()),
            ("client-ts/producer/test/generated", "ts", typescript_producer(&name, &files).unwrap()),
            ("producer/tests/generated", "rs", rust_producer(&name, &files).unwrap()),
            ("producer-python/tests/generated", "py", python_producer(&name, &files).unwrap()),
        ];
        for (folder, extension, text) in generated {
            assert_up_to_date(&format!("shared/{folder}/{tenant}.{extension}"), &text);
        }
    }
}

#[test]
fn a_digest_is_a_message_that_stands_for_several() {
    let mut files: Files = KITCHEN.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let digest = "[digest]\nevery = \"1s\"\nbody = { type = \"digest\", in = [1, { list = \"{messages}\" }], text = \"{{x}}\" }\n";
    files.get_mut("catalog.toml").unwrap().push_str(digest);
    let text = typescript_client(&Tenant::parse("kitchen").unwrap(), &files).unwrap();
    let expected = "export type KitchenDigest = {\n  readonly type: \"digest\";\n  readonly in: readonly [1, {\n    readonly list: \
                    readonly (Dish)[];\n  }];\n  readonly text: string;\n};\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("export type KitchenMessage = Dish | KitchenDigest;"), "{text}");
}

/// A catalog with everything that a template can be, in an older draft, whose formats count.
const KITCHEN: [(&str, &str); 2] = [
    (
        "catalog.toml",
        r#"
grants = ["all", "user:{sub}", "role:{role}"]
[topics.dishes]
[[message]]
name = "dish"
events = ["dish.ready", "dish.late"]
schema = "dish.schema.json"
to = [
    { address = "user:{data.guests[*].name}", when = { "data.for" = "guests" } },
    { address = "role:{data.role?}", when = { "data.for" = "role", "data.number" = 1 } },
    { address = "topic:dishes", when = { "data.for" = "all" } },
]
class = "latest"
key = "{data.table.id}/{data.number}"
attributes = { course = "{data.courses?}", "table" = "t{data.table.id}" }
[message.body]
type = "dish"
fixed = ["{data.first?}", 7, "{data.list[1]?}"]
text = "table {data.table.id}: {{{data.note}}}"
extra = "{data.extra.*?}"
by = "{data[\"cooked by\"]?}"
from = "{source?}"
data = "{data}"
"#,
    ),
    (
        "dish.schema.json",
        r##"{
"$schema": "http://json-schema.org/draft-07/schema#",
"type": "object",
"properties": {
    "text": { "type": "string", "maxLength": 40 },
    "extra": { "type": "object", "additionalProperties": { "type": "number" } },
    "fixed": { "type": "array", "items": { "type": ["string", "number"] } },
    "data": {
        "allOf": [{ "$ref": "#/definitions/dish" }],
        "properties": {
            "for": { "enum": ["guests", "role", "all"] },
            "at": { "format": "date-time" },
            "courses": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] },
            "number": { "oneOf": [{ "const": 1 }, { "minimum": 2, "multipleOf": 2 }] },
            "extra": { "propertyNames": { "pattern": "^[a-z]+$" } }
        },
        "if": { "properties": { "for": { "const": "role" } } },
        "then": { "required": ["role"] },
        "not": { "required": ["forbidden"] }
    }
},
"required": ["text"],
"definitions": { "dish": { "properties": { "list": { "minItems": 2, "uniqueItems": true } }, "required": ["table", "for"] } }
}"##,
    ),
];

/// What [`KITCHEN`] accepts.
fn dishes() -> [Value; 3] {
    let dish = json!({
        "for": "guests", "guests": [{ "name": "ada" }, { "name": null }], "table": { "id": 4 }, "note": true,
        "number": 4, "courses": ["main", "late"], "list": ["a", "b"], "at": "2025-01-17T10:30:00Z",
        "extra": { "salt": 1, "pepper": null }, "cooked by": "eve", "first": "x",
    });
    let with = |more: Value| {
        let mut dish = dish.as_object().unwrap().clone();
        dish.extend(more.as_object().unwrap().clone());
        Value::Object(dish)
    };
    let role = with(json!({ "for": "role", "role": "cook", "number": 1 }));
    [with(json!({ "courses": "main" })), role, with(json!({ "for": "all", "guests": [] }))]
}

/// The data with one member missing or of another value, in all places down to a depth.
fn variations(data: &Value, depth: usize) -> Vec<Value> {
    let Value::Object(members) = data else { return Vec::new() };
    let with = |name: &str, value: Option<Value>| {
        let mut members: Map<String, Value> = members.clone();
        match value {
            Some(value) => members.insert(name.to_owned(), value),
            None => members.shift_remove(name),
        };
        Value::Object(members)
    };
    let mut all = vec![with("further", Some(json!(1))), with("forbidden", Some(json!([])))];
    for (name, value) in members {
        all.push(with(name, None));
        let values = [json!(null), json!(""), json!(-1.5), json!([]), json!({})];
        all.extend(values.into_iter().filter(|other| other != value).map(|other| with(name, Some(other))));
        if depth > 1 {
            all.push(with(name, Some(json!("x".repeat(600)))));
            all.extend(variations(value, depth - 1).into_iter().map(|inside| with(name, Some(inside))));
        }
    }
    all
}

/// Texts that a catalog with `text` makes something of, or nothing.
const TEXTS: [&str; 34] = [
    "bread",
    "1 < 2 & 3",
    "<b>bold</b>",
    "a<b",
    "a<b>c",
    "<<b>i>x",
    "<<<x",
    "<",
    "<>",
    "< b>",
    "<!-- x --> y",
    "<?x?>",
    "</p>",
    "x<scr<b>ipt>y",
    "<a href='>'>z",
    "<b<",
    "a<\u{e4}>",
    "<\u{1F600}>",
    "\u{1F600}<i>\u{1F600}",
    "javascript:alert(1)",
    " JavaScript:x",
    "java\tscript:x",
    "\u{a0}\u{2003}data:x",
    "\u{feff}data:x",
    "\u{85}vbscript:x",
    "https://x.example/?a=<b>",
    "HTTP://x",
    "mailto:a@b",
    "tel:1",
    "/path:x",
    "a.b+c-d:x",
    "1a:x",
    "<b>javascript:x",
    "java<b></b>script:x",
];

/// A catalog that sanitizes, whose schema accepts exactly what the projector makes of [`TEXTS`] and of unknown members.
fn bakery() -> Files {
    let catalog = r#"
text = "plain"
unknown = "drop"
grants = ["all"]
[[message]]
name = "bread"
events = ["bread.baked"]
schema = "bread.schema.json"
to = "all"
text = { "addresses" = "url", "links[*].href" = "url", "links[1].name" = "raw", "as_they_are" = "raw" }
[message.body]
plain = "{data.plain?}"
addresses = "{data.addresses?}"
as_they_are = "{data.plain?}"
links = "{data.links?}"
names = "{data.names?}"
shape = "{data.shape?}"
further = "{data.further?}"
"#;
    let consts = |rule: TextRule| TEXTS.map(|text| json!({ "const": rule.clean(text) })).to_vec();
    let names: Vec<_> = TEXTS.map(|text| TextRule::Plain.clean(text).into_owned()).into();
    let schema = json!({
        "type": "object",
        "properties": {
            "plain": { "prefixItems": consts(TextRule::Plain) },
            "addresses": { "prefixItems": consts(TextRule::Url) },
            "as_they_are": { "prefixItems": consts(TextRule::Raw) },
            "links": {
                "items": {
                    "properties": { "href": { "enum": ["about:blank", "/ok"] }, "name": { "enum": ["<b>raw", "plain"] } },
                    "additionalProperties": false,
                },
            },
            "names": { "propertyNames": { "enum": names } },
            "shape": {
                "properties": { "size": { "properties": { "height": {} }, "additionalProperties": false } },
                "allOf": [{ "properties": { "colour": { "type": "string" } } }],
                "unevaluatedProperties": false,
            },
        },
        "additionalProperties": false,
    });
    let files = [("catalog.toml", catalog.to_owned()), ("bread.schema.json", schema.to_string())];
    files.map(|(name, text)| (name.to_owned(), text)).into()
}

/// What [`bakery`] accepts.
fn breads() -> [Value; 1] {
    let names: Map<String, Value> = TEXTS.iter().map(|text| ((*text).to_owned(), json!(1))).collect();
    [json!({
        "plain": TEXTS.as_slice(), "addresses": TEXTS.as_slice(), "names": names,
        "links": [{ "href": "javascript:x", "name": "pl<i>ain", "more": 1 }, { "href": "/ok", "name": "<b>raw" }],
        "shape": { "size": { "height": 1, "width": 2 }, "colour": "<b>brown", "taste": "good" },
    })]
}

/// What is accepted of a tenant's events, one for each entity: by the catalog's examples.
fn examples(tenant: &str) -> Vec<(String, Value)> {
    let folder = std::fs::read_dir(top().join("schemas").join(tenant).join("examples")).unwrap();
    let mut paths: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut found: Vec<(String, Value)> = Vec::new();
    for path in paths {
        let example = model_json::parse(&std::fs::read(path).unwrap()).unwrap();
        let (Some(event), Some(data)) = (example["event"].as_str(), example.get("data")) else { continue };
        let entity = |event: &str| event.split('.').next().map(str::to_owned);
        if !found.iter().any(|(known, _)| entity(known) == entity(event)) {
            found.push((event.to_owned(), data.clone()));
        }
    }
    found
}

/// What the projector decides of events, for the producers in other languages, whose tests compare what they decide.
#[test]
fn verdicts_are_up_to_date() {
    let kitchen: Files = KITCHEN.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
    let five = TENANTS.map(|tenant| (tenant, read(tenant), examples(tenant)));
    let dishes = dishes().into_iter().map(|dish| ("dish.ready".to_owned(), dish)).collect();
    let mut catalogs = Vec::new();
    let mut cases = Vec::new();
    let breads = breads().into_iter().map(|bread| ("bread.baked".to_owned(), bread)).collect();
    let own = [("kitchen", kitchen, dishes), ("bakery", bakery(), breads)];
    for (name, files, examples) in five.into_iter().chain(own) {
        let tenant = Tenant::parse(name).unwrap();
        let catalog = Catalog::parse(&tenant, &files).unwrap();
        catalogs.push(checks(&tenant, &files).unwrap().to_string());
        let catalogs = Catalogs::from([(tenant, catalog)]);
        let mut case = |event: &str, data: &Value| {
            let raw = RawEvent {
                subject: format!("events.{name}.{event}"),
                headers: Vec::new(),
                payload: data.to_string().into(),
                position: "5-7".parse().unwrap(),
                stored_at: time::OffsetDateTime::UNIX_EPOCH,
            };
            let verdict = project(&catalogs, &raw, 1024 * 1024).err();
            let reason = verdict.as_ref().map(|rejection| rejection.reason.as_str());
            let pointer = verdict.as_ref().and_then(|rejection| rejection.pointer.clone());
            cases.push(json!([name, event, data, reason, pointer]).to_string());
            reason
        };
        for (event, data) in examples {
            assert_eq!(case(&event, &data), None, "{data}");
            for variation in variations(&data, if TENANTS.contains(&name) { 1 } else { 2 }) {
                case(&event, &variation);
            }
            case(&event, &json!([data]));
            case("nothing.known", &data);
        }
    }
    let text = format!(
        "{{\n\"catalogs\": [\n{}\n],\n\"cases\": [\n{}\n]\n}}\n",
        catalogs.join(",\n"),
        cases.join(",\n")
    );
    assert_up_to_date("shared/types/tests/verdicts.json", &text);
}
