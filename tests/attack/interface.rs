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
        let mut request = reqwest::Client::new().request(method.clone(), url).body(scene.json(3).to_string());
        if let Some(token) = &token {
            request = request.bearer_auth(token);
        }
        let answer = tokio::time::timeout(BOUND, request.send()).await.expect("the gateway answers").unwrap();
        let status = answer.status().as_u16();
        outcome.count((!(400..500).contains(&status)).then(|| format!("{method} {path}: {status}")));
    }
    scene.check().await;
    outcome
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
