use serde_json::{Value, json};

use super::*;

const CATALOG: &str = r#"
grants = ["user:{sub}", "role:{role}"]
[topics.news]
[topics.alerts]
roles = ["sre", "dev"]
initial = true
[[message]]
name = "note"
events = ["note.added", "note.changed"]
schema = "note.json"
to = ["user:{data.user}", { address = "all", when = { "data.public" = true } }]
class = "latest"
key = "{data.id}"
attributes = { squad = "{data.squad?}" }
body = { type = "note", data = { id = "{data.id}", text = "{data.text?}", more = "{data.more}" } }
[routes.note]
message = "note"
key = "{id}"
[[publish]]
action = "add"
type = "note"
event = "note.added"
roles = ["dev"]
where = { "data.user" = "{sub}" }
"#;

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": { "const": "note" },
            "data": {
                "type": "object",
                "properties": {
                    "id": { "type": "string", "maxLength": 20 },
                    "text": { "type": "string" },
                    "more": { "type": "object" },
                    "level": { "enum": ["low", "high"] },
                },
                "required": ["id", "more"],
            },
        },
        "required": ["type", "data"],
    })
}

fn files(catalog: &str, schema: &Value) -> Files {
    Files::from([
        ("catalog.toml".to_owned(), catalog.to_owned()),
        ("note.json".to_owned(), schema.to_string()),
    ])
}

