//! Who may come in, end to end: a gateway that believes several issuers, one of which publishes its keys over HTTP.

#![expect(clippy::unwrap_used, reason = "helpers fail a test by panicking")]

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{
    Answer, Authority, BOUND, Client, Dial, KeyServer, SECRET, Setup, SigningKey, System, eventually, token,
};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::http::HeaderName;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;

/// A gateway with three issuers: `keycloak` for ops by its key set, `cognito` for shelter by a key file, and `backend` for
/// ops and shelter by a secret.
struct Bench {
    system: System,
    keycloak: KeyServer,
    key: SigningKey,
    cognito: SigningKey,
    // The file that the configuration names is read at the start only.
    _folder: TempDir,
}

const CONFIG: &str = r#"
[access]
sources = ["header", "subprotocol"]
jwks_max_age = "1h"
jwks_cooldown = "COOLDOWN"
jwks_grace = "1h"
jwks_timeout = "2s"

[[access.issuers]]
issuer = "https://auth.example/realms/ops"
algorithms = ["RS256", "ES256"]
audience = "tidings"
tenants = ["ops"]
jwks_url = "JWKS"

[[access.issuers]]
issuer = "https://cognito.example/pool"
algorithms = ["RS256"]
audience = "app"
audience_claim = "client_id"
tenants = ["shelter"]
tenant_claim = "custom:tenant"
key_files = ["PEM"]

[[access.issuers]]
issuer = "backend"
algorithms = ["HS256"]
tenants = ["ops", "shelter"]
hs256_secret = "SECRET"
"#;

impl Bench {
    async fn start(cooldown: &str, answer: Option<Answer>) -> Self {
        let key = SigningKey::new("k1", Algorithm::RS256);
        let keycloak = KeyServer::start(&[&key]).await;
        if let Some(answer) = answer {
            keycloak.answer(answer);
        }
        Self::start_with(cooldown, keycloak, key, None).await
    }

    /// With this certificate as the only one that is trusted.
    async fn start_with(cooldown: &str, keycloak: KeyServer, key: SigningKey, trusted: Option<&str>) -> Self {
        let cognito = SigningKey::new("c1", Algorithm::RS256);
        let folder = tempfile::tempdir().unwrap();
        let pem = write(folder.path(), "cognito.pem", &cognito.public_pem());
        let config = CONFIG
            .replace("JWKS", keycloak.url())
            .replace("PEM", &pem)
            .replace("SECRET", SECRET)
            .replace("COOLDOWN", cooldown);
        let config = write(folder.path(), "access.toml", &config);
        let mut setup =
            Setup::default().variable("TIDINGS_CONFIG", &config).variable("TIDINGS_ACCESS__HS256_SECRET", "");
        if let Some(trusted) = trusted {
            setup = setup.variable("SSL_CERT_FILE", &write(folder.path(), "ca.pem", trusted));
        }
        Self { system: setup.start().await, keycloak, key, cognito, _folder: folder }
    }

    fn bearer(&self, token: &str) -> Dial {
        self.system.dial().bearer(token)
    }

    async fn open(&self, token: &str) -> Client {
        let mut client = self.bearer(token).open().await;
        client.expect_nothing_before_pong(BOUND).await;
        client
    }

    async fn refused(&self, token: &str, status: u16, code: &str) {
        let refusal = self.bearer(token).refused().await;
        assert_eq!(refusal.status, status, "{}", refusal.body);
        assert!(refusal.body.contains(&format!("{code:?}")), "{}", refusal.body);
    }

