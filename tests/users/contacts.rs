//! Where users are reached: set, shown, encrypted, sealed with another key, purged.

use std::path::Path;

use async_nats::jetstream;
use futures_util::TryStreamExt as _;
use harness::{BOUND, Dial, SECRET, Setup, System, token};
use serde_json::{Value, json};

use crate::site::{admin, code, is_time, request, request_with, token_of};

const KEYS: &str = "TIDINGS_CONTACTS__KEYS";
pub(crate) const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const TWO: &str = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

async fn system() -> System {
    Setup::default().variable(KEYS, ONE).start().await
}

async fn set(address: &str, user: &str, contacts: Value) -> Value {
    let path = format!("users/{user}/contacts");
    let (status, answer) = request_with("PUT", address, &path, &admin(), Some(contacts)).await;
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).unwrap()
}

async fn shown(address: &str, user: &str) -> Value {
    let (status, answer) = request("GET", address, &format!("users/{user}/contacts"), &admin()).await;
    assert_eq!(status, 200, "{answer}");
    serde_json::from_str(&answer).unwrap()
}

/// What is shown of each contact, in their order.
fn texts(report: &Value) -> Vec<(&str, &str)> {
    let contacts = report["contacts"].as_array().unwrap().iter();
    contacts.map(|one| (one["kind"].as_str().unwrap(), one["shown"].as_str().unwrap())).collect()
}

/// One of each kind, with a word in each that nobody may find anywhere.
fn everything() -> Value {
    json!({
        "email": ["ada.findme@example.com"],
        "phone_number": ["+49301230456"],
        "sns_endpoint": ["arn:aws:sns:eu-central-1:123456789012:endpoint/GCM/app/findme"],
        "sns_topic": ["arn:aws:sns:eu-central-1:123456789012:alerts"],
        "webhook": [{ "url": "https://hooks.example/findme", "keys": ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] }],
        "web_push": [{
            "device": "laptop", "endpoint": "https://push.example/findme",
            "keys": {
                "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
                "auth": "BTBZMqHH6r4Tts7J_aSIgg",
            },
        }],
    })
}

/// The words of [`everything`] that nobody may find anywhere.
const SECRETS: [&str; 4] = ["findme", "+4930123", "MfKQ9r8GKYqrTwj", "BTBZMqHH6r4Tts7J"];

