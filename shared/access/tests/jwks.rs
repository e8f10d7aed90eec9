//! Keys that an issuer publishes over HTTP: rotated in mid-run, slow, broken, gone, and asked for too often.
//!
//! The rules of time are checked with a clock of their own beside the code; here the way of a key is.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use harness::{Answer, BOUND, KeyServer, SigningKey, eventually};
use http::StatusCode;
use jsonwebtoken::{Algorithm as Signature, Header};
use serde_json::{Value, json};
use tidings_access::{
    Algorithm, Claims, HttpKeySource, Issuer, Keys, Policy, RefreshSettings, Refusal, RemoteKeys, Tenancy,
    Token, Verifier,
};
use tokio_util::sync::CancellationToken;

/// Far away, so that a test sees only the fetches that it causes.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

const SETTINGS: RefreshSettings =
    RefreshSettings { max_age: NEVER, cooldown: NEVER, grace: NEVER, patience: BOUND };

struct Bench {
    verifier: Verifier,
    cancelled: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.cancelled.cancel();
    }
}

impl Bench {
    fn start(url: &str, settings: RefreshSettings, timeout: Duration) -> Self {
        let source = HttpKeySource::new(url.parse().unwrap(), timeout).unwrap();
        let issuer = Issuer {
            name: Some("https://id.example".to_owned()),
            audience: None,
            algorithms: vec![Algorithm::Rs256, Algorithm::Es256],
            user_claim: "sub".to_owned(),
            tenancy: Tenancy::Claimed { claim: "tenant".to_owned(), allowed: None },
            keys: Keys::Remote(RemoteKeys::new(source, settings)),
        };
        let verifier = Verifier::new(vec![issuer], Policy { leeway: Duration::ZERO, ..Policy::default() });
        let cancelled = CancellationToken::new();
        tokio::spawn(verifier.clone().keep_keys(cancelled.clone()));
        Self { verifier, cancelled }
    }

    async fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        self.verifier.verify(&Token::parse(token).unwrap(), SystemTime::now).await
    }

    fn verify_known(&self, token: &str) -> Result<Claims, Refusal> {
        self.verifier.verify_known(&Token::parse(token).unwrap(), SystemTime::now())
    }
}

fn claims() -> Value {
    json!({"iss": "https://id.example", "sub": "ada", "tenant": "ops"})
}

#[track_caller]
fn refuses(result: Result<Claims, Refusal>, code: &str) {
    let refusal = result.expect_err("the token was believed");
    assert_eq!(refusal.code(), code, "{refusal}");
}

fn key(id: &str) -> SigningKey {
    SigningKey::new(id, Signature::ES256)
}

#[tokio::test]
async fn published_keys_of_several_kinds_are_believed() {
    let (rsa, ec) = (SigningKey::new("k1", Signature::RS256), key("k2"));
    let server = KeyServer::start(&[&rsa, &ec]).await;
    let bench = Bench::start(server.url(), SETTINGS, BOUND);
    for key in [&rsa, &ec] {
        assert_eq!(bench.verify(&key.token(claims())).await.unwrap().subject, "ada");
        assert!(bench.verify_known(&key.token(claims())).is_ok(), "what is known needs no waiting");
    }
    assert_eq!(server.fetches(), 1);
}

#[tokio::test]
async fn a_new_key_is_believed_at_once_and_the_old_one_until_its_grace_ends() {
    let (old, new) = (key("old"), key("new"));
    let server = KeyServer::start(&[&old]).await;
    let settings = RefreshSettings { grace: Duration::from_millis(300), ..SETTINGS };
    let bench = Bench::start(server.url(), settings, BOUND);
    assert!(bench.verify(&old.token(claims())).await.is_ok());
    refuses(bench.verify_known(&new.token(claims())), "TOKEN_KEY");

    server.publish(&[&new]);
    assert!(bench.verify(&new.token(claims())).await.is_ok());
    assert_eq!(server.fetches(), 2);
    eventually("the old key is refused", BOUND, async || match bench.verify_known(&old.token(claims())) {
        Ok(_) => Err("still believed"),
        Err(refusal) => {
            assert_eq!(refusal.code(), "TOKEN_KEY");
            Ok(())
        }
    })
    .await;
    assert!(bench.verify(&new.token(claims())).await.is_ok());
}

#[tokio::test]
async fn old_keys_are_believed_during_their_grace() {
    let (old, new) = (key("old"), key("new"));
    let server = KeyServer::start(&[&old]).await;
    let bench = Bench::start(server.url(), SETTINGS, BOUND);
    assert!(bench.verify(&old.token(claims())).await.is_ok());
    server.publish(&[&new]);
    assert!(bench.verify(&new.token(claims())).await.is_ok());
    assert!(bench.verify_known(&old.token(claims())).is_ok());
}