#[track_caller]
fn check_files(new: &Files, expected: &[&str]) {
    let found = breaks(&files(CATALOG, &schema()), new).unwrap();
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[track_caller]
fn check(from: &str, to: &str, expected: &[&str]) {
    assert!(CATALOG.contains(from), "{from}");
    check_files(&files(&CATALOG.replacen(from, to, 1), &schema()), expected);
}

#[track_caller]
fn check_schema(pointer: &str, new: Value, expected: &[&str]) {
    let mut changed = schema();
    *changed.pointer_mut(pointer).unwrap() = new;
    check_files(&files(CATALOG, &changed), expected);
}

#[test]
fn what_is_added_breaks_nobody() {
    check("[topics.news]", "[topics.news]\n[topics.more]", &[]);
    check(r#""role:{role}"]"#, r#""role:{role}", "org:{org}"]"#, &[]);
    check(r#"roles = ["sre", "dev"]"#, "", &[]);
    check(r#"more = "{data.more}""#, r#"more = "{data.more}", level = "{data.level}""#, &[]);
    check(r#""note.changed"]"#, r#""note.changed", "note.removed"]"#, &[]);
    check_schema("/properties/data/properties/level", json!({ "enum": ["low", "high", "huge"] }), &[]);
    check_schema("/properties/data/properties/id/maxLength", json!(40), &[]);
    check_schema("/properties/type", json!({ "const": "note", "title": "What it is" }), &[]);
}

#[test]
fn what_clients_lose_is_named() {
    check("[topics.news]", "", &["breaks clients: topics.news: the topic was removed"]);
    check(
        "[topics.news]",
        "[topics.news]\nroles = [\"sre\"]",
        &["breaks clients: topics.news: it is closed to users without one of the listed roles"],
    );
    let text = "breaks clients: topics.alerts: it is no longer initial: clients that never subscribe do not receive it";
    check("initial = true", "", &[text]);
    check("[topics.news]", "[topics.news]\ninitial = true", &[]);
    check(r#", "dev"]"#, "]", &["breaks clients: topics.alerts: it is closed to role dev"]);
    check(r#", "role:{role}"]"#, "]", &[r#"breaks clients: grants: tokens no longer open "role:{role}""#]);
    check(
        "routes.note",
        "routes.other",
        &["breaks clients: routes.note: it was removed or answers something else"],
    );
    let less = [
        "breaks clients: publish `add`: what clients could publish with it is now refused or becomes something else",
    ];
    for (from, to) in [
        ("action = \"add\"", "action = \"append\""),
        ("type = \"note\"\nevent", "type = \"text\"\nevent"),
        ("event = \"note.added\"", "event = \"note.changed\""),
        ("roles = [\"dev\"]", "roles = [\"sre\"]"),
        ("\"{sub}\" }", "\"{email}\" }"),
        ("where = {", "data = \"{note}\"\nwhere = {"),
        ("where = {", "where = { \"data.id\" = \"{id}\","),
    ] {
        check(from, to, &less);
    }
    for (from, to) in [
        ("type = \"note\"\nevent", "event"),
        ("roles = [\"dev\"]\n", ""),
        ("roles = [\"dev\"]", "roles = [\"sre\", \"dev\"]"),
        ("where = { \"data.user\" = \"{sub}\" }\n", ""),
    ] {
        check(from, to, &[]);
    }
    check(
        r#"to = ["user:{data.user}", "#,
        "to = [",
        &["breaks clients: message `note`: it no longer goes to user:{data.user}"],
    );
    check(
        r#""squad = "#.trim_start_matches('"'),
        "team = ",
        &[
            "breaks clients: message `note`: attribute \"squad\", which filters use, was removed or has another value",
        ],
    );
    check(r#", more = "{data.more}""#, "", &["breaks clients: message `note` /data/more: it was removed"]);
    check(
        r#"id = "{data.id}", text"#,
        r#"id = "{data.id?}", text"#,
        &["breaks clients: message `note` /data/id: it may be missing now"],
    );
    check(
        r#"data = { id = "{data.id}", text = "{data.text?}", more = "{data.more}" }"#,
        r#"data = "{data}""#,
        &[],
    );
    check(
        r#"data = { id = "{data.id}", text = "{data.text?}", more = "{data.more}" }"#,
        r#"data = "{data.*?}""#,
        &[],
    );
    check(
        r#"name = "note""#,
        r#"name = "memo""#,
        &["breaks clients: message `note`: the message was removed"],
    );
    check_schema(
        "/properties/data/required",
        json!(["id"]),
        &["breaks clients: message `note` /data/more: it may be missing now"],
    );
    check_schema(
        "/properties/data/properties/id/type",
        json!(["string", "null"]),
        &["breaks clients: message `note` /data/id: it may be null now"],
    );
    check_schema(
        "/properties/data/properties/text",
        json!({ "anyOf": [{ "type": "string" }] }),
        &[
            "breaks clients: message `note` /data/text: it may be array or boolean or integer or null or number or object now",
            "breaks clients: message `note` /data/text: `anyOf` changed, and its effect cannot be judged",
        ],
    );
}

#[test]
fn what_producers_may_not_say_any_more_is_named() {
    check(
        r#", "note.changed"]"#,
        "]",
        &[
            "breaks clients: message `note`: event note.changed no longer becomes it",
            "breaks producers: event note.changed: it no longer becomes a message and is rejected",
        ],
    );
    check_schema(
        "/properties/data/properties/text/type",
        json!("integer"),
        &[
            "breaks clients: message `note` /data/text: it may be integer now",
            "breaks producers: message `note` /data/text: it may no longer be string",
        ],
    );
    check_schema(
        "/properties/data/properties/level/enum",
        json!(["low"]),
        &["breaks producers: message `note` /data/level: it may no longer be \"high\""],
    );
    check_schema(
        "/properties/data/properties/id/maxLength",
        json!(10),
        &["breaks producers: message `note` /data/id: `maxLength` is stricter or different"],
    );
    check_schema(
        "/properties/data/required",
        json!(["id", "more", "text"]),
        &["breaks producers: message `note` /data/text: it is required now"],
    );
}

#[test]
fn schemas_that_refer_to_themselves_are_compared_to_an_end() {
    let tree = |leaf: &str| {
        json!({
            "$ref": "#/$defs/node",
            "$defs": {
                "node": {
                    "type": "object",
                    "properties": { "child": { "$ref": "#/$defs/node" }, "leaf": { "type": leaf } },
                },
                "circle": { "$ref": "#/$defs/circle" },
            },
        })
    };
    let new = files(CATALOG, &tree("null"));
    let found = breaks(&files(CATALOG, &tree("string")), &new).unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    let circle = json!({ "$ref": "#/$defs/circle", "$defs": { "circle": { "$ref": "#/$defs/circle" } } });
    assert_eq!(breaks(&files(CATALOG, &circle), &files(CATALOG, &circle)).unwrap(), []);
}