#[tokio::test]
async fn contacts_are_set_shown_and_forgotten() {
    let mut system = system().await;
    let address = system.address();
    assert_eq!(shown(address, "ada").await, json!({ "tenant": "ops", "user": "ada", "contacts": [] }));
    let report = set(address, "ada", everything()).await;
    let all = [
        ("email", "a…@example.com"),
        ("phone_number", "+49…56"),
        ("sns_endpoint", "arn:aws:sns:eu-central-1:123456789012:endpoint/GCM/app/…"),
        ("sns_topic", "arn:aws:sns:eu-central-1:123456789012:alerts"),
        ("webhook", "https://hooks.example"),
        ("web_push", "https://push.example"),
    ];
    assert_eq!(texts(&report), all);
    for contact in report["contacts"].as_array().unwrap() {
        assert!(is_time(&contact["since"]) && contact["gone"].is_null(), "{contact}");
        assert_eq!(contact["origin"], "administrator", "{contact}");
    }
    assert_eq!(
        (&report["contacts"][5]["device"], &report["contacts"][0]["device"]),
        (&json!("laptop"), &Value::Null)
    );

    // The command says the same, and both change what is given and nothing else.
    let command = async |words: &[&str]| {
        let words = [&["contacts"], words, &["--tenant", "ops", "--user", "ada"]].concat();
        system.command(&words).finish(BOUND).await
    };
    let printed = command(&["show"]).await.succeeded();
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), report);
    for secret in SECRETS {
        assert!(!printed.contains(secret), "{printed}");
    }
    let data = r#"{"email":["b@example.com"],"webhook":[],"sns_endpoint":[],"sns_topic":[]}"#;
    let printed = command(&["set", "--data", data]).await.succeeded();
    let report: Value = serde_json::from_str(&printed).unwrap();
    let rest =
        [("phone_number", "+49…56"), ("web_push", "https://push.example"), ("email", "b…@example.com")];
    assert_eq!(texts(&report), rest);
    assert_eq!(shown(address, "ada").await, report);
    assert!(command(&["set", "--data", r#"{"email":["b"]}"#]).await.failed().contains("`email[0]`"));

    let path = "users/ada/contacts";
    let (status, answer) =
        request_with("PUT", address, path, &admin(), Some(json!({ "phone_number": ["030 findme"] }))).await;
    assert_eq!((status, code(&answer).as_str()), (400, "BODY"), "{answer}");
    assert!(answer.contains("phone_number[0]") && !answer.contains("findme"), "{answer}");
    // An administrator of another tenant sees another user of that name.
    let other = token(SECRET, json!({ "tenant": "shelter", "sub": "root", "scope": "tidings:admin" }));
    let (_, answer) = request("GET", address, path, &other).await;
    assert!(answer.contains("\"contacts\":[]"), "{answer}");

    assert_eq!(request("DELETE", address, path, &admin()).await.0, 204);
    assert_eq!(request("DELETE", address, path, &admin()).await.0, 204);
    assert!(command(&["forget"]).await.failed().contains("there are no contacts"));
    assert_eq!(texts(&shown(address, "ada").await), []);
    system.check_well();
}

/// Two administrators who change different things at once do not undo each other's changes.
#[tokio::test]
async fn changes_at_once_are_merged() {
    let system = system().await;
    let address = system.address();
    let numbers = (0..8).map(|number| async move {
        let member = ["email", "phone_number", "sns_topic", "webhook"][number % 4];
        let mut given = everything();
        given.as_object_mut().unwrap().retain(|name, _| name == member);
        set(address, "ada", given).await
    });
    futures_util::future::join_all(numbers).await;
    let report = shown(address, "ada").await;
    let mut kinds: Vec<_> = texts(&report).into_iter().map(|(kind, _)| kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["email", "phone_number", "sns_topic", "webhook"]);
}

/// Fails if a file below this folder has one of these texts.
fn assert_nowhere(folder: &Path, texts: &[&str]) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_nowhere(&path, texts);
            continue;
        }
        // What is removed meanwhile has nothing.
        let content = std::fs::read(&path).unwrap_or_default();
        for text in texts {
            let is_there = content.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!is_there, "{text} is in {}", path.display());
        }
    }
}

#[tokio::test]
async fn nothing_readable_is_stored_and_a_purge_leaves_nothing() {
    let mut system = system().await;
    for user in ["ada", "bob"] {
        set(system.address(), user, everything()).await;
    }
    // Everything is on the disk when the server has ended.
    system.nats.stop().await.unwrap();
    assert_nowhere(&system.nats.folder().join("jetstream"), &SECRETS);
    system.nats.restart().await.unwrap();

    let context = jetstream::new(system.client().clone());
    let subjects = async || {
        let mut found = Vec::new();
        let mut names = context.stream_names();
        while let Some(name) = names.try_next().await.unwrap() {
            let stream = context.get_stream(&name).await.unwrap();
            let subjects: Vec<_> = stream.info_with_subjects(">").await.unwrap().try_collect().await.unwrap();
            found.extend(subjects.into_iter().map(|(subject, _)| subject));
        }
        found.retain(|subject| ["ada", "bob"].iter().any(|user| subject.contains(user)));
        found.sort();
        found
    };
    let both = ["$KV.CONTACTS.ops.ada", "$KV.CONTACTS.ops.bob"];
    let found = harness::eventually("the streams are led again", BOUND, async || {
        let found = subjects().await;
        if found == both { Ok(()) } else { Err(format!("{found:?}")) }
    });
    found.await;
    system.command(&["users", "purge", "--tenant", "ops", "--user", "ada"]).finish(BOUND).await.succeeded();
    assert_eq!(request("DELETE", system.address(), "users/bob", &admin()).await.0, 200);
    let left = subjects().await;
    assert!(left.iter().all(|subject| subject.starts_with("purges.")), "{left:?}");
}

