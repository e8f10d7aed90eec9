//! Webhooks: what a receiver gets, and what follows from its answers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{Authority, BOUND, Launch, node_modules, python_packages};
use serde_json::json;
use tidings_channels::{Accepted, Channel, Failed, SigningKey, Target, Webhook, WebhookTarget};
use tidings_model::Content;
use tidings_runtime::config::WebhookConfig;

use crate::delivery;
use crate::receiver::{Received, Receiver, endless, nobody};

pub(crate) const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/channels");
const FORMER: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PRESENT: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const FOREIGN: &str = "whsec_plJ3nmyCDGBKInavdOK15jsl8mYuzDzd";

/// What may reach this machine.
pub(crate) fn config() -> WebhookConfig {
    WebhookConfig {
        allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
        allow_http: true,
        ..WebhookConfig::default()
    }
}

pub(crate) fn target(url: impl Into<String>) -> Target {
    let keys = [PRESENT, FORMER].map(|key| SigningKey::parse(key).unwrap());
    Target::Webhook(WebhookTarget { url: url.into(), keys: keys.into() })
}

fn hook(address: SocketAddr) -> Target {
    target(format!("http://{address}/hook?for=ops"))
}

/// The verifiers of Standard Webhooks, by their command and the variable with their modules.
struct Verifiers {
    python: PathBuf,
    node: PathBuf,
}

impl Verifiers {
    fn install() -> Self {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        Self {
            python: python_packages(&Path::new(SOURCE).join("webhooks_python"), target),
            node: node_modules(&Path::new(SOURCE).join("webhooks_node"), target),
        }
    }

    /// What each of them says of a request.
    async fn verdicts(&self, key: &str, request: &Received, body: &str) -> [String; 2] {
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers: serde_json::Map<_, _> =
            names.iter().map(|name| ((*name).to_owned(), request.header(name).into())).collect();
        let input = json!({ "key": key, "headers": headers, "body": body }).to_string();
        let run = async |command: &str, variable, modules| {
            let script = format!("exec {command}");
            let launch = Launch::shell(&script).folder(Path::new(SOURCE)).variable(variable, modules);
            launch.input(input.clone()).finish(BOUND).await.output
        };
        tokio::join!(
            run("python3 webhooks_python/verify.py", "PYTHONPATH", &self.python),
            run("node webhooks_node/verify.cjs", "NODE_PATH", &self.node),
        )
        .into()
    }
}

#[tokio::test]
async fn the_libraries_of_two_other_languages_accept_what_is_sent() {
    let verifiers = Verifiers::install();
    let receiver = Receiver::start().await;
    let webhook = Webhook::new(&config()).unwrap();
    let delivery = delivery(hook(receiver.address));
    assert_eq!(webhook.send(&delivery).await, Ok(Accepted { reference: None }));
    let request = receiver.one();
    assert_eq!((&*request.method, &*request.path), ("POST", "/hook?for=ops"));
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("webhook-id"), delivery.id.as_str());
    let expected = delivery.content.payload.as_ref().unwrap().to_string();
    assert_eq!(request.text(), expected);
    for key in [PRESENT, FORMER] {
        for verdict in verifiers.verdicts(key, &request, request.text()).await {
            let verified = verdict.trim().strip_prefix("verified ").unwrap_or_else(|| panic!("{verdict}"));
            let verified: serde_json::Value = serde_json::from_str(verified).unwrap();
            assert_eq!(Some(verified), delivery.content.payload);
        }
    }
    for (key, body) in [(FOREIGN, request.text()), (PRESENT, r#"{"type":"incident"}"#)] {
        for verdict in verifiers.verdicts(key, &request, body).await {
            assert!(verdict.starts_with("refused "), "{verdict}");
        }
    }

    // Another attempt is recognised as one.
    webhook.send(&delivery).await.unwrap();
    let again = receiver.one();
    assert_eq!((again.header("webhook-id"), again.text()), (request.header("webhook-id"), request.text()));
    assert_eq!(receiver.connections(), 1, "the connection is used again");
}

