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
        assert_eq!(template.render(&scope()).unwrap_err().path, path);
    }
    let unresolved = Unresolved { path: "data.list[2].id".into(), what: "" };
    assert_eq!(unresolved.pointer().as_deref(), Some("/list/2/id"));
}

#[test]
fn lists_give_one_text_each() {
    let texts = |text: &str| TextTemplate::parse(text).unwrap().texts(&scope()).unwrap();
    assert_eq!(texts("user:{data.list[*].id}"), ["user:a", "user:b"]);
    assert_eq!(texts("user:{gone?}"), Vec::<String>::new());
    assert_eq!(texts("plain"), ["plain"]);
}

#[test]
fn wrong_templates_are_refused() {
    for wrong in ["{", "}", "{a", "{}", "{a..b}", "{a[}", "{a[x]}", "{a b}", "a } b", "{.a}"] {
        assert!(TextTemplate::parse(wrong).is_err(), "{wrong:?} was taken");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in ".*") {
        let _ = TextTemplate::parse(&text);
    }

    #[test]
    fn values_are_never_read_as_templates(text in ".*") {
        let scope = json!({ "data": text.clone() });
        let template = Template::parse(&json!({ "a": "{data}", "b": "<{data}>" })).unwrap();
        let rendered = template.render(scope.as_object().unwrap()).unwrap().unwrap();
        prop_assert_eq!(rendered, json!({ "a": text.clone(), "b": format!("<{text}>") }));
    }
}
