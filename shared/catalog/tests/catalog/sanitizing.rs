//! What a catalog lets texts contain and which members messages may have: `text` and `unknown`.

use serde_json::{Value, json};
use tidings_catalog::{Catalog, Files, additions, breaks};
use tidings_model::Tenant;

use crate::support::{event, parse};

const SCHEMA: &str = r#"{ "properties": { "a": {}, "d": { "properties": { "url": {}, "html": {}, "text": {} }, "additionalProperties": false } } }"#;

fn files(top: &str, message: &str) -> Files {
    let text = format!(
        "grants = ['all']\n{top}\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'm.json'\nto = 'all'\n{message}\n\
         body = {{ a = '{{data.a?}}', d = '{{data.d?}}' }}"
    );
    [("catalog.toml", text), ("m.json", SCHEMA.to_owned())].map(|(name, text)| (name.to_owned(), text)).into()
}

/// What an event with this data becomes, or why it is rejected.
fn projected(top: &str, message: &str, data: Value) -> Result<Value, String> {
    let catalog = Catalog::parse(&Tenant::parse("t").unwrap(), &files(top, message)).unwrap();
    let envelopes = catalog.project(&event("a.b", data)).map_err(|rejection| rejection.reason.to_string())?;
    Ok(serde_json::from_slice(&envelopes[0].body).unwrap())
}

#[test]
fn texts_are_what_the_catalog_lets_them_be() {
    let data = || json!({ "a": "<b>1 < 2", "d": { "url": "javascript:x", "html": "<b>", "text": ["<i>x"] } });
    for (top, message, expected) in [
        ("", "", data()),
        (
            "text = 'plain'",
            "",
            json!({ "a": "1 < 2", "d": { "url": "javascript:x", "html": "", "text": ["x"] } }),
        ),
        (
            "",
            "text = 'plain'",
            json!({ "a": "1 < 2", "d": { "url": "javascript:x", "html": "", "text": ["x"] } }),
        ),
        ("text = 'plain'", "text = 'raw'", data()),
        (
            "text = 'plain'",
            "text = { 'd.url' = 'url', 'd.html' = 'raw' }",
            json!({ "a": "1 < 2", "d": { "url": "about:blank", "html": "<b>", "text": ["x"] } }),
        ),
        ("", "text = { 'd.text[0]' = 'plain' }", {
            let mut data = data();
            data["d"]["text"] = json!(["x"]);
            data
        }),
    ] {
        assert_eq!(projected(top, message, data()).unwrap(), expected, "{top} {message}");
    }
}

#[test]
fn unknown_members_are_refused_or_removed() {
    let data = || json!({ "a": 1, "d": { "text": "x", "more": { "x": 1 } } });
    let kept = Ok(json!({ "a": 1, "d": { "text": "x" } }));
    for (top, message, expected) in [
        ("", "", Err("schema-violation".to_owned())),
        ("unknown = 'drop'", "", kept.clone()),
        ("unknown = 'drop'", "unknown = 'keep'", Err("schema-violation".to_owned())),
        ("", "unknown = 'drop'", kept),
    ] {
        assert_eq!(projected(top, message, data()), expected, "{top} {message}");
    }
    let (keeps, drops) = (files("", ""), files("unknown = 'drop'", ""));
    let found: Vec<_> = breaks(&keeps, &drops).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["breaks clients: message `m`: members that its schema does not describe are removed now"]
    );
    assert!(breaks(&drops, &keeps).unwrap().is_empty());
}

#[test]
fn wrong_rules_are_named() {
    for (top, message, expected) in [
        ("text = 'html'", "", "text: text \"html\" is none of \"raw\", \"plain\" and \"url\""),
        ("unknown = 'remove'", "", "unknown: unknown \"remove\" is none of \"keep\" and \"drop\""),
        ("", "text = 'html'", "message `m`: text \"html\" is none"),
        ("", "text = { 'd.x[' = 'plain' }", "message `m`: {d.x[} is no path"),
        ("", "text = { 'e.x' = 'plain' }", "message `m`: {e.x} in `text` leads to no member of `body`"),
        ("[digest]\nevery = '1h'\nbody = { m = '{messages}' }", "", "digest: every \"1h\" is no span"),
        (
            "[digest]\nevery = '1s'\nbody = { m = '{data}' }",
            "",
            "digest: `body` is a table in which one member",
        ),
        ("", "text = ['plain']", "expected a rule, or a table of rules by the path of a member"),
    ] {
        let error =
            Catalog::parse(&Tenant::parse("t").unwrap(), &files(top, message)).unwrap_err().to_string();
        assert!(error.contains(expected), "{top} {message}: {error}");
    }
}