#[tokio::test]
async fn another_key_under_the_same_identifier_is_no_way_in() {
    let (ours, theirs) = (key("k1"), key("k1"));
    let server = KeyServer::start(&[&ours]).await;
    let bench = Bench::start(server.url(), SETTINGS, BOUND);
    assert!(bench.verify(&ours.token(claims())).await.is_ok());
    refuses(bench.verify(&theirs.token(claims())).await, "TOKEN_SIGNATURE");
    assert_eq!(server.fetches(), 1, "a wrong signature makes nobody fetch");
}

#[tokio::test]
async fn invented_identifiers_make_it_fetch_once_per_cooldown() {
    let good = key("good");
    let server = KeyServer::start(&[&good]).await;
    let bench = Bench::start(server.url(), SETTINGS, BOUND);
    assert!(bench.verify(&good.token(claims())).await.is_ok());
    let forger = key("forged");
    let flood = (0..500).map(|number| {
        let header = Header { kid: Some(format!("k{number}")), ..Header::new(Signature::ES256) };
        forger.token_with(&header, claims())
    });
    let tokens: Vec<_> = flood.collect();
    for refused in join_all(tokens.iter().map(|token| bench.verify(token))).await {
        refuses(refused, "TOKEN_KEY");
    }
    assert_eq!(server.fetches(), 2);
    assert!(bench.verify(&good.token(claims())).await.is_ok());
}

#[tokio::test]
async fn what_is_refused_anyway_makes_nobody_fetch() {
    let good = key("good");
    let server = KeyServer::start(&[&good]).await;
    let bench = Bench::start(server.url(), SETTINGS, BOUND);
    assert!(bench.verify(&good.token(claims())).await.is_ok());
    let stranger = SigningKey::new("other", Signature::ES384);
    refuses(bench.verify(&stranger.token(claims())).await, "TOKEN_ALGORITHM");
    refuses(bench.verify(&key("other").token(json!({"iss": "else", "sub": "ada"}))).await, "TOKEN_ISSUER");
    refuses(bench.verify("a.b.c").await, "TOKEN_MALFORMED");
    assert_eq!(server.fetches(), 1);
}

/// However the issuer fails at the start, its tokens are refused as something that passes, and believed afterwards.
#[tokio::test]
async fn an_issuer_that_fails_at_the_start_is_unavailable_until_it_works() {
    let good = key("good");
    let moved = Answer::Status(302, Some("http://127.0.0.1:9/".to_owned()));
    let huge = Answer::Body(format!("{{\"keys\":[{}]}}", " ".repeat(300_000)));
    let failures = [
        Answer::Hangup,
        Answer::Silence,
        Answer::Endless,
        Answer::Status(500, None),
        Answer::Status(404, None),
        moved,
        huge,
        Answer::Body(String::new()),
        Answer::Body("<html>sign in</html>".to_owned()),
        Answer::Body("{\"keys\":[]}".to_owned()),
    ];
    for failure in failures {
        let server = KeyServer::start(&[]).await;
        server.answer(failure.clone());
        let settings = RefreshSettings { cooldown: Duration::from_millis(50), ..SETTINGS };
        let bench = Bench::start(server.url(), settings, Duration::from_millis(200));
        let refusal = bench.verify(&good.token(claims())).await.expect_err("there are no keys");
        assert_eq!((refusal.code(), refusal.status()), ("KEYS_UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE));
        server.publish(&[&good]);
        eventually("the token is believed", BOUND, async || bench.verify(&good.token(claims())).await).await;
    }
}

#[tokio::test]
async fn an_issuer_that_fails_later_locks_nobody_out() {
    let good = key("good");
    for failure in
        [Answer::Hangup, Answer::Silence, Answer::Endless, Answer::Body("{\"keys\":[]}".to_owned())]
    {
        let server = KeyServer::start(&[&good]).await;
        let often = Duration::from_millis(20);
        let settings = RefreshSettings { max_age: often, cooldown: often, grace: often, patience: BOUND };
        let bench = Bench::start(server.url(), settings, Duration::from_millis(50));
        assert!(bench.verify(&good.token(claims())).await.is_ok());
        server.answer(failure);
        let before = server.fetches();
        eventually("several fetches have failed", BOUND, async || {
            assert!(bench.verify_known(&good.token(claims())).is_ok());
            let fetches = server.fetches();
            if fetches > before + 4 { Ok(()) } else { Err(fetches) }
        })
        .await;
        assert!(bench.verify(&good.token(claims())).await.is_ok());
        refuses(bench.verify(&key("other").token(claims())).await, "TOKEN_KEY");
    }
}

#[tokio::test]
async fn nobody_is_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let bench = Bench::start(&url, SETTINGS, BOUND);
    refuses(bench.verify(&key("k1").token(claims())).await, "KEYS_UNAVAILABLE");
}
