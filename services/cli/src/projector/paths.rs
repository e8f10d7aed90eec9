//! Finds where two JSON values differ. Pure.

use serde_json::Value;

/// A place at which two values differ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Change {
    /// Its JSON pointer (RFC 6901).
    pub(crate) pointer: String,
    /// The first value's content there, if any.
    pub(crate) before: Option<Value>,
    /// The second value's content there.
    pub(crate) after: Option<Value>,
}

/// The innermost places at which the values differ, in the order of writing.
pub(crate) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    collect(String::new(), Some(before), Some(after), &mut found);
    found
}

fn collect(pointer: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Change>) {
    match (before, after) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let added = other.keys().filter(|name| !one.contains_key(*name));
            for name in one.keys().chain(added) {
                let inner = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                collect(inner, one.get(name), other.get(name), found);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            for index in 0..one.len().max(other.len()) {
                collect(format!("{pointer}/{index}"), one.get(index), other.get(index), found);
            }
        }
        _ if before == after => {}
        _ => found.push(Change { pointer, before: before.cloned(), after: after.cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(before: &Value, after: &Value, expected: &[(&str, Option<Value>, Option<Value>)]) {
        let found = changes(before, after);
        let found: Vec<_> =
            found.into_iter().map(|change| (change.pointer, change.before, change.after)).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(pointer, before, after)| ((*pointer).to_owned(), before.clone(), after.clone()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_differs_is_named() {
        check(&json!({ "a": 1, "b": [1, 2] }), &json!({ "b": [1, 2], "a": 1 }), &[]);
        check(
            &json!({ "type": "dish", "data": { "table": 4, "a/b": [1, { "~": 2 }], "gone": null } }),
            &json!({ "type": "dish", "data": { "table": "4", "a/b": [1, { "~": 3 }, 5], "new": {} } }),
            &[
                ("/data/table", Some(json!(4)), Some(json!("4"))),
                ("/data/a~1b/1/~0", Some(json!(2)), Some(json!(3))),
                ("/data/a~1b/2", None, Some(json!(5))),
                ("/data/gone", Some(json!(null)), None),
                ("/data/new", None, Some(json!({}))),
            ],
        );
        check(&json!([1]), &json!({ "0": 1 }), &[("", Some(json!([1])), Some(json!({ "0": 1 })))]);
    }
}
