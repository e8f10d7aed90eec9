//! What an attacker would try on a verifier: each kind of forgery in all the forms that are known of it, against issuers
//! with every kind of key. All of them are refused, and how many there were is said.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod own;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use harness::SigningKey;
use jsonwebtoken::{Algorithm as Signature, EncodingKey};
use serde_json::{Value, json};
use tidings_access::{
    Algorithm, Audience, Issuer, Keys, Policy, SigningSecret, Tenancy, Token, Verifier, VerifyingKey,
};
use tidings_model::Tenant;

use crate::own::{altered, other_issuers, own_claims, own_headers, spellings};

const NOW: u64 = 1_790_000_000;
const SECRET: &[u8] = b"a secret of at least 32 bytes ...";

/// Names of algorithms that are, were, or never were.
const NAMES: [&str; 26] = [
    "none",
    "None",
    "NONE",
    "nOnE",
    "none ",
    "",
    "HS256",
    "hs256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "RS1",
    "PS256",
    "PS384",
    "ES256",
    "ES384",
    "ES512",
    "ES256K",
    "EdDSA",
    "Ed25519",
    "A128GCM",
    "dir",
    "RSA-OAEP",
    "HS256\u{0}",
];

/// What stands before the claims and after them, and is tried.
struct Attempts {
    made: BTreeMap<&'static str, usize>,
    verifier: Verifier,
}

impl Attempts {
    fn try_one(&mut self, kind: &'static str, text: &str) {
        *self.made.entry(kind).or_default() += 1;
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let result = Token::parse(text).and_then(|token| self.verifier.verify_known(&token, now));
        let Err(refused) = result else { panic!("{kind}: accepted {text}") };
        assert!(refused.status().is_client_error(), "{kind}: {refused}");
    }
}

/// The keys of a deployment with an issuer for each kind, and of somebody who has none of them.
struct World {
    own: Vec<(&'static str, SigningKey)>,
    foreign: Vec<SigningKey>,
}

const KINDS: [(Signature, &str); 4] = [
    (Signature::RS256, "rsa"),
    (Signature::ES256, "p256"),
    (Signature::ES384, "p384"),
    (Signature::EdDSA, "ed25519"),
];

impl World {
    fn new() -> Self {
        let own = KINDS.map(|(kind, name)| (name, SigningKey::new("k1", kind))).into();
        let foreign = KINDS.map(|(kind, _)| SigningKey::new("k1", kind)).into();
        Self { own, foreign }
    }

    /// Issuers that accept every algorithm, so that nothing but the keys themselves is in the way.
    fn verifier(&self) -> Verifier {
        let issuer = |(name, key): &(&str, SigningKey)| {
            let set = json!({"keys": [key.jwk()]}).to_string();
            Issuer {
                name: Some((*name).to_owned()),
                audience: Some(Audience { claim: "aud".to_owned(), value: "tidings".to_owned() }),
                algorithms: Algorithm::ALL.to_vec(),
                user_claim: "sub".to_owned(),
                tenancy: Tenancy::Claimed {
                    claim: "tenant".to_owned(),
                    allowed: Some([Tenant::parse(name).unwrap()].into()),
                },
                keys: Keys::Fixed(VerifyingKey::from_file(set.as_bytes()).unwrap()),
            }
        };
        let secret = Issuer {
            name: Some("secret".to_owned()),
            ..Issuer::with_secret(&SigningSecret::new(SECRET).unwrap())
        };
        let issuers = self.own.iter().map(issuer).chain([secret]);
        let policy = Policy { max_token_bytes: Token::MAX_LENGTH, ..Policy::default() };
        Verifier::new(issuers.collect(), policy)
    }
}

fn claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "aud": "tidings", "sub": "ada", "tenant": issuer, "iat": NOW - 60, "exp": NOW + 60,
    })
}

fn header(alg: &str) -> String {
    json!({"alg": alg, "kid": "k1"}).to_string()
}