#[tokio::test]
async fn the_answer_decides_what_happens_next() {
    let receiver = Receiver::start().await;
    let elsewhere = Receiver::start().await;
    let webhook = Webhook::new(&config()).unwrap();
    let delivery = delivery(hook(receiver.address));
    let mut outcomes = Vec::new();
    let location = format!("http://{}/", elsewhere.address);
    let wait = [("retry-after", "120")];
    let redirect = [("location", location.as_str())];
    for (status, headers) in [
        (200, &[][..]),
        (202, &[]),
        (301, &redirect),
        (302, &redirect),
        (307, &redirect),
        (308, &redirect),
        (400, &[]),
        (401, &[]),
        (404, &[]),
        (410, &[]),
        (429, &wait),
        (500, &[]),
        (503, &wait),
    ] {
        receiver.answer(status, headers, "what the receiver says");
        let outcome = match webhook.send(&delivery).await {
            Ok(_) => "accepted".to_owned(),
            Err(Failed::Later { reason, retry_after: None }) => format!("later: {reason}"),
            Err(Failed::Later { retry_after: Some(wait), .. }) => format!("later, in {wait:?}"),
            Err(Failed::Gone { .. }) => "gone".to_owned(),
            Err(Failed::Never { reason }) => panic!("{reason}"),
        };
        outcomes.push(outcome);
    }
    let later = |answer| format!("later: the answer is {answer}, expected 2xx");
    let expected = [
        "accepted".to_owned(),
        "accepted".to_owned(),
        later("301 Moved Permanently"),
        later("302 Found"),
        later("307 Temporary Redirect"),
        later("308 Permanent Redirect"),
        later("400 Bad Request"),
        later("401 Unauthorized"),
        later("404 Not Found"),
        "gone".to_owned(),
        "later, in 120s".to_owned(),
        later("500 Internal Server Error"),
        "later, in 120s".to_owned(),
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(elsewhere.connections(), 0, "no redirect is followed");
}

#[tokio::test]
async fn a_receiver_holds_neither_time_nor_memory() {
    let webhook = Webhook::new(&WebhookConfig { timeout: Duration::from_millis(300), ..config() }).unwrap();
    let silent = endless(b"", b"").await;
    let endless_head =
        endless(b"HTTP/1.1 200 OK\r\n", b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n").await;
    let informs = endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n").await;
    let stranger = endless(b"220 mail.example ESMTP\r\n", b"").await;
    for address in [silent, endless_head, informs, stranger, nobody().await] {
        let outcome = webhook.send(&delivery(hook(address))).await;
        assert!(matches!(outcome, Err(Failed::Later { .. })), "{address} {outcome:?}");
    }
    // A receiver that has said 200 has accepted; nobody waits for the end of what it says.
    let endless_body =
        endless(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", b"aaaaaaaa").await;
    let stuck_body = endless(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\na", b"").await;
    for address in [endless_body, stuck_body] {
        assert_eq!(webhook.send(&delivery(hook(address))).await, Ok(Accepted { reference: None }));
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_not_attempted_again() {
    let receiver = Receiver::start().await;
    let address = receiver.address;
    let webhook = Webhook::new(&WebhookConfig { allow_http: false, ..config() }).unwrap();
    for url in [
        &*format!("http://{address}/"),
        &format!("https://ada:secret@{address}/"),
        "https://",
        "https:///secret",
        "/secret",
        "file:///etc/passwd",
        "gopher://127.0.0.1/secret",
        "",
    ] {
        let Err(Failed::Never { reason }) = webhook.send(&delivery(target(url))).await else {
            panic!("{url}")
        };
        assert!(reason.contains("expected https:// and a host") && !reason.contains("secret"), "{reason}");
    }
    let webhook = Webhook::new(&config()).unwrap();
    let mut unsigned =
        delivery(Target::Webhook(WebhookTarget { url: format!("http://{address}/"), keys: vec![] }));
    assert!(matches!(webhook.send(&unsigned).await, Err(Failed::Never { .. })));
    unsigned.target = hook(address);
    unsigned.content = Content::default();
    assert!(matches!(webhook.send(&unsigned).await, Err(Failed::Never { .. })));
    let elsewhere = delivery(Target::Email("ada@example.com".to_owned()));
    assert!(matches!(webhook.send(&elsewhere).await, Err(Failed::Never { .. })));
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_receiver_is_verified_by_its_certificate() {
    let authority = Authority::new();
    let receiver = Receiver::start_with_tls(&authority).await;
    let folder = tempfile::tempdir().unwrap();
    let known = folder.path().join("known.pem");
    let unknown = folder.path().join("unknown.pem");
    std::fs::write(&known, authority.certificate()).unwrap();
    std::fs::write(&unknown, Authority::new().certificate()).unwrap();
    let delivery = delivery(target(format!("https://{}/", receiver.address)));
    let with = |tls_ca| Webhook::new(&WebhookConfig { tls_ca: Some(tls_ca), ..config() }).unwrap();
    assert_eq!(with(known).send(&delivery).await, Ok(Accepted { reference: None }));
    assert_eq!(receiver.take().len(), 1);
    assert!(matches!(with(unknown).send(&delivery).await, Err(Failed::Later { .. })));
    assert_eq!(receiver.take().len(), 0);
}
