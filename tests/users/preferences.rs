//! What users want to be told: set by themselves, by administrators and by the command, and gone with the user.

use std::path::Path;

use base64::Engine as _;
use harness::{BOUND, SECRET, Setup, System, token};
use serde_json::{Value, json};

const CATALOG: &str = r#"
grants = ["user:{sub}"]
[categories.offers]
off = ["email"]
[[message]]
name = "offer"
category = "offers"
events = ["offer.made"]
schema = "any.schema.json"
to = "user:{data.user}"
body = { n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "0s"
[[message]]
name = "note"
events = ["note.added"]
schema = "any.schema.json"
to = "user:{data.user}"
body = { n = "{data.n}" }
[[message.fallback]]
channel = "webhook"
after = "0s"
"#;

fn catalogs(folder: &Path) {
    let folder = folder.join("shop");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("catalog.toml"), CATALOG).unwrap();
    std::fs::write(folder.join("any.schema.json"), "{}").unwrap();
}

fn token_of(user: &str, scope: &str) -> String {
    token(SECRET, json!({ "tenant": "shop", "sub": user, "scope": scope }))
}

/// Asks with a token; the status and the answer.
async fn ask(
    system: &System,
    (method, path): (&str, &str),
    token: &str,
    body: Option<&Value>,
) -> (u16, Value) {
    let url = format!("{}{path}", system.address());
    let request = reqwest::Client::new().request(method.parse().unwrap(), url).bearer_auth(token);
    let request = body.map_or(request.try_clone().unwrap(), |body| {
        request.header("Content-Type", "application/json").body(body.to_string())
    });
    let exchange = async {
        let response = request.send().await.expect("the gateway answers");
        (response.status().as_u16(), response.text().await.expect("the answer is complete"))
    };
    let (status, text) = tokio::time::timeout(BOUND, exchange).await.expect("the gateway answers in time");
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

/// A link that the key of the configuration has signed switches off what it names. Opening it does not, and no other link does.
#[tokio::test]
async fn a_link_unsubscribes_at_one_click() {
    let folder = tempfile::tempdir().unwrap();
    catalogs(folder.path());
    let keys = folder.path().join("unsubscribe-keys");
    let secrets = ["n".repeat(32), "o".repeat(32)];
    std::fs::write(&keys, secrets.join("\n")).unwrap();
    let file = format!("[email]\nunsubscribe_keys_file = {keys:?}\n");
    let mut system = Setup::default().schemas(folder.path()).file(&file).start().await;
    let link = |secret: &str, user: &str| {
        // As `tidings_access::UnsubscribeKeys` signs, written anew.
        let encode = |bytes: &[u8]| base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let text = format!("shop/offers/webhook/{user}");
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        let signature = aws_lc_rs::hmac::sign(&key, format!("tidings-unsubscribe-1/{text}").as_bytes());
        format!("/api/unsubscribe/{}.{}", encode(text.as_bytes()), encode(signature.as_ref()))
    };
    let click = async |method: &str, path: &str, body: &str| {
        let url = format!("{}{path}", system.address());
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        let request = if body.is_empty() { request } else { request.body(body.to_owned()) };
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        let answer = tokio::time::timeout(BOUND, request.send()).await.unwrap().unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let is_on = async |user: &str| {
        let (_, set) = ask(&system, ("GET", OWN), &token_of(user, ""), None).await;
        set["categories"]["offers"]["webhook"].clone()
    };
    let one_click = "List-Unsubscribe=One-Click";
    // Each secret of the file is accepted; users have any names.
    for (secret, user) in [(&secrets[0], "ada"), (&secrets[1], "o/b@example.com")] {
        let link = link(secret, user);
        let (status, page) = click("GET", &link, "").await;
        assert!(
            status == 200
                && page.contains("<b>offers</b>")
                && page.contains(one_click.split('=').next().unwrap()),
            "{page}"
        );
        assert_eq!(click("POST", &link, "yes=please").await.0, 400);
        assert_eq!(is_on(user).await, Value::Null, "nothing has changed yet");
        for _ in 0..2 {
            assert_eq!(click("POST", &link, one_click).await.0, 200);
            assert_eq!(is_on(user).await, json!(false));
        }
    }
    let foreign = link(&"x".repeat(32), "eve");
    let (start, end) = foreign.split_at(foreign.len() - 4);
    for wrong in [&foreign, &format!("{start}AAAA{end}"), &"/api/unsubscribe/x".to_owned()] {
        for method in ["GET", "POST"] {
            let (status, answer) = click(method, wrong, if method == "POST" { one_click } else { "" }).await;
            assert!(status == 404 && answer.contains("NOT_FOUND"), "{answer}");
        }
    }
    assert_eq!(is_on("eve").await, Value::Null);
    system.check_well();
}

const OWN: &str = "/api/preferences";
const NOTHING: &str = r#"{"categories":{},"quiet_hours":null,"muted_until":null}"#;

#[tokio::test]
async fn a_user_says_what_it_wants_and_administrators_and_commands_see_it() {
    let folder = tempfile::tempdir().unwrap();
    catalogs(folder.path());
    let mut system = Setup::default().schemas(folder.path()).start().await;
    let (ada, bob, root) = (token_of("ada", ""), token_of("bob", ""), token_of("root", "tidings:admin"));
    let nothing: Value = serde_json::from_str(NOTHING).unwrap();
    assert_eq!(ask(&system, ("GET", OWN), &ada, None).await, (200, nothing.clone()));
    let wanted = json!({
        "categories": { "offers": { "email": true, "webhook": false } },
        "quiet_hours": { "from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin" },
        "muted_until": "2030-01-17T08:00:00.000Z",
    });
    assert_eq!(ask(&system, ("PUT", OWN), &ada, Some(&wanted)).await, (200, wanted.clone()));
    assert_eq!(ask(&system, ("GET", OWN), &ada, None).await, (200, wanted.clone()));
    assert_eq!(ask(&system, ("GET", OWN), &bob, None).await, (200, nothing.clone()));
    let of_ada = "/api/v1/users/ada/preferences";
    assert_eq!(ask(&system, ("GET", of_ada), &root, None).await, (200, wanted.clone()));
    let (status, answer) = ask(&system, ("GET", of_ada), &ada, None).await;
    assert_eq!((status, &answer["code"]), (403, &json!("SCOPE_MISSING")));

    // What would have no effect, or another one than was meant, is refused, and changes nothing.
    for (body, text) in [
        (json!({ "categories": { "ofers": {} } }), "no category ofers with a fallback; it has note, offers"),
        (json!({ "categories": { "offers": { "fax": false } } }), "unknown variant `fax`"),
        (
            json!({ "quiet_hours": { "from": "22:00", "to": "07:00", "time_zone": "CET/Berlin" } }),
            "no time zone",
        ),
        (json!({ "muted_until": "tomorrow" }), "not understood"),
        (json!({ "quiet": true }), "unknown field `quiet`"),
    ] {
        for (path, token) in [(OWN, &ada), (of_ada, &root)] {
            let (status, answer) = ask(&system, ("PUT", path), token, Some(&body)).await;
            assert_eq!((status, &answer["code"]), (400, &json!("BODY")), "{answer}");
            assert!(answer["detail"].as_str().unwrap().contains(text), "{answer}");
        }
    }
    let (status, answer) = ask(&system, ("PUT", OWN), &ada, None).await;
    assert_eq!((status, &answer["code"]), (415, &json!("CONTENT_TYPE")), "a body is needed");
    assert_eq!(ask(&system, ("GET", OWN), &ada, None).await, (200, wanted.clone()));

    // An administrator replaces all of it; what is not said is not set. A time in another zone is shown in UTC.
    let muted = json!({ "muted_until": "2030-01-17T10:00:00+02:00" });
    let (status, answer) = ask(&system, ("PUT", of_ada), &root, Some(&muted)).await;
    let expected =
        json!({ "categories": {}, "quiet_hours": null, "muted_until": "2030-01-17T08:00:00.000Z" });
    assert_eq!((status, answer), (200, expected));
    let output = system.gateway.output();
    let is_told = |line: &str| line.contains("set preferences") && line.contains("shop/ada");
    assert!(output.lines().any(is_told), "{output}");

    // The command changes single switches.
    let command = ["preferences", "set", "--tenant", "shop", "--user", "ada"];
    let run = async |more: &[&str]| system.command(&[&command, more].concat()).finish(BOUND).await;
    run(&["--off", "note/webhook", "--unmute"]).await.succeeded();
    let hours = ["--quiet-hours", "22:30-06:00", "--time-zone", "America/New_York"];
    run(&[&["--on", "offers/email"], &hours[..]].concat()).await.succeeded();
    let expected = json!({
        "categories": { "note": { "webhook": false }, "offers": { "email": true } },
        "quiet_hours": { "from": "22:30", "to": "06:00", "time_zone": "America/New_York" },
        "muted_until": null,
    });
    assert_eq!(ask(&system, ("GET", OWN), &ada, None).await, (200, expected.clone()));
    let shown = system.command(&["preferences", "show", "--tenant", "shop", "--user", "ada"]);
    let shown: Value = serde_json::from_str(&shown.finish(BOUND).await.succeeded()).unwrap();
    assert_eq!(shown, expected);
    for (arguments, text) in [
        (&["--off", "nte/webhook"][..], "no category \"nte\""),
        (&["--off", "note"], "is not a category and a channel"),
        (&["--mute-until", "now"], "is not a time"),
    ] {
        let refused = run(arguments).await;
        assert!(refused.code == Some(1) && refused.errors.contains(text), "{refused:?}");
    }

    // What cannot be read is not taken for nothing, and not overwritten.
    system.publish_raw("$KV.PREFERENCES.shop.bob", async_nats::HeaderMap::new(), "all of it, please").await;
    for method in ["GET", "PUT"] {
        let (status, answer) = ask(&system, (method, OWN), &bob, (method == "PUT").then_some(&wanted)).await;
        assert_eq!((status, &answer["code"]), (503, &json!("USER_UNREADABLE")), "{answer}");
    }

    // It goes with the user.
    system.command(&["users", "purge", "--tenant", "shop", "--user", "ada"]).finish(BOUND).await.succeeded();
    assert_eq!(ask(&system, ("GET", OWN), &ada, None).await, (200, nothing));
    ask(&system, ("PUT", OWN), &ada, Some(&wanted)).await;
    ask(&system, ("DELETE", "/api/v1/users/ada"), &root, None).await;
    let bucket =
        async_nats::jetstream::new(system.client().clone()).get_stream("KV_PREFERENCES").await.unwrap();
    let left = bucket.get_last_raw_message_by_subject("$KV.PREFERENCES.shop.ada").await;
    assert!(left.is_err(), "{left:?}");
    system.check_well();
}
