//! Which keys claims open: less when a claim is odd, never more.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{catalog, claims};

fn keys(rules: &str, given: &Value) -> Vec<String> {
    let message = "[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = 'topic:t'\nbody = {}\n[topics.t]";
    let catalog = catalog(&format!("grants = [{rules}]\n{message}"));
    catalog.grants(&claims(given)).iter().map(ToString::to_string).collect()
}

#[test]
fn claims_open_keys() {
    let long = "x".repeat(513);
    for (rules, claims, expected) in [
        ("'all'", json!({}), &["all"][..]),
        ("'user:{sub}'", json!({ "sub": "ada" }), &["user:ada"]),
        ("'user:{sub}'", json!({ "sub": 42 }), &["user:42"]),
        ("'user:{sub}'", json!({}), &[]),
        ("'user:{sub?}'", json!({}), &[]),
        ("'user:{sub}'", json!({ "sub": null }), &[]),
        ("'user:{sub}'", json!({ "sub": "" }), &[]),
        ("'user:{sub}'", json!({ "sub": { "a": 1 } }), &[]),
        ("'user:{sub}'", json!({ "sub": long }), &[]),
        ("'user:{sub}'", json!({ "sub": "a:b.*>{x} =\n" }), &["user:a:b.*>{x} =\n"]),
        ("'user:{sub}'", json!({ "sub": "all" }), &["user:all"]),
        ("'role:{role}'", json!({ "role": ["b", "a", "b"] }), &["role:a", "role:b"]),
        ("'role:{role}'", json!({ "role": [] }), &[]),
        ("'role:{role}'", json!({ "role": ["a", null, ["c"], { "d": 1 }, "", 7] }), &["role:7", "role:a"]),
        ("'org:{org.id}'", json!({ "org": { "id": "o1" } }), &["org:o1"]),
        ("'org:{org.id}'", json!({ "org": "o1" }), &[]),
        ("'org:{org.id}'", json!({ "org": { "id": ["o1", "o2"] } }), &["org:o1", "org:o2"]),
        ("'room:{org}-{team}'", json!({ "org": "o", "team": ["x", "y"] }), &["room:o-x", "room:o-y"]),
        (
            "'room:{org}-{team}'",
            json!({ "org": ["o", "p"], "team": ["x", "y"] }),
            &["room:o-x", "room:o-y", "room:p-x", "room:p-y"],
        ),
        ("'room:{org}-{team}'", json!({ "org": "o" }), &[]),
        ("'room:{org}-{org}'", json!({ "org": ["o", "p"] }), &["room:o-o", "room:p-p"]),
        ("'room:lobby', 'user:{sub}'", json!({ "sub": "u" }), &["room:lobby", "user:u"]),
    ] {
        assert_eq!(keys(rules, &claims), expected, "{rules} {claims}");
    }
}