/// The name of a key's own algorithm.
fn own_name(kind: &str) -> &'static str {
    match kind {
        "rsa" => "RS256",
        "p256" => "ES256",
        "p384" => "ES384",
        _ => "EdDSA",
    }
}

fn encode(part: &str) -> String {
    URL_SAFE_NO_PAD.encode(part)
}

fn hmac(header: &str, claims: &str, secret: &[u8], algorithm: Signature) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = EncodingKey::from_secret(secret);
    format!("{message}.{}", jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap())
}

fn with(mut value: Value, name: &str, member: Value) -> Value {
    value[name] = member;
    value
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is asked for with --nocapture")]
fn every_forgery_is_refused() {
    let world = World::new();
    let mut attempts = Attempts { made: BTreeMap::new(), verifier: world.verifier() };
    for (kind, key) in &world.own {
        let good = key.sign(&header(own_name(kind)), &claims(kind).to_string());
        // Else the table would prove nothing.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        assert!(attempts.verifier.verify_known(&Token::parse(&good).unwrap(), now).is_ok(), "{kind}");

        unsigned(&mut attempts, kind, &good);
        public_key_as_secret(&mut attempts, kind, key);
        other_algorithms(&mut attempts, kind, key);
        foreign_keys(&mut attempts, kind, &world);
        key_identifiers(&mut attempts, kind, &world);
        own_headers(&mut attempts, kind, key);
        own_claims(&mut attempts, kind, key);
        spellings(&mut attempts, &good);
        altered(&mut attempts, &good);
    }
    other_issuers(&mut attempts, &world);

    let all: usize = attempts.made.values().sum();
    println!("{all} forgeries, none accepted: {:?}", attempts.made);
    assert!(all > 2500, "{all}");
}

/// CVE-2015-9235 and its many spellings.
fn unsigned(attempts: &mut Attempts, issuer: &str, good: &str) {
    let signature = good.rsplit_once('.').unwrap().1;
    let (claims, zeros) = (encode(&claims(issuer).to_string()), URL_SAFE_NO_PAD.encode([0; 64]));
    for name in NAMES.iter().filter(|name| !["HS256", "Ed25519"].contains(name)) {
        for header in [json!({"alg": name}), json!({"alg": name, "kid": "k1", "typ": "JWT"})] {
            for signature in ["", signature, &zeros, "AA"] {
                let is_good = *name == own_name(issuer) && header.get("kid").is_some();
                if !is_good {
                    attempts.try_one(
                        "unsigned",
                        &format!("{}.{claims}.{signature}", encode(&header.to_string())),
                    );
                }
            }
        }
    }
    // CVE-2022-21449 and its like: numbers at their ends.
    for filling in [[0; 96], [1; 96], [255; 96]] {
        for length in [0, 1, 32, 63, 64, 65, 96] {
            let signature = URL_SAFE_NO_PAD.encode(&filling[..length]);
            attempts
                .try_one("unsigned", &format!("{}.{claims}.{signature}", encode(&header(own_name(issuer)))));
        }
    }
}

/// CVE-2016-10555: what everybody knows, taken for what nobody knows.
fn public_key_as_secret(attempts: &mut Attempts, issuer: &str, key: &SigningKey) {
    let (pem, jwk) = (key.public_pem(), key.jwk());
    let der = STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap();
    let member = |name: &str| jwk[name].as_str().unwrap_or_default().to_owned();
    let (n, x, y) = (member("n"), member("x"), member("y"));
    let raw = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let forms = [
        pem.clone().into_bytes(),
        pem.trim().as_bytes().to_vec(),
        pem.replace('\n', "\r\n").into_bytes(),
        pem.replace('\n', "").into_bytes(),
        der,
        jwk.to_string().into_bytes(),
        n.clone().into_bytes(),
        x.clone().into_bytes(),
        raw(&n),
        raw(&x),
        [raw(&x), raw(&y)].concat(),
        [vec![4], raw(&x), raw(&y)].concat(),
        Vec::new(),
        vec![0; 32],
        b"secret".to_vec(),
        b"k1".to_vec(),
    ];
    let algorithms = [("HS256", Signature::HS256), ("HS384", Signature::HS384), ("HS512", Signature::HS512)];
    for secret in forms {
        for (name, algorithm) in algorithms {
            for header in
                [json!({"alg": name}), json!({"alg": name, "kid": "k1"}), json!({"alg": own_name(issuer)})]
            {
                let token = hmac(&header.to_string(), &claims(issuer).to_string(), &secret, algorithm);
                attempts.try_one("public key as secret", &token);
            }
        }
    }
}

/// A header that says something else than what was done.
fn other_algorithms(attempts: &mut Attempts, issuer: &str, key: &SigningKey) {
    let is_own = |name: &str| name == own_name(issuer) || (issuer == "ed25519" && name == "Ed25519");
    for name in NAMES.iter().filter(|name| !is_own(name)) {
        attempts.try_one("other algorithm", &key.sign(&header(name), &claims(issuer).to_string()));
    }
    if issuer == "rsa" {
        for (signature, name) in
            [(Signature::RS384, "RS256"), (Signature::PS256, "RS256"), (Signature::RS256, "PS256")]
        {
            let token = key.used_with(signature).sign(&header(name), &claims(issuer).to_string());
            attempts.try_one("other algorithm", &token);
        }
    }
}

/// CVE-2018-0114 and others: a key that comes along, or is somewhere to be fetched.
fn foreign_keys(attempts: &mut Attempts, issuer: &str, world: &World) {
    for ((kind, _), key) in world.own.iter().zip(&world.foreign) {
        let certificate = STANDARD.encode(key.public_pem());
        for alg in NAMES {
            let base = json!({"alg": alg, "kid": "k1"});
            for header in [
                base.clone(),
                with(base.clone(), "jwk", key.jwk()),
                with(base.clone(), "jwk", json!({"keys": [key.jwk()]})),
                with(base.clone(), "jku", json!("https://evil.example/keys")),
                with(base.clone(), "x5u", json!("https://evil.example/chain")),
                with(base.clone(), "x5c", json!([certificate])),
                with(base.clone(), "x5t", json!("AA")),
            ] {
                let is_fitting = alg == own_name(kind);
                if is_fitting || alg == "none" || alg == "HS256" {
                    attempts
                        .try_one("foreign key", &key.sign(&header.to_string(), &claims(issuer).to_string()));
                }
            }
        }
    }
}

/// CVE-2018-1000531 and others: an identifier that is a path, a query, a command.
fn key_identifiers(attempts: &mut Attempts, issuer: &str, world: &World) {
    let own = &world.own.iter().find(|(kind, _)| *kind == issuer).unwrap().1;
    for kid in [
        "",
        "K1",
        "k1 ",
        " k1",
        "k1\u{0}",
        "k2",
        "../k1",
        "/dev/null",
        "file:///dev/null",
        "' or '1'='1",
        "k1' UNION SELECT 'x",
        "| id",
        "$(id)",
        "%00",
        "k1%00",
        "*",
        ".*",
        "k\u{131}",
        "https://evil.example/k1",
    ] {
        let header = json!({"alg": own_name(issuer), "kid": kid}).to_string();
        attempts.try_one("key identifier", &own.sign(&header, &claims(issuer).to_string()));
        for secret in [&b""[..], b"\0", kid.as_bytes()] {
            let header = json!({"alg": "HS256", "kid": kid}).to_string();
            let token = hmac(&header, &claims(issuer).to_string(), secret, Signature::HS256);
            attempts.try_one("key identifier", &token);
        }
    }
    for kid in ["1", "null", "true", "[\"k1\"]", "{\"kid\":\"k1\"}"] {
        let header = format!(r#"{{"alg":"{}","kid":{kid}}}"#, own_name(issuer));
        attempts.try_one("key identifier", &own.sign(&header, &claims(issuer).to_string()));
    }
}