#[test]
fn a_key_tells_what_has_no_value_from_each_value() {
    let text = |key: &str| {
        format!(
            "grants = ['all']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = 'all'\nclass = 'latest'\n\
             key = '{key}'\nbody = {{}}"
        )
    };
    let catalog = parse(&text("{data.n}/{data.e?}")).unwrap();
    let key = |data: Value| {
        catalog.project(&event("a.b", data)).map(|envelopes| envelopes[0].subject.key.clone().unwrap()).ok()
    };
    assert_eq!(key(json!({ "n": "cpu" })), Some("cpu/".to_owned()));
    assert_eq!(key(json!({ "n": "cpu", "e": null })), Some("cpu/".to_owned()));
    assert_eq!(key(json!({ "n": "cpu", "e": "dev" })), Some("cpu/dev".to_owned()));
    assert_eq!(key(json!({ "e": "dev" })), None);
    assert!(parse(&text("x/{data.e?}")).unwrap_err().to_string().contains("may not be optional"));
}

#[test]
fn what_has_no_effect_is_found() {
    let catalog = |message: &str| {
        parse(&format!(
            "grants = ['user:{{sub}}']\n[topics.a]\n[topics.b]\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\n\
             {message}\nbody = {{}}"
        ))
        .unwrap()
    };
    let found = |message: &str| -> Vec<String> {
        catalog(message).without_effect().iter().map(ToString::to_string).collect()
    };
    let lonely = "topics.b: no message goes to this topic: a client that subscribes receives nothing";
    assert_eq!(found("to = 'topic:a'\nattributes = { x = '{data.x}' }"), [lonely]);
    assert!(found("to = 'topic:{data.t}'\nattributes = { x = '{data.x}' }").is_empty());
    let [attributes, ..] = &found("to = 'user:{data.u}'\nattributes = { x = '{data.x}', y = '1' }")[..]
    else {
        panic!("nothing is found")
    };
    assert!(attributes.starts_with("message `m`: no filter can use its attributes x, y: "), "{attributes}");
}

#[test]
fn what_is_added_is_listed() {
    let files = |catalog: &str| -> Files {
        [("catalog.toml", catalog), ("any.json", "{}")]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into()
    };
    let old = "grants = ['user:{sub}']\n[topics.a]\nroles = ['x']\n[[message]]\nname = 'm'\nevents = ['a.b']\n\
               schema = 'any.json'\nto = 'user:{data.u}'\nbody = { a = '1', d = '{data}' }";
    let new = "grants = ['user:{sub}', 'role:{role}']\n[topics.a]\nroles = ['x', 'y']\ninitial = true\n[topics.b]\n\
               [[message]]\nname = 'm'\nevents = ['a.b', 'a.c']\nschema = 'any.json'\nto = ['user:{data.u}', 'topic:a']\n\
               attributes = { q = '1' }\nbody = { a = '1', c = '2', d = { e = '{data.e}' } }\n\
               [[message]]\nname = 'n'\nevents = ['a.d']\nschema = 'any.json'\nto = 'topic:b'\nclass = 'latest'\nkey = 'k'\nbody = {}\n\
               [routes.newest]\nmessage = 'n'\nkey = 'k'\n[[publish]]\naction = 'say'\nevent = 'a.b'";
    let expected = [
        "grants: tokens open \"role:{role}\"",
        "topics.a: devices have it from the start",
        "topics.a: it is open to role y",
        "topics.b: the topic is new",
        "message `m`: event a.c becomes it",
        "message `m`: it goes to topic:a",
        "message `m`: filters may use attribute \"q\"",
        "message `m` /c: it is new",
        "message `n`: it is new, made of a.d",
        "routes.newest: clients may request it",
        "publish `say`: clients may publish a.b",
    ];
    assert_eq!(additions(&files(old), &files(new)).unwrap(), expected);
    assert!(additions(&files(new), &files(new)).unwrap().is_empty());
    assert!(additions(&files("x"), &files(new)).is_err());
}

/// What an event's data becomes by this schema and these lines of a message, which passes the data on.
fn passed_on(lines: &str, schema: &Value, data: Value) -> Value {
    let text = format!(
        "grants = ['all']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'm.json'\nto = 'all'\n{lines}\n\
         body = {{ type = '{{data.type?}}', data = '{{data.data}}' }}"
    );
    let files: Files = [("catalog.toml", text), ("m.json", schema.to_string())]
        .map(|(name, text)| (name.to_owned(), text))
        .into();
    let catalog = Catalog::parse(&Tenant::parse("t").unwrap(), &files).unwrap();
    serde_json::from_slice(&catalog.project(&event("a.b", data)).unwrap()[0].body).unwrap()
}