/// The shapes of common identity providers' claims.
#[test]
fn claims_of_identity_providers_open_keys() {
    let claims = json!({
        "sub": "ada", "custom:tenant": "acme", "cognito:groups": ["sre", "lead"],
        "realm_access": { "roles": ["operator", "viewer"], "name": "ops" },
        "resource_access": { "tidings": { "roles": ["admin"] } },
        "https://app.example/roles": ["editor", "author"],
        "https://app.example/user": { "team name": "blue" },
    });
    for (rules, expected) in [
        ("'org:{custom:tenant}'", &["org:acme"][..]),
        ("'role:{cognito:groups}'", &["role:lead", "role:sre"]),
        ("'role:{cognito:groups[1]}'", &["role:lead"]),
        ("'role:{realm_access.roles}'", &["role:operator", "role:viewer"]),
        ("'role:{resource_access.tidings.roles}'", &["role:admin"]),
        ("'role:{realm_access.name}-{realm_access.roles}'", &["role:ops-operator", "role:ops-viewer"]),
        (r#"'role:{["https://app.example/roles"]}'"#, &["role:author", "role:editor"]),
        (r#"'role:{["https://app.example/roles"][0]}'"#, &["role:editor"]),
        (r#"'team:{["https://app.example/user"]["team name"]}'"#, &["team:blue"]),
        (r#"'team:{["https://app.example/team"]?}'"#, &[]),
        ("'role:{realm_access}'", &[]),
        ("'role:{realm_access.gone}'", &[]),
        ("'role:{sub.roles}'", &[]),
    ] {
        assert_eq!(keys(rules, &claims), expected, "{rules}");
    }
}

/// A claim is a list of words where the standard or the catalog says so, and nowhere else.
#[test]
fn words_open_a_key_each() {
    for (rules, claims, expected) in [
        ("'role:{scope}'", json!({ "scope": "openid  sre" }), &["role:openid", "role:sre"][..]),
        ("'role:{scope?}'", json!({ "scope": " " }), &[]),
        ("'role:{scp}'", json!({ "scp": "openid sre" }), &["role:openid", "role:sre"]),
        ("'role:{scp}'", json!({ "scp": ["openid", "sre"] }), &["role:openid", "role:sre"]),
        ("'role:{scope}', 'role:{scp}'", json!({ "scp": "sre" }), &["role:sre"]),
        ("'role:{roles[words]}'", json!({ "roles": "lead sre" }), &["role:lead", "role:sre"]),
        ("'role:{roles[words]}'", json!({ "roles": "sre" }), &["role:sre"]),
        ("'role:{roles[words]}'", json!({ "roles": "" }), &[]),
        ("'role:{roles[words]}'", json!({ "roles": 7 }), &["role:7"]),
        ("'role:{roles[words]}'", json!({ "roles": null }), &[]),
        ("'role:{roles[words]}'", json!({}), &[]),
        ("'role:{roles[words]?}'", json!({ "roles": { "a": "b" } }), &[]),
        // In a list every element is one name, however many words it has.
        (
            "'role:{roles[words]}'",
            json!({ "roles": ["first aid", "sre", null] }),
            &["role:first aid", "role:sre"],
        ),
        // The only name of a list that a provider sends as a text.
        ("'role:{roles}'", json!({ "roles": "first aid" }), &["role:first aid"]),
        ("'user:{sub}'", json!({ "sub": "ada bob" }), &["user:ada bob"]),
        (
            "'role:{realm_access.roles[words]}'",
            json!({ "realm_access": { "roles": "a b" } }),
            &["role:a", "role:b"],
        ),
        (
            "'role:{[\"https://app/roles\"][words]}'",
            json!({ "https://app/roles": "a b" }),
            &["role:a", "role:b"],
        ),
        ("'room:{r[words]}-{r[words]?}-{r}'", json!({ "r": "a b" }), &["room:a-a-a", "room:b-b-b"]),
        ("'room:{r}-{r[words]}-{r[words]?}'", json!({ "r": ["a b"] }), &["room:a b-a b-a b"]),
        ("'room:{a[words]}-{b[words]}'", json!({ "a": "1 2", "b": "x" }), &["room:1-x", "room:2-x"]),
    ] {
        assert_eq!(keys(rules, &claims), expected, "{rules} {claims}");
    }
}

#[test]
fn only_claims_are_read_as_words() {
    let check = |keys: &str, to: &str, value: &str, expected: &str| {
        let text = format!(
            "grants = ['{keys}']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = '{to}'\n\
             body.value = '{value}'\n"
        );
        let error = crate::support::parse(&text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let words = "reads words, which only claims in `grants` and `where` may do";
    check("user:{sub}", "user:{data.a[words]}", "x", words);
    check("user:{sub}", "user:{data.a}", "{data.a[words]}", words);
    check("user:{sub}", "user:{data.a}", "x{data.a[words]}", words);
    check("user:{sub[words].a}", "user:{data.a}", "x", "is no path");
}

proptest! {
    /// Whatever somebody calls a claim, a catalog can name it, and nothing else is taken for it.
    #[test]
    fn every_claim_can_be_named(name: String, inside: String) {
        let quoted = |name: &str| format!("[{}]", json!(name));
        let [alone, nested] = [quoted(&name), quoted(&name) + &quoted(&inside)]
            .map(|path| toml::Value::from(format!("role:{{{path}}}")).to_string());
        prop_assert_eq!(keys(&alone, &json!({ &name: "sre" })), ["role:sre"]);
        prop_assert_eq!(keys(&nested, &json!({ &name: { &inside: ["sre"] } })), ["role:sre"]);
        prop_assert_eq!(keys(&alone, &json!({ format!("{name}x"): "sre" })), Vec::<String>::new());
    }
}