/// Who may write into the bucket can neither read a record nor hand a user's contacts to another.
#[tokio::test]
async fn a_record_in_the_place_of_anothers_is_not_believed() {
    let system = system().await;
    let address = system.address();
    set(address, "ada", everything()).await;
    let bucket = jetstream::new(system.client().clone()).get_key_value("CONTACTS").await.unwrap();
    let record = bucket.get("ops.ada").await.unwrap().unwrap();
    bucket.put("ops.bob", record).await.unwrap();
    for (method, body) in [("GET", None), ("PUT", Some(everything()))] {
        let (status, answer) = request_with(method, address, "users/bob/contacts", &admin(), body).await;
        assert_eq!((status, code(&answer).as_str()), (503, "CONTACTS_UNREADABLE"), "{method}: {answer}");
    }
    assert_eq!(request("DELETE", address, "users/bob/contacts", &admin()).await.0, 204);
    assert_eq!(texts(&set(address, "bob", json!({ "email": ["b@example.com"] })).await).len(), 1);
}

#[tokio::test]
async fn keys_are_replaced_while_everything_runs() {
    let system = system().await;
    let report = set(system.address(), "ada", everything()).await;
    let both = system.another_gateway(&[(KEYS, &format!("{TWO} {ONE}"))]).await;
    assert_eq!(shown(&both.address, "ada").await, report);
    set(&both.address, "bob", everything()).await;
    let unknown = async |address: &str, user: &str| {
        let (status, answer) = request("GET", address, &format!("users/{user}/contacts"), &admin()).await;
        assert_eq!((status, code(&answer).as_str()), (503, "CONTACTS_UNREADABLE"), "{answer}");
    };
    unknown(system.address(), "bob").await;
    let new = system.another_gateway(&[(KEYS, TWO)]).await;
    unknown(&new.address, "ada").await;
    let reseal = || {
        let command = system.command(&["contacts", "reseal", "--tenant", "ops"]);
        command.variable(KEYS, format!("{TWO} {ONE}")).finish(BOUND)
    };
    assert!(reseal().await.succeeded().contains("of 1 user "));
    assert!(reseal().await.succeeded().contains("of 0 users "));
    assert_eq!(shown(&new.address, "ada").await, report);

    let off = system.another_gateway(&[(KEYS, "")]).await;
    for (method, body) in [("GET", None), ("PUT", Some(everything()))] {
        let (status, answer) = request_with(method, &off.address, "users/ada/contacts", &admin(), body).await;
        assert_eq!((status, code(&answer).as_str()), (501, "CONTACTS_OFF"), "{method}: {answer}");
    }
    // What was kept is purged all the same.
    assert_eq!(request("DELETE", &off.address, "users/ada", &admin()).await.0, 200);
    assert_eq!(texts(&shown(&new.address, "ada").await), []);
}