    /// No part of a token that is a secret is in what the processes have written.
    fn check_silent(&mut self, tokens: &[&str]) {
        self.system.check_well();
        let written = self.system.gateway.output() + &self.system.projector.output();
        for token in tokens {
            for part in token.split('.').filter(|part| part.len() > 8) {
                assert!(!written.contains(part), "{written}");
            }
        }
    }
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn ops() -> Value {
    json!({"iss": "https://auth.example/realms/ops", "aud": ["tidings", "account"], "sub": "ada", "tenant": "ops"})
}

fn shelter() -> Value {
    json!({"iss": "https://cognito.example/pool", "client_id": "app", "sub": "bob", "custom:tenant": "shelter"})
}

fn with(mut claims: Value, name: &str, value: &str) -> Value {
    claims[name] = json!(value);
    claims
}

#[tokio::test]
async fn each_issuer_opens_its_own_tenants_and_no_other() {
    let mut bench = Bench::start("1h", None).await;
    bench.open(&bench.key.token(ops())).await;
    bench.open(&bench.cognito.token(shelter())).await;
    for tenant in ["ops", "shelter"] {
        bench.open(&token(SECRET, json!({"iss": "backend", "sub": "eve", "tenant": tenant}))).await;
    }

    let swapped = bench.key.token(with(ops(), "tenant", "shelter"));
    bench.refused(&swapped, 403, "TENANT_FOREIGN").await;
    bench.refused(&bench.cognito.token(with(shelter(), "custom:tenant", "ops")), 403, "TENANT_FOREIGN").await;
    bench.refused(&bench.cognito.token(ops()), 401, "TOKEN_KEY").await;
    bench.refused(&bench.key.token(shelter()), 401, "TOKEN_SIGNATURE").await;
    bench.refused(&token(SECRET, ops()), 401, "TOKEN_ALGORITHM").await;
    bench.refused(&token(&bench.cognito.public_pem(), shelter()), 401, "TOKEN_ALGORITHM").await;
    bench.refused(&bench.key.token(with(ops(), "iss", "somebody")), 401, "TOKEN_ISSUER").await;
    bench.refused(&bench.key.token(with(ops(), "aud", "another")), 401, "TOKEN_AUDIENCE").await;
    bench.refused(&bench.cognito.token(with(shelter(), "client_id", "another")), 401, "TOKEN_AUDIENCE").await;
    bench.refused(&bench.key.token(with(ops(), "tenant", "cnc")), 403, "TENANT_FOREIGN").await;
    bench.check_silent(&[&swapped]);
}

#[tokio::test]
async fn keys_are_rotated_while_it_runs() {
    let mut bench = Bench::start("1h", None).await;
    let old = bench.key.token(ops());
    let mut client = bench.open(&old).await;
    let fetches = bench.keycloak.fetches();

    let new = SigningKey::new("k2", Algorithm::ES256);
    bench.keycloak.publish(&[&new]);
    let fresh = new.token(ops());
    // The first to come with the new key is a live connection; it waits for the key, and nothing else does.
    client.send_json(&json!({"action": "authenticate", "token": fresh, "id": "a1"})).await;
    eventually("the new key is asked for", BOUND, async || match bench.keycloak.fetches() {
        now if now > fetches => Ok(()),
        now => Err(now),
    })
    .await;
    bench.open(&fresh).await;
    bench.open(&old).await;
    client.expect_nothing_before_pong(BOUND).await;
    assert_eq!(bench.keycloak.fetches(), fetches + 1);

    for number in 0..20 {
        let forged = SigningKey::new(&format!("x{number}"), Algorithm::ES256).token(ops());
        bench.refused(&forged, 401, "TOKEN_KEY").await;
    }
    assert_eq!(bench.keycloak.fetches(), fetches + 1, "identifiers are invented in vain");
    bench.check_silent(&[&old, &fresh]);
}

#[tokio::test]
async fn a_live_connection_is_told_when_its_fresh_token_is_refused() {
    let bench = Bench::start("1h", None).await;
    let mut client = bench.open(&bench.key.token(ops())).await;
    let forged = SigningKey::new("unknown", Algorithm::ES256).token(ops());
    client.send_json(&json!({"action": "authenticate", "token": forged, "id": "a1"})).await;
    let answer = client.next_json(BOUND).await;
    assert_eq!(
        (&answer["type"], &answer["data"]["code"]),
        (&json!("error"), &json!("UNAUTHORIZED")),
        "{answer}"
    );
    client.expect_nothing_before_pong(BOUND).await;
}

#[tokio::test]
async fn an_issuer_that_is_down_keeps_nobody_else_out() {
    let mut bench = Bench::start("50ms", Some(Answer::Hangup)).await;
    let token_of_ops = bench.key.token(ops());
    let refusal = bench.bearer(&token_of_ops).refused().await;
    assert_eq!(refusal.status, 503, "{}", refusal.body);
    assert!(refusal.body.contains("\"KEYS_UNAVAILABLE\""), "{}", refusal.body);
    assert_eq!(refusal.headers["retry-after"], "1");
    bench.open(&bench.cognito.token(shelter())).await;

    let attempts = bench.keycloak.fetches();
    eventually("it is tried again and again", BOUND, async || match bench.keycloak.fetches() {
        now if now > attempts + 3 => Ok(()),
        now => Err(now),
    })
    .await;
    let complaints = bench.system.gateway.output().matches("keys cannot be fetched").count();
    assert_eq!(complaints, 1, "{}", bench.system.gateway.output());

    bench.keycloak.publish(&[&bench.key]);
    bench.system.gateway.line("keys were fetched", BOUND).await;
    bench.open(&token_of_ops).await;
    bench.check_silent(&[&token_of_ops]);
}

#[tokio::test]
async fn keys_come_over_https_from_whom_a_trusted_authority_vouches_for() {
    let (ours, another) = (Authority::new(), Authority::new());
    let key = SigningKey::new("k1", Algorithm::RS256);
    let token_of_ops = key.token(ops());
    let keycloak = KeyServer::start_tls(&[&key], &ours).await;
    let mut bench = Bench::start_with("1h", keycloak, key.clone(), Some(ours.certificate())).await;
    bench.open(&token_of_ops).await;
    assert_eq!(bench.keycloak.fetches(), 1);
    bench.check_silent(&[&token_of_ops]);

    let impostor = KeyServer::start_tls(&[&key], &another).await;
    let bench = Bench::start_with("1h", impostor, key, Some(ours.certificate())).await;
    let refusal = bench.bearer(&token_of_ops).refused().await;
    assert_eq!(refusal.status, 503, "{}", refusal.body);
    assert!(refusal.body.contains("\"KEYS_UNAVAILABLE\""), "{}", refusal.body);
    assert_eq!(bench.keycloak.fetches(), 0, "nothing is asked of an impostor");
    let said = bench.system.gateway.output();
    assert!(said.contains("invalid peer certificate"), "{said}");
}

#[tokio::test]
async fn tokens_are_taken_from_the_chosen_places_alone() {
    let bench = Bench::start("1h", None).await;
    let token = bench.key.token(ops());
    let offered = format!("tidings.v1, bearer.{token}");
    let mut client = bench.system.dial().subprotocol(&offered).open().await;
    assert_eq!(client.subprotocol(), Some("tidings.v1"), "the token is not answered with");
    client.next_json(BOUND).await;

    let address = bench.system.address();
    let places = [
        Dial::new(address).query("token", &token),
        Dial::new(address).cookie(&token).origin(address),
        Dial::new(address).subprotocol(&format!("basic.{token}")),
    ];
    for place in places {
        let refusal = place.refused().await;
        assert_eq!(refusal.status, 401, "{}", refusal.body);
        assert!(refusal.body.contains("TOKEN_MISSING") && !refusal.body.contains(&token), "{}", refusal.body);
    }
}

/// A system with one secret and this file.
async fn with_secret(file: &str, variables: &[(&str, &str)]) -> System {
    let setup = variables.iter().fold(Setup::default(), |setup, (name, value)| setup.variable(name, value));
    setup.file(file).start().await
}

/// The login token of the incident-command application names its user `userId` and no tenant.
#[tokio::test]
async fn an_applications_own_tokens_open_what_the_configuration_says() {
    let variables = [("TIDINGS_ACCESS__USER_CLAIM", "userId"), ("TIDINGS_ACCESS__TENANT", "ops")];
    let system = with_secret("", &variables).await;
    let mut ada = system.open(json!({ "userId": "ada" })).await;
    let notice = json!({ "id": "n", "title": "t", "message": "m", "type": "info", "priority": "low", "userId": "ada" });
    system.publish("ops", "notification.created", &notice).await;
    let told = ada.next_json(BOUND).await;
    assert_eq!(told["data"]["id"], "n", "{told}");
    check_refused(system.dial().bearer(&token(SECRET, json!({ "sub": "ada" }))), 403, "CLAIM_SUB").await;
    let own = system.command(&["token", "--tenant", "ops", "--sub", "bo"]).finish(BOUND).await.succeeded();
    system.dial().bearer(own.trim_end()).open().await.expect_nothing_before_pong(BOUND).await;
}

async fn check_refused(dial: Dial, status: u16, code: &str) {
    let refusal = dial.refused().await;
    assert_eq!(refusal.status, status, "{}", refusal.body);
    assert!(refusal.body.contains(&format!("{code:?}")), "{}", refusal.body);
}

#[tokio::test]
async fn a_secret_is_replaced_while_its_tokens_are_still_good() {
    const NEW: &str = "another-secret-for-tests-of-32-bytes";
    let claims = json!({"sub": "ada", "tenant": "ops"});
    let system = with_secret(
        "[access]\nmax_lifetime = \"2h\"\n",
        &[("TIDINGS_ACCESS__HS256_SECRET", NEW), ("TIDINGS_ACCESS__HS256_PREVIOUS_SECRET", SECRET)],
    )
    .await;
    for secret in [SECRET, NEW] {
        let mut client = system.dial().bearer(&token(secret, claims.clone())).open().await;
        client.expect_nothing_before_pong(BOUND).await;
    }
    let forged = token("a-secret-that-nobody-has-configured!", claims.clone());
    check_refused(system.dial().bearer(&forged), 401, "TOKEN_SIGNATURE").await;
    let lasting = token(NEW, with_number(claims.clone(), "exp", 253_402_300_799));
    check_refused(system.dial().bearer(&lasting), 401, "TOKEN_LIFETIME").await;
    let future = token(NEW, with_number(claims, "iat", 4_000_000_000));
    check_refused(system.dial().bearer(&future), 401, "TOKEN_NOT_YET_VALID").await;
}

fn with_number(mut claims: Value, name: &str, number: u64) -> Value {
    claims[name] = json!(number);
    claims
}

/// Nine levels of text in text, each as deep as a parser goes: less than 8 KiB, and more than a stack holds.
#[tokio::test]
async fn a_token_that_nobody_has_signed_ends_nothing() {
    let mut system = with_secret("", &[]).await;
    for name in ["$serde_json::private::RawValue", "a"] {
        let nested = (0..9).fold("[]".to_owned(), |inner, _| {
            format!("{}{{\"{name}\":{}}}{}", "[".repeat(110), Value::from(inner), "]".repeat(110))
        });
        let claims = format!("{{\"a\":{nested}}}");
        let [header, claims] = [r#"{"alg":"HS256"}"#, &claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        let refusal = system.dial().bearer(&format!("{header}.{claims}.x")).refused().await;
        assert_eq!(refusal.status, 401, "{}", refusal.body);
    }
    let good = token(SECRET, json!({"sub": "ada", "tenant": "ops"}));
    system.dial().bearer(&good).open().await.expect_nothing_before_pong(BOUND).await;
    system.check_well();
}

#[tokio::test]
async fn a_page_is_of_this_host_by_the_scheme_that_its_client_speaks() {
    const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    let token = token(SECRET, json!({"sub": "ada", "tenant": "ops"}));
    let proxied = with_secret(
        "[gateway]\ntrusted_proxies = [\"127.0.0.1\"]\nallowed_origins = [\"capacitor://localhost\"]\n\
         [access]\nrequire_origin = true\n",
        &[],
    )
    .await;
    let host = proxied.address().strip_prefix("http://").unwrap().to_owned();
    let (plain, secure) = (format!("http://{host}"), format!("https://{host}"));
    let dial = |origin: &str| proxied.dial().cookie(&token).origin(origin);
    // The proxy ends TLS, or does not say whether it does.
    check_refused(dial(&plain), 403, "ORIGIN_FOREIGN").await;
    check_refused(dial(&plain).header(PROTO, "https"), 403, "ORIGIN_FOREIGN").await;
    dial(&plain).header(PROTO, "http").open().await;
    dial(&secure).header(PROTO, "https").open().await;
    dial("capacitor://localhost").open().await;
    // Also where no cookie is.
    check_refused(proxied.dial().bearer(&token), 403, "ORIGIN_MISSING").await;
    check_refused(proxied.dial().bearer(&token).origin("null"), 403, "ORIGIN_MISSING").await;
    check_refused(proxied.dial().bearer(&token).origin("https://evil.example"), 403, "ORIGIN_FOREIGN").await;
    proxied.dial().bearer(&token).origin(&secure).open().await;

    // Who comes directly and speaks no TLS has a page of HTTP; a staging host's password hides no token.
    let direct = with_secret("", &[]).await;
    let own = direct.address().to_owned();
    direct.dial().cookie(&token).origin(&own).header(PROTO, "https").open().await;
    let basic = direct.dial().query("token", &token);
    basic.header(AUTHORIZATION, "Basic c3RhZ2U6c2VjcmV0").open().await;
}

#[tokio::test]
async fn a_key_that_is_left_out_is_named_once_with_the_reason() {
    let mut bench = Bench::start("1h", None).await;
    let encrypting = SigningKey::new("enc-1", Algorithm::RS256);
    let mut jwk = encrypting.jwk();
    jwk["use"] = json!("enc");
    jwk["alg"] = json!("RSA-OAEP");
    bench.keycloak.answer(Answer::Body(json!({"keys": [jwk, bench.key.jwk()]}).to_string()));
    // An unknown key is asked for, and the set with it.
    bench.refused(&SigningKey::new("other", Algorithm::RS256).token(ops()), 401, "TOKEN_KEY").await;
    let line = bench.system.gateway.line("left out", BOUND).await;
    assert!(line.contains("enc-1") && line.contains("another use than signatures"), "{line}");
    let refusal = bench.bearer(&encrypting.token(ops())).refused().await;
    assert!(refusal.body.contains("cannot use"), "{}", refusal.body);
    bench.open(&bench.key.token(ops())).await;
    let said = bench.system.gateway.output();
    assert_eq!(said.matches("left out").count(), 1, "{said}");
}
