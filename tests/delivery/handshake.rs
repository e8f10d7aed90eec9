//! Who gets in: tokens from every place that the contracts use, and the refusals, word for word.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harness::{BOUND, Client, Dial, Refusal, SECRET, Setup, System, token};
use reqwest::header::{AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use serde_json::{Value, json};

fn ada() -> String {
    signed(SECRET, json!({}))
}

/// Ada's token with some claims changed.
fn signed(secret: &str, changed: Value) -> String {
    let mut claims = json!({ "tenant": "ops", "sub": "ada" });
    if let (Value::Object(claims), Value::Object(changed)) = (&mut claims, changed) {
        claims.extend(changed);
    }
    token(secret, claims)
}

/// Seconds since 1970, so many from now.
fn seconds_from_now(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds
}

async fn check_is_ada(system: &System, dial: Dial) {
    let mut client = dial.open().await;
    client.expect_nothing_before_pong(BOUND).await;
    let data = json!({ "userId": "ada", "title": "hello", "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
    assert_eq!(client.next_json(BOUND).await["data"]["title"], "hello");
    client.close().await;
}

#[track_caller]
fn check(refusal: &Refusal, status: u16, code: &str, message: &str) {
    let body: Value = serde_json::from_str(&refusal.body).unwrap_or_else(|_| panic!("no JSON: {refusal:?}"));
    let kind = format!("urn:tidings:error:{code}");
    assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
    let expected =
        json!({ "type": kind, "title": body["title"], "status": status, "code": code, "detail": message });
    assert_eq!((refusal.status, body), (status, expected), "RFC 9457");
    assert_eq!(refusal.headers["content-type"], "application/problem+json");
    let challenge = refusal.headers.get("www-authenticate").map(|value| value.to_str().unwrap());
    assert_eq!(challenge, (status == 401).then_some("Bearer"), "RFC 9110, section 11.6.1");
}

#[tokio::test]
async fn tokens_come_from_every_documented_place() {
    let setup = Setup::default()
        .variable("TIDINGS_GATEWAY__ALLOWED_ORIGINS", "https://app.example,https://b.example");
    let mut system = setup.start().await;
    let ada = ada();
    let dial = || system.dial();
    check_is_ada(&system, dial().bearer(&ada)).await;
    check_is_ada(&system, dial().header(AUTHORIZATION, &format!("bearer {ada}"))).await;
    check_is_ada(&system, dial().query("token", &ada)).await;
    check_is_ada(&system, dial().query("Authorization", &ada)).await;
    check_is_ada(&system, dial().query("Authorization", &format!("Bearer {ada}"))).await;
    check_is_ada(&system, dial().cookie(&ada).origin("https://app.example")).await;
    check_is_ada(&system, dial().cookie(&ada).origin("https://b.example")).await;
    // A page that the same host serves.
    check_is_ada(&system, dial().cookie(&ada).origin(system.address())).await;
    // The same token twice is one token; one that is given on purpose wins over a cookie.
    check_is_ada(&system, dial().bearer(&ada).query("token", &ada)).await;
    let other = signed(SECRET, json!({ "sub": "bo" }));
    check_is_ada(&system, dial().query("token", &ada).cookie(&other).origin("https://app.example")).await;

    let refusal = dial().cookie(&ada).refused().await;
    let text = "a token in a cookie needs one Origin header of the form https://app.example, and with \
                `access.require_origin` every token does; programs other than browsers send the token in the \
                Authorization header";
    check(&refusal, 403, "ORIGIN_MISSING", text);
    for origin in ["https://evil.example", "http://app.example", "https://app.example.evil.example"] {
        let refusal = dial().cookie(&ada).origin(origin).refused().await;
        let text = format!(
            "pages of {origin} may not connect here; expected a page of this host, by https where the client speaks \
             TLS, or of `gateway.allowed_origins`"
        );
        check(&refusal, 403, "ORIGIN_FOREIGN", &text);
    }
    check(&dial().cookie(&ada).origin("null").refused().await, 403, "ORIGIN_MISSING", text);
    system.check_well();
}

#[tokio::test]
async fn whoever_has_no_good_token_is_refused() {
    let mut system = System::start().await;
    let refused = async |token: &str| system.dial().bearer(token).refused().await;
    let text = "no token was given; expected the header `Authorization: Bearer <token>`, the query parameter `token` \
                or `Authorization`, the cookie `session`, or the subprotocol `bearer.<token>`";
    check(&system.dial().refused().await, 401, "TOKEN_MISSING", text);
    let text = "the Authorization header is not of the form `Bearer <token>`";
    let basic = system.dial().header(AUTHORIZATION, "Basic YWRhOmFkYQ==");
    check(&basic.refused().await, 401, "TOKEN_SCHEME", text);
    let text = "the request has two different tokens; send one";
    let two = system.dial().bearer(&ada()).query("token", &signed(SECRET, json!({ "sub": "bo" })));
    check(&two.refused().await, 401, "TOKEN_AMBIGUOUS", text);
    let text = "the token's signature is wrong; get a token from the issuer that this service trusts";
    let foreign = signed("another-secret-of-32-or-more-bytes", json!({}));
    check(&refused(&foreign).await, 401, "TOKEN_SIGNATURE", text);
    let text = "the token expired at 1700000000 (seconds since 1970); get a new one";
    check(&refused(&signed(SECRET, json!({ "exp": 1_700_000_000 }))).await, 401, "TOKEN_EXPIRED", text);
    let text = "the token's `nbf` claim is 4000000000 (seconds since 1970), in the future; check the clocks";
    let early = signed(SECRET, json!({ "nbf": 4_000_000_000_u64, "exp": 4_100_000_000_u64 }));
    check(&refused(&early).await, 401, "TOKEN_NOT_YET_VALID", text);
    let text = "the token's `exp` claim is missing or no number of seconds since 1970";
    check(&refused(&signed(SECRET, json!({ "exp": null }))).await, 401, "TOKEN_TIME", text);

    let malformed = refused("not.a.token").await;
    assert_eq!(malformed.status, 401);
    assert!(
        malformed.body.contains(r#""code":"TOKEN_MALFORMED","detail":"the token is malformed; expected "#),
        "{}",
        malformed.body
    );
    // `{"alg":"none"}`
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", ada().split('.').nth(1).unwrap());
    let unsigned = refused(&unsigned).await;
    assert_eq!(unsigned.status, 401);
    assert!(unsigned.body.contains("TOKEN_"), "{}", unsigned.body);

    let text = "tenant \"nobody\" is not served here";
    check(&refused(&signed(SECRET, json!({ "tenant": "nobody" }))).await, 403, "TENANT_UNKNOWN", text);
    let text =
        "the token's `tenant` claim is not the name of a tenant: 1 to 32 characters of a-z, 0-9, _ and -";
    check(&refused(&signed(SECRET, json!({ "tenant": "Ops" }))).await, 403, "CLAIM_TENANT", text);
    check(&refused(&signed(SECRET, json!({ "tenant": null }))).await, 403, "CLAIM_TENANT", text);
    let text = "the token's `sub` claim is not a string that names the user";
    check(&refused(&signed(SECRET, json!({ "sub": "" }))).await, 403, "CLAIM_SUB", text);
    system.check_well();
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so() {
    let mut system = System::start().await;
    let dial = || system.dial().bearer(&ada());
    let text = "this is a WebSocket endpoint; send GET with `Connection: Upgrade` and `Upgrade: websocket`";
    for plain in [dial().header(UPGRADE, "h2c"), dial().header(CONNECTION, "keep-alive")] {
        let refusal = plain.refused().await;
        check(&refusal, 426, "UPGRADE_REQUIRED", text);
    }
    let refusal = dial().header(SEC_WEBSOCKET_VERSION, "8").refused().await;
    check(&refusal, 426, "WEBSOCKET_VERSION", "WebSocket version \"8\" is not supported, expected 13");
    assert_eq!(refusal.headers["sec-websocket-version"], "13", "RFC 6455, section 4.4");
    let text = "the header Sec-WebSocket-Key is missing or is not 16 bytes in base64";
    for key in ["", "short", "dGhlIHNhbXBsZSBub25jZQAA"] {
        check(&dial().header(SEC_WEBSOCKET_KEY, key).refused().await, 400, "WEBSOCKET_KEY", text);
    }
    let device = Dial::new(system.address()).bearer(&ada()).query("device", "\n").refused().await;
    check(&device, 400, "DEVICE_NAME", "the device \"\\n\" is not a name of 1 to 64 printable characters");

    let elsewhere = reqwest::get(format!("{}/nowhere", system.address())).await.unwrap();
    assert_eq!(elsewhere.status(), 404);
    let text = elsewhere.text().await.unwrap();
    assert!(text.contains("there is nothing here; WebSockets connect to /api/ws"), "{text}");
    for path in ["healthz", "readyz"] {
        assert_eq!(
            reqwest::get(format!("{}/{path}", system.address())).await.unwrap().status(),
            200,
            "{path}"
        );
    }
    system.check_well();
}

/// A connection whose token expires soon: so soon as this machine, as busy as it is, can manage.
async fn expiring(system: &System, after: u64) -> (Client, u64) {
    for lifetime in [4, 15, 60] {
        let expires = seconds_from_now(lifetime) + after;
        let token = signed(SECRET, json!({ "exp": expires }));
        match system.dial().bearer(&token).try_open().await {
            Ok(client) => return (client, expires),
            Err(refusal) => assert!(refusal.body.contains("TOKEN_EXPIRED"), "{refusal:?}"),
        }
    }
    panic!("a token of a minute expires before its handshake")
}

/// The bound for a token of [`expiring`] to expire.
const EXPIRY: Duration = Duration::from_secs(90);

#[tokio::test]
async fn a_connection_ends_with_its_token_unless_a_fresh_one_is_sent() {
    let setup =
        Setup::default().variable("TIDINGS_ACCESS__LEEWAY", "0s").variable("TIDINGS_GATEWAY__WORKERS", "1");
    let mut system = setup.start().await;
    let (mut renewed, expires) = expiring(&system, 0).await;
    renewed.send_json(&json!({ "action": "authenticate", "token": ada() })).await;
    renewed.expect_nothing_before_pong(BOUND).await;

    // Another user's token, a foreign one and none are refused, and change nothing.
    let errors = [
        (
            signed(SECRET, json!({ "sub": "bo" })),
            "FORBIDDEN",
            "the token belongs to another user; open another connection for it",
        ),
        (
            signed(SECRET, json!({ "tenant": "uploads" })),
            "FORBIDDEN",
            "the token belongs to another user; open another connection for it",
        ),
        (
            signed("another-secret-of-32-or-more-bytes", json!({})),
            "UNAUTHORIZED",
            "the token's signature is wrong; get a token from the issuer that this service trusts",
        ),
    ];
    for (token, code, message) in errors {
        renewed.send_json(&json!({ "action": "authenticate", "token": token, "id": "a1" })).await;
        let answer = renewed.next_json(BOUND).await;
        assert_eq!(answer["data"], json!({ "code": code, "message": message, "original_message_id": "a1" }));
    }

    // Its token outlives the first one of the other connection: when it has expired, so has that.
    let (mut later, later_expires) = expiring(&system, 1).await;
    assert!(later_expires > expires);
    assert_eq!(later.close_code(EXPIRY).await, Some(4001));
    renewed.expect_nothing_before_pong(BOUND).await;
    let data =
        json!({ "userId": "ada", "title": "still here", "message": "", "type": "info", "priority": "low" });
    system.publish("ops", "notification.created", &data).await;
    assert_eq!(renewed.next_json(BOUND).await["data"]["title"], "still here");
    system.check_well();
}