/// A user's own browser, with the user's own token.
#[tokio::test]
async fn a_browser_is_registered_by_its_user() {
    let page = "https://app.example";
    let setup = Setup::default().variable(KEYS, ONE).variable("TIDINGS_GATEWAY__ALLOWED_ORIGINS", page);
    let mut system = setup.start().await;
    let address = system.address();
    let browser = |path: &str| {
        let keys = everything()["web_push"][0]["keys"].clone();
        json!({ "endpoint": format!("https://push.example/{path}"), "keys": keys })
    };
    let ask = async |method: &str, user: &str, device: &str, body: Option<&Value>| {
        let url = format!("{address}/api/push?device={device}");
        let request = reqwest::Client::new().request(method.parse().unwrap(), url);
        let request = request.bearer_auth(token_of(user, &json!({}))).header("Origin", page);
        let request = match body {
            Some(body) => request.header("Content-Type", "application/json").body(body.to_string()),
            None => request,
        };
        let answer = request.send().await.unwrap();
        let origin = answer.headers().get("access-control-allow-origin").cloned();
        assert_eq!(origin.unwrap(), page);
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    for (user, device, path) in
        [("ada", "laptop", "one"), ("ada", "phone", "two"), ("bob", "laptop", "three")]
    {
        assert_eq!(ask("PUT", user, device, Some(&browser(path))).await.0, 204);
    }
    let report = shown(address, "ada").await;
    let devices = |report: &Value| {
        let contacts = report["contacts"].as_array().unwrap().clone();
        assert!(contacts.iter().all(|one| one["origin"] == "browser" && one["kind"] == "web_push"));
        contacts.into_iter().map(|one| one["device"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(devices(&report), ["laptop", "phone"]);
    // The same again is no change, and another subscription takes the place of the former.
    assert_eq!(ask("PUT", "ada", "laptop", Some(&browser("one"))).await.0, 204);
    assert_eq!(ask("DELETE", "ada", "phone", None).await.0, 204);
    assert_eq!(ask("DELETE", "ada", "phone", None).await.0, 204);
    let report = shown(address, "ada").await;
    assert_eq!(devices(&report), ["laptop"]);
    assert_eq!(devices(&shown(address, "bob").await), ["laptop"]);

    let mut wrong = browser("one");
    wrong["keys"]["auth"] = "findme".into();
    let (status, answer) = ask("PUT", "ada", "laptop", Some(&wrong)).await;
    assert_eq!((status, code(&answer).as_str()), (400, "BODY"), "{answer}");
    assert!(!answer.contains("findme"), "{answer}");
    let (status, answer) = ask(
        "PUT",
        "ada",
        "laptop",
        Some(&json!({ "endpoint": "http://push.example", "keys": browser("")["keys"] })),
    )
    .await;
    assert_eq!((status, code(&answer).as_str()), (400, "BODY"), "{answer}");
    system.command(&["users", "disable", "--tenant", "ops", "--user", "ada"]).finish(BOUND).await.succeeded();
    harness::eventually("the user is refused", BOUND, async || {
        let (status, answer) = ask("PUT", "ada", "laptop", Some(&browser("one"))).await;
        if status == 403 { Ok(()) } else { Err(answer) }
    })
    .await;
    let without = reqwest::Client::new().put(format!("{address}/api/push")).send().await.unwrap();
    assert_eq!(without.status().as_u16(), 401);
    system.check_well();
}

/// What tokens claim is noted behind the connection, if it is verified; what an administrator sets counts before it.
#[tokio::test]
async fn what_a_token_claims_is_noted() {
    let mut system = system().await;
    let address = system.address();
    let connect = async |claims: Value| {
        let client = Dial::new(address).bearer(&token_of("ada", &claims)).open().await;
        client.close().await;
    };
    let wait_for = async |expected: &[(&str, &str)]| {
        harness::eventually("the claims are noted", BOUND, async || {
            let report = shown(address, "ada").await;
            if texts(&report) == expected { Ok(report) } else { Err(report.to_string()) }
        })
        .await
    };
    let number = json!({ "phone_number": "+4930123456", "phone_number_verified": true });
    connect(json!({ "email": "unverified@example.com", "email_verified": false })).await;
    connect(number.clone()).await;
    // Claims are noted in the order in which they came, so the first was not.
    let report = wait_for(&[("phone_number", "+49…56")]).await;
    assert_eq!(report["contacts"][0]["origin"], "token");
    connect(json!({ "email": "one@example.com", "email_verified": true })).await;
    connect(json!({ "email": "no address", "email_verified": true })).await;
    connect(json!({ "email": "two@example.com", "email_verified": "true" })).await;
    let report = wait_for(&[("phone_number", "+49…56"), ("email", "t…@example.com")]).await;
    set(address, "ada", json!({ "email": ["set@example.com"] })).await;
    connect(number).await;
    wait_for(&[("phone_number", "+49…56"), ("email", "t…@example.com"), ("email", "s…@example.com")]).await;
    assert_eq!(shown(address, "ada").await["contacts"][1], report["contacts"][1]);
    system.check_well();
}
