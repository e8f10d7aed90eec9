//! Web push: what a push service and a browser get, and what follows from the answers of the service.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use harness::{Authority, BOUND, Launch, node_modules};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidings_channels::{Channel, Delivery, Failed, Subscription, SubscriptionKeys, Target, Urgency, WebPush};
use tidings_runtime::config::{Secret, WebPushConfig};

use crate::delivery;
use crate::receiver::{Received, Receiver};
use crate::webhook::SOURCE;

/// The browser of RFC 8291's example.
const PRIVATE: &str = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94";
const PUBLIC: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";
/// The sender, with the key pair of the same example.
const VAPID: &str = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw";
const VAPID_PUBLIC: &str =
    "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";

/// A push service with a certificate, and the channel that trusts it.
struct Scene {
    service: Receiver,
    config: WebPushConfig,
    _folder: TempDir,
}

impl Scene {
    async fn start() -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca");
        std::fs::write(&ca, authority.certificate()).unwrap();
        let config = WebPushConfig {
            vapid_key: Some(Secret::new(VAPID.as_bytes())),
            contact: Some("mailto:ops@acme.example".to_owned()),
            allowed_networks: vec!["127.0.0.1/32".parse().unwrap()],
            tls_ca: Some(ca),
            timeout: BOUND,
            ..WebPushConfig::default()
        };
        Self { service: Receiver::start_with_tls(&authority).await, config, _folder: folder }
    }

    fn push(&self) -> Delivery {
        let endpoint = format!("https://{}/push/ada?device=1", self.service.address);
        let keys = SubscriptionKeys { p256dh: PUBLIC.to_owned(), auth: AUTH.to_owned() };
        delivery(Target::WebPush(Subscription { endpoint, keys }))
    }
}

/// What the browser and its push service make of a request.
async fn opened(request: &Received) -> Value {
    let modules = node_modules(&Path::new(SOURCE).join("push_node"), Path::new(env!("CARGO_TARGET_TMPDIR")));
    let input = json!({
        "private": PRIVATE,
        "auth": AUTH,
        "body": BASE64_URL_SAFE_NO_PAD.encode(&request.body),
        "authorization": request.header("authorization"),
    });
    let script = format!("exec node '{SOURCE}/push_node/open.cjs'");
    let launch = Launch::shell(&script).variable("NODE_PATH", modules).input(input.to_string());
    let output = launch.finish(BOUND).await.succeeded();
    serde_json::from_str(&output).unwrap()
}

#[tokio::test]
async fn a_browser_reads_what_its_push_service_cannot() {
    let scene = Scene::start().await;
    let channel = WebPush::new(&scene.config).unwrap();
    assert_eq!(channel.public_key(), VAPID_PUBLIC);
    let mut push = scene.push();
    push.collapse = Some("progress of document 4711 – ä".to_owned());
    scene.service.answer(201, &[("location", "/message/4711")], "");
    let accepted = channel.send(&push).await.unwrap();
    assert_eq!(accepted.reference.as_deref(), Some("/message/4711"));
    let request = scene.service.one();
    assert_eq!((&*request.method, &*request.path), ("POST", "/push/ada?device=1"));
    for (name, value) in [("ttl", "3600"), ("urgency", "high"), ("content-encoding", "aes128gcm")] {
        assert_eq!(request.header(name), value, "{name}");
    }
    let topic = request.header("topic").to_owned();
    assert!(
        topic.len() == 32 && topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    );
    let found = opened(&request).await;
    assert_eq!(found["text"], push.content.payload.as_ref().unwrap().to_string());
    assert_eq!((&found["verified"], &found["key"]), (&json!(true), &json!(VAPID_PUBLIC)));
    assert_eq!(found["header"], json!({ "typ": "JWT", "alg": "ES256" }));
    let claims = &found["claims"];
    assert_eq!(claims["aud"], format!("https://{}", scene.service.address));
    assert_eq!(claims["sub"], "mailto:ops@acme.example");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let rest = claims["exp"].as_u64().unwrap() - now;
    assert!(rest > 0 && rest <= 24 * 60 * 60, "RFC 8292, section 2: {rest}");

    // What replaces nothing has no topic; what is never delivered later, no time to live.
    push.collapse = None;
    push.content.payload = None;
    push.urgency = Urgency::VeryLow;
    push.time_to_live = Duration::ZERO;
    channel.send(&push).await.unwrap();
    let request = scene.service.one();
    assert_eq!((request.header("ttl"), request.header("urgency")), ("0", "very-low"));
    assert!(!request.headers.contains_key("topic"));
    let text = json!({ "subject": push.content.subject, "text": push.content.text });
    assert_eq!(opened(&request).await["text"], text.to_string());
}

#[tokio::test]
async fn the_answer_of_the_push_service_decides_what_happens_next() {
    let scene = Scene::start().await;
    let channel = WebPush::new(&scene.config).unwrap();
    let elsewhere = Receiver::start().await;
    let location = format!("http://{}/", elsewhere.address);
    for (status, expected) in [
        (201, "accepted"),
        (202, "accepted"),
        (307, "later"),
        (400, "never"),
        (403, "never"),
        (404, "gone"),
        (410, "gone"),
        (413, "never"),
        (429, "later, in 30s"),
        (500, "later"),
        (503, "later, in 30s"),
    ] {
        let wait = [("retry-after", "30"), ("location", location.as_str())];
        let headers = if expected.ends_with("30s") { &wait[..] } else { &wait[1..] };
        scene.service.answer(status, headers, "");
        let outcome = match channel.send(&scene.push()).await {
            Ok(_) => "accepted".to_owned(),
            Err(Failed::Later { retry_after: None, .. }) => "later".to_owned(),
            Err(Failed::Later { retry_after: Some(wait), .. }) => format!("later, in {wait:?}"),
            Err(Failed::Never { .. }) => "never".to_owned(),
            Err(Failed::Gone { .. }) => "gone".to_owned(),
        };
        assert_eq!(outcome, expected, "{status}");
    }
    assert_eq!(elsewhere.connections(), 0);
    scene.service.take();

    // What no push service takes is not sent at all; nor is a subscription a way into the operator's network.
    let mut large = scene.push();
    large.content.payload = Some("x".repeat(4_000).into());
    assert!(matches!(channel.send(&large).await, Err(Failed::Never { .. })));
    let closed = WebPushConfig { allowed_networks: Vec::new(), ..scene.config.clone() };
    let outcome = WebPush::new(&closed).unwrap().send(&scene.push()).await;
    let Err(Failed::Never { reason }) = outcome else { panic!("{outcome:?}") };
    assert!(!reason.contains("/push/ada"), "{reason}");
    assert_eq!(scene.service.take().len(), 0);
}