#[test]
fn each_member_has_the_rule_that_leads_there() {
    let lines = "text = { 'type' = 'plain', 'data' = 'plain', 'data.html' = 'raw', 'data.html.title' = 'plain', \
                 'data.links[*].url' = 'url', 'data.list[1]' = 'raw' }";
    let bad = "<b>x";
    let data = json!({
        "type": bad,
        "data": {
            "html": { "title": bad, "text": bad, "<i>": 1 },
            "links": [{ "url": "javascript:x", "text": bad }, { "url": "/x" }],
            "list": [bad, bad],
            "<i>name": [bad, 1, null, true, { bad: bad }],
            "name": "second",
        },
    });
    let expected = json!({
        "type": "x",
        "data": {
            "html": { "title": "x", "text": bad, "<i>": 1 },
            "links": [{ "url": "about:blank", "text": "x" }, { "url": "/x" }],
            "list": ["x", bad],
            "name": ["x", 1, null, true, { "x": "x" }],
        },
    });
    assert_eq!(passed_on(lines, &json!({}), data), expected);
}

#[test]
fn members_that_the_schema_does_not_describe_are_removed() {
    let schema = json!({
        "properties": {
            "data": {
                "properties": {
                    "combined": { "$ref": "#/$defs/combined" },
                    "open": { "properties": { "a": {} }, "additionalProperties": { "type": "string" } },
                    "any": {},
                    "list": { "items": { "properties": { "a": {} } } },
                    "tree": { "$ref": "#/$defs/tree" },
                },
            },
        },
        "$defs": {
            "combined": {
                "properties": { "kind": { "enum": ["x"] } },
                "allOf": [{ "if": { "properties": { "kind": {} } }, "then": { "properties": { "more": {} } } }],
            },
            "tree": { "properties": { "next": { "$ref": "#/$defs/tree" } } },
        },
    });
    let data = json!({ "type": "gone", "data": {
        "combined": { "kind": "x", "more": { "b": 1 }, "b": 1 },
        "open": { "a": 1, "b": "x" },
        "any": { "b": 1 },
        "list": [{ "a": 1, "b": 1 }, "x"],
        "tree": { "b": 1, "next": { "b": 1 } },
        "b": 1,
    } });
    let expected = json!({ "data": {
        "combined": { "kind": "x", "more": { "b": 1 } },
        "open": { "a": 1, "b": "x" },
        "any": { "b": 1 },
        "list": [{ "a": 1 }, "x"],
        "tree": { "next": {} },
    } });
    assert_eq!(passed_on("unknown = 'drop'", &schema, data), expected);
}

/// A catalog whose digests have this body, as TOML.
fn digest(body: &str) -> Result<Catalog, String> {
    Catalog::parse(
        &Tenant::parse("t").unwrap(),
        &files(&format!("[digest]\nevery = '1s'\nbody = {body}"), ""),
    )
    .map_err(|error| error.to_string())
}

#[test]
fn messages_stand_where_the_placeholder_of_a_digest_was() {
    let catalog = digest("{ t = '{{x}}', d = { m = '{messages}', n = [1, 'y'] } }").unwrap();
    let digest = catalog.digest().unwrap();
    for messages in [vec![], vec![r#"{"a":"\u0001messages\u0001"}"#], vec!["{}", "[1]", "2"]] {
        let joined = digest.join(&messages);
        let bytes = messages.iter().map(|message| message.len()).sum();
        assert_eq!(joined.len(), digest.length(messages.len(), bytes));
        let inside: Vec<Value> =
            messages.iter().map(|message| serde_json::from_str(message).unwrap()).collect();
        let expected = json!({ "t": "{x}", "d": { "m": inside, "n": [1, "y"] } });
        assert_eq!(serde_json::from_slice::<Value>(&joined).unwrap(), expected);
    }
}

#[test]
fn a_digest_has_one_place_for_its_list() {
    for body in [
        "{}",
        "'{messages}'",
        "{ a = '{messages?}' }",
        "{ a = '{messages[0]}' }",
        "{ a = '<{messages}>' }",
        "{ a = '{messages}', b = '{messages}' }",
        "{ a = '{messages}', b = '{time}' }",
        "{ a = '{messages' }",
        "{ a = '{messages}', b = \"\\u0001messages\\u0001\" }",
    ] {
        let error = digest(body).unwrap_err();
        assert!(error.contains("digest: "), "{body}: {error}");
    }
}
