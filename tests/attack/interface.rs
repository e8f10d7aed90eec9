//! The HTTP interface, called by those who may not.

use harness::BOUND;
use reqwest::Method;
use serde_json::json;

use crate::scene::{Outcome, Scene, token_of};

/// Nothing succeeds, nothing fails inside, and the witness stays.
pub(crate) async fn attack(scene: &mut Scene) -> Outcome {
    let mut outcome = Outcome::of("somebody who is no administrator calls the HTTP interface");
    let tokens = [
        None,
        Some("rubbish".to_owned()),
        Some(token_of("ops", "mallory", &json!({}))),
        Some(token_of("ops", "mallory", &json!({ "scope": "tidings:administrator admin" }))),
        Some(token_of("ops", "mallory", &json!({ "scope": "tidings:admin", "exp": 1 }))),
    ];
    for _ in 0..scene.attempts {
        let (method, path) = request(scene);
        let token = scene.one_of(&tokens).clone();
        let url = format!("{}/api/v1/{path}", scene.system.address());
        let is_route = is_route(&method, &path);
        let mut request = reqwest::Client::new().request(method.clone(), url);
        // A body where none belongs is refused whoever sends it.
        if !is_route || method == Method::POST {
            request = request.body(scene.json(3).to_string());
        }
        if let Some(token) = &token {
            request = request.bearer_auth(token);
        }
        let answer = tokio::time::timeout(BOUND, request.send()).await.expect("the gateway answers").unwrap();
        let status = answer.status().as_u16();
        // Where there is something, the answer is about who asks; elsewhere any refusal will do.
        let is_refused =
            if is_route { matches!(status, 401 | 403 | 429) } else { (400..500).contains(&status) };
        outcome.count((!is_refused).then(|| format!("{method} {path}: {status}")));
        if outcome.attempts.is_multiple_of(ADMINISTRATED) {
            administrate(scene).await;
        }
    }
    administrate(scene).await;
    scene.check().await;
    outcome
}

/// After so many attempts an administrator asks, too.
const ADMINISTRATED: usize = 50;

/// Whether there is something to be done by this request, for those who may.
fn is_route(method: &Method, path: &str) -> bool {
    let verb = |verbs: [&str; 3]| verbs.iter().any(|verb| path == format!("users/witness/{verb}"));
    match method.as_str() {
        "GET" => ["connections", "connections?user=witness", "users/witness", "consumers/witness/default"]
            .contains(&path),
        "POST" => verb(["disable", "enable", "revoke"]) || path == "consumers/witness/default/reset?to=all",
        "DELETE" => {
            ["connections?user=witness", "connections/witness", "users/witness", "consumers/witness/default"]
                .contains(&path)
        }
        _ => false,
    }
}

/// The interface is there, and does what it is asked by whoever may: the witness is connected, and nothing was done to
/// them.
async fn administrate(scene: &Scene) {
    let token = token_of("ops", "root", &json!({ "scope": "tidings:admin" }));
    let ask = async |path: &str| -> serde_json::Value {
        let url = format!("{}/api/v1/{path}", scene.system.address());
        let request = reqwest::Client::new().get(url).bearer_auth(&token);
        let answer = tokio::time::timeout(BOUND, request.send()).await.expect("the gateway answers").unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        serde_json::from_str(answer.text().await.unwrap().trim()).unwrap()
    };
    let connection = ask("connections?user=witness").await;
    assert_eq!(connection["user"], "witness");
    let user = ask("users/witness").await;
    assert_eq!(
        (&user["disabled"], &user["revoked"], &user["connections"]),
        (&json!(null), &json!(null), &json!(1))
    );
    let device = connection["device"].as_str().unwrap();
    assert_eq!(ask(&format!("consumers/witness/{device}")).await["device"], device);
}

fn request(scene: &mut Scene) -> (Method, String) {
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let user = *scene.one_of(&[
        "witness",
        "..",
        "%2e%2e",
        "*",
        "%00",
        "a%2Fb",
        "%F0%9F%98%80",
        "x".repeat(600).leak(),
    ]);
    let path = match scene.random.u8(..7) {
        0 => "connections".to_owned(),
        1 => format!("connections?user={user}"),
        2 => format!("connections/{user}"),
        3 => format!("users/{user}"),
        4 => format!("users/{user}/{}", scene.one_of(&["disable", "enable", "revoke", "purge", "fly"])),
        5 => format!("consumers/{user}/default"),
        _ => format!("consumers/{user}/default/reset?to=all"),
    };
    (scene.one_of(&methods).clone(), path)
}
