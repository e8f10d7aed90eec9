use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn scope() -> Map<String, Value> {
    let value = json!({
        "name": "Ada", "n": 99.50, "yes": true, "none": null,
        "data": { "list": [{ "id": "a" }, { "id": "b" }], "text": "x{name}y" }
    });
    value.as_object().unwrap().clone()
}

#[test]
fn places_are_filled_with_values() {
    for (template, expected) in [
        (json!("{n}"), json!(99.50)),
        (json!("{none}"), json!(null)),
        (json!("{data.list[1]}"), json!({ "id": "b" })),
        (json!("{data.text}"), json!("x{name}y")),
        (json!("Hi {name}: {n}, {yes}"), json!("Hi Ada: 99.5, true")),
        (json!("{{name}}"), json!("{name}")),
        (json!({ "a": "{data.gone?}", "b": ["{gone?}", 1] }), json!({ "b": [1] })),
        (json!({ "a": { "b": "{name}" } }), json!({ "a": { "b": "Ada" } })),
    ] {
        let rendered = Template::parse(&template).unwrap().render(&scope()).unwrap();
        assert_eq!(rendered, Some(expected), "{template}");
    }
}

#[test]
fn what_finds_nothing_is_named() {
    for (template, path) in [
        ("{data.gone}", "data.gone"),
        ("{data.list[2].id}", "data.list[2].id"),
        ("a {none}", "none"),
        ("{name.inside}", "name.inside"),
    ] {
        let template = Template::parse(&json!(template)).unwrap();
        assert_eq!(template.render(&scope()).unwrap_err().path.to_string(), path);
    }
}

#[test]
fn what_finds_nothing_is_pointed_at() {
    for (path, whole, inside) in [
        ("data.list[2].id", "/data/list/2/id", Some("/list/2/id")),
        ("data", "/data", Some("")),
        ("data[\"a/b~c\"].d", "/data/a~1b~0c/d", Some("/a~1b~0c/d")),
        ("[\"data\"][\"x.y\"]", "/data/x.y", Some("/x.y")),
        ("database.x", "/database/x", None),
        ("docId", "/docId", None),
    ] {
        let path = Path::parse(path).unwrap();
        assert_eq!(path.pointer(), whole);
        assert_eq!(Unresolved::no_text_at(&path).pointer().as_deref(), inside);
    }
}

#[test]
fn quoted_names_are_taken_as_they_are() {
    let scope = json!({ "https://app.example/roles": ["sre"], "a}": { "b.c": { "": 7 } }, "ü\"\n": true });
    for (template, expected) in [
        (r#"{["https://app.example/roles"]}"#, json!(["sre"])),
        (r#"{["https://app.example/roles"][0]}"#, json!("sre")),
        (r#"<{["https://app.example/roles"][*]}>"#, json!("<sre>")),
        (r#"{["a}"]["b.c"][""]}{{"#, json!("7{")),
        (r#"{["\u0061}"]["b.c"]}"#, json!({ "": 7 })),
        (r#"{["ü\"\n"]}"#, json!(true)),
        (r#"{["ü"]?}."#, json!(null)),
    ] {
        let template = Template::parse(&json!(template)).unwrap();
        let rendered = template.render(scope.as_object().unwrap()).unwrap();
        assert_eq!(rendered.unwrap_or_default(), expected, "{template:?}");
    }
}

#[test]
fn lists_give_one_text_each() {
    let texts = |text: &str| TextTemplate::parse(text).unwrap().names(&scope()).unwrap();
    assert_eq!(texts("user:{data.list[*].id}"), ["user:a", "user:b"]);
    assert_eq!(texts("user:{gone?}"), Vec::<String>::new());
    assert_eq!(texts("plain"), ["plain"]);
}

#[test]
fn wrong_templates_are_refused() {
    for wrong in [
        "{", "}", "{a", "{}", "{a..b}", "{a[}", "{a[x]}", "{a b}", "a } b", "{.a}", "{a[0]b}", "{a?b}",
        "{a.[0]}", "{[0]}", "{[*]}",
    ] {
        assert!(TextTemplate::parse(wrong).is_err(), "{wrong:?} was taken");
    }
    for wrong in [r#"{["a}"#, r#"{["a"}"#, r#"{["a"]b}"#, r#"{a["b"}"#, r#"{["a" ]}"#, r"{['a']}", r#"{"a"}"#]
    {
        assert!(TextTemplate::parse(wrong).is_err(), "{wrong:?} was taken");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in ".*") {
        let _ = TextTemplate::parse(&text);
    }

    #[test]
    fn a_path_is_shown_as_it_can_be_written(names in vec(".{0,12}|[a-z]{1,4}", 1..4), index: u8, each: bool) {
        let quoted = |name: &String| format!("[{}]", json!(name));
        let element = if each { "[*]".to_owned() } else { format!("[{index}]") };
        let written = names.iter().map(quoted).collect::<String>() + &element;
        let path = Path::parse(&written).unwrap();
        prop_assert_eq!(Path::parse(&path.to_string()).unwrap(), path);
    }

    #[test]
    fn values_are_never_read_as_templates(text in ".*") {
        let scope = json!({ "data": text.clone() });
        let template = Template::parse(&json!({ "a": "{data}", "b": "<{data}>" })).unwrap();
        let rendered = template.render(scope.as_object().unwrap()).unwrap().unwrap();
        prop_assert_eq!(rendered, json!({ "a": text.clone(), "b": format!("<{text}>") }));
    }
}
