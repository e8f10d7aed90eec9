//! Which signatures are believed: every algorithm with its own kind of key, and no key with another's.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::SigningKey;
use jsonwebtoken::{Algorithm as Signature, EncodingKey, Header};
use proptest::prelude::*;
use serde_json::{Value, json};
use tidings_access::{
    Algorithm, Claims, Issuer, KeyError, Keys, Policy, Refusal, SigningSecret, Tenancy, Token, Verifier,
    VerifyingKey,
};
use tidings_model::Tenant;

const ASYMMETRIC: [(Signature, Algorithm); 7] = [
    (Signature::RS256, Algorithm::Rs256),
    (Signature::RS384, Algorithm::Rs384),
    (Signature::RS512, Algorithm::Rs512),
    (Signature::PS256, Algorithm::Ps256),
    (Signature::ES256, Algorithm::Es256),
    (Signature::ES384, Algorithm::Es384),
    (Signature::EdDSA, Algorithm::EdDsa),
];

fn issuer(algorithms: &[Algorithm], keys: Vec<VerifyingKey>) -> Issuer {
    Issuer {
        name: Some("https://id.example".to_owned()),
        audience: None,
        algorithms: algorithms.to_vec(),
        user_claim: "sub".to_owned(),
        tenancy: Tenancy::Claimed { claim: "tenant".to_owned(), allowed: None },
        keys: Keys::Fixed(keys),
    }
}

fn verify(issuers: Vec<Issuer>, token: &str) -> Result<Claims, Refusal> {
    let token = Token::parse(token)?;
    Verifier::new(issuers, Policy { leeway: Duration::ZERO, ..Policy::default() })
        .verify_known(&token, SystemTime::now())
}

#[track_caller]
fn refuses(result: &Result<Claims, Refusal>, code: &str) {
    let refusal = result.as_ref().expect_err("the token was believed");
    assert_eq!(refusal.code(), code, "{refusal}");
}

fn claims() -> Value {
    json!({"iss": "https://id.example", "sub": "ada", "tenant": "ops"})
}

fn from_pem(key: &SigningKey) -> Vec<VerifyingKey> {
    VerifyingKey::from_file(key.public_pem().as_bytes()).unwrap()
}

fn from_jwks(key: &SigningKey) -> Vec<VerifyingKey> {
    VerifyingKey::from_file(json!({"keys": [key.jwk()]}).to_string().as_bytes()).unwrap()
}

#[test]
fn every_algorithm_is_believed_with_its_own_key_and_only_when_it_is_allowed() {
    for (signature, algorithm) in ASYMMETRIC {
        let key = SigningKey::new("k1", signature);
        let token = key.token(claims());
        for keys in [from_pem(&key), from_jwks(&key)] {
            let believed = verify(vec![issuer(&[algorithm], keys.clone())], &token);
            assert_eq!(believed.unwrap().subject, "ada", "{algorithm}");

            let others: Vec<_> = Algorithm::ALL.into_iter().filter(|other| *other != algorithm).collect();
            refuses(&verify(vec![issuer(&others, keys.clone())], &token), "TOKEN_ALGORITHM");

            let same_kind = SigningKey::new("k1", signature).token(claims());
            refuses(&verify(vec![issuer(&[algorithm], keys)], &same_kind), "TOKEN_SIGNATURE");
        }
    }
}

#[test]
fn a_key_is_used_with_nothing_but_its_kind_even_if_everything_is_allowed() {
    let keys = ASYMMETRIC.map(|(signature, algorithm)| (SigningKey::new("k1", signature), algorithm));
    for (key, algorithm) in &keys {
        for (other, _) in keys.iter().filter(|(_, other)| !is_same_kind(*algorithm, *other)) {
            let result = verify(vec![issuer(&Algorithm::ALL, from_jwks(key))], &other.token(claims()));
            refuses(&result, "TOKEN_SIGNATURE");
        }
    }
}

fn is_same_kind(one: Algorithm, other: Algorithm) -> bool {
    let kind = |algorithm: Algorithm| match algorithm {
        Algorithm::Rs384 | Algorithm::Rs512 | Algorithm::Ps256 => Algorithm::Rs256,
        other => other,
    };
    kind(one) == kind(other)
}

#[test]
fn an_rsa_key_is_used_with_the_algorithms_that_are_allowed_and_that_it_says() {
    let key = SigningKey::new("k1", Signature::RS256);
    let with_pss = key.used_with(Signature::PS256).token(claims());
    assert!(verify(vec![issuer(&[Algorithm::Rs256, Algorithm::Ps256], from_jwks(&key))], &with_pss).is_ok());

    let mut jwk = key.jwk();
    jwk["alg"] = json!("RS256");
    let keys = VerifyingKey::from_file(jwk.to_string().as_bytes()).unwrap();
    let both = || vec![issuer(&[Algorithm::Rs256, Algorithm::Ps256], keys.clone())];
    assert!(verify(both(), &key.token(claims())).is_ok());
    refuses(&verify(both(), &with_pss), "TOKEN_SIGNATURE");
}

/// The classic: what everybody knows, the public key, as if it were a shared secret.
#[test]
fn a_public_key_is_no_secret() {
    let key = SigningKey::new("k1", Signature::RS256);
    let modulus = key.jwk()["n"].as_str().unwrap().to_owned();
    let pem = key.public_pem();
    let forms = [pem.as_bytes(), pem.trim().as_bytes(), modulus.as_bytes()];
    for secret in forms.map(EncodingKey::from_secret) {
        let payload = with_expiry();
        let forged = jsonwebtoken::encode(&Header::new(Signature::HS256), &payload, &secret).unwrap();
        let rs256 = vec![issuer(&[Algorithm::Rs256], from_pem(&key))];
        refuses(&verify(rs256, &forged), "TOKEN_ALGORITHM");
        for keys in [from_pem(&key), from_jwks(&key)] {
            refuses(&verify(vec![issuer(&Algorithm::ALL, keys)], &forged), "TOKEN_SIGNATURE");
        }
    }
}

fn with_expiry() -> Value {
    let mut payload = claims();
    payload["exp"] = json!(4_000_000_000_u64);
    payload
}

#[test]
fn a_secret_is_for_hs256_alone() {
    let secret = [7; 32];
    let own = SigningSecret::new(&secret).unwrap();
    let signed = |algorithm| {
        let key = EncodingKey::from_secret(&secret);
        jsonwebtoken::encode(&Header::new(algorithm), &with_expiry(), &key).unwrap()
    };
    let issuer = || vec![issuer(&Algorithm::ALL, vec![VerifyingKey::from_secret(&own)])];
    assert!(verify(issuer(), &signed(Signature::HS256)).is_ok());
    refuses(&verify(issuer(), &signed(Signature::HS384)), "TOKEN_ALGORITHM");
    let key = SigningKey::new("k1", Signature::RS256);
    refuses(&verify(issuer(), &key.token(claims())), "TOKEN_SIGNATURE");
}

#[test]
fn an_unsigned_token_is_refused_whatever_is_allowed() {
    let key = SigningKey::new("k1", Signature::ES256);
    let token = key.token(claims());
    let (message, _) = token.rsplit_once('.').unwrap();
    let (_, payload) = message.split_once('.').unwrap();
    let all = || vec![issuer(&Algorithm::ALL, from_jwks(&key))];
    refuses(&verify(all(), &format!("{message}.")), "TOKEN_SIGNATURE");
    // CVE-2022-21449: r and s are zero.
    refuses(&verify(all(), &format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 64]))), "TOKEN_SIGNATURE");
    for alg in ["none", "None", "nOnE", "", "HS384", "RS1", "ES256K", "es256"] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg}).to_string());
        refuses(&verify(all(), &format!("{header}.{payload}.")), "TOKEN_ALGORITHM");
    }
}

#[test]
fn a_key_identifier_chooses_among_the_issuers_keys_and_does_nothing_else() {
    let (one, two) = (SigningKey::new("k1", Signature::ES256), SigningKey::new("k2", Signature::ES256));
    let set = json!({"keys": [one.jwk(), two.jwk()]}).to_string();
    let both = || {
        let keys = VerifyingKey::from_file(set.as_bytes()).unwrap();
        vec![issuer(&[Algorithm::Es256], keys)]
    };
    let header = |kid: Option<&str>| Header { kid: kid.map(str::to_owned), ..Header::new(Signature::ES256) };
    for kid in [Some("k2"), None] {
        assert!(verify(both(), &two.token_with(&header(kid), claims())).is_ok(), "{kid:?}");
    }
    refuses(&verify(both(), &two.token_with(&header(Some("k1")), claims())), "TOKEN_SIGNATURE");
    for kid in ["", "K2", "k2 ", "../k2", "' or 1=1", &"k".repeat(2000)] {
        refuses(&verify(both(), &two.token_with(&header(Some(kid)), claims())), "TOKEN_KEY");
    }
    for kid in ["1", "[\"k2\"]", "{}", "true"] {
        let head = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","kid":{kid}}}"#));
        let token = two.token(claims());
        let (_, rest) = token.split_once('.').unwrap();
        refuses(&verify(both(), &format!("{head}.{rest}")), "TOKEN_MALFORMED");
    }
}

#[test]
fn an_issuer_speaks_for_its_own_tenants_alone_whoever_signs() {
    let (acme, umbrella) = (SigningKey::new("k1", Signature::ES256), SigningKey::new("k1", Signature::ES256));
    let of = |name: &str, key: &SigningKey, tenants: &[&str]| {
        let allowed = tenants.iter().map(|tenant| Tenant::parse(tenant).unwrap()).collect();
        Issuer {
            name: Some(name.to_owned()),
            tenancy: Tenancy::Claimed { claim: "tenant".to_owned(), allowed: Some(allowed) },
            ..issuer(&[Algorithm::Es256], from_jwks(key))
        }
    };
    let both = || vec![of("acme", &acme, &["ops", "cnc"]), of("umbrella", &umbrella, &["shelter"])];
    let token = |key: &SigningKey, iss: &str, tenant: &str| {
        key.token(json!({"iss": iss, "sub": "ada", "tenant": tenant}))
    };
    for tenant in ["ops", "cnc"] {
        assert_eq!(verify(both(), &token(&acme, "acme", tenant)).unwrap().tenant.as_str(), tenant);
    }
    assert!(verify(both(), &token(&umbrella, "umbrella", "shelter")).is_ok());

    let result = verify(both(), &token(&acme, "acme", "shelter"));
    refuses(&result, "TENANT_FOREIGN");
    assert_eq!(result.unwrap_err().status(), http::StatusCode::FORBIDDEN);
    refuses(&verify(both(), &token(&umbrella, "umbrella", "ops")), "TENANT_FOREIGN");
    // Under the other's name, its own key does not help, although both call it k1.
    refuses(&verify(both(), &token(&acme, "umbrella", "shelter")), "TOKEN_SIGNATURE");
    refuses(&verify(both(), &token(&umbrella, "acme", "ops")), "TOKEN_SIGNATURE");
    for iss in ["", "Acme", "acme ", "somebody"] {
        refuses(&verify(both(), &token(&acme, iss, "ops")), "TOKEN_ISSUER");
    }
    for iss in [json!(["acme"]), json!({"acme": 1}), json!(null), json!(1)] {
        let token = acme.token(json!({"iss": iss, "sub": "ada", "tenant": "ops"}));
        refuses(&verify(both(), &token), "TOKEN_ISSUER");
    }
}

#[test]
fn the_tenant_is_in_the_claim_that_is_configured_or_given() {
    let key = SigningKey::new("k1", Signature::ES256);
    let with = |tenancy: Tenancy| vec![Issuer { tenancy, ..issuer(&[Algorithm::Es256], from_jwks(&key)) }];
    let claimed = |claim: &str| Tenancy::Claimed { claim: claim.to_owned(), allowed: None };
    let token = key.token(json!({
        "iss": "https://id.example", "sub": "ada", "tenant": "other",
        "custom:tenant": "cognito", "app": {"tenant": "keycloak"}, "https://app.example/tenant": "auth0",
    }));
    for (tenancy, expected) in [
        (claimed("tenant"), "other"),
        (claimed("custom:tenant"), "cognito"),
        (claimed("app.tenant"), "keycloak"),
        (claimed("https://app.example/tenant"), "auth0"),
        (Tenancy::Fixed(Tenant::parse("fixed").unwrap()), "fixed"),
    ] {
        assert_eq!(verify(with(tenancy), &token).unwrap().tenant.as_str(), expected);
    }
    let result = verify(with(claimed("custom:org")), &token);
    refuses(&result, "CLAIM_TENANT");
    assert!(result.unwrap_err().to_string().contains("`custom:org` claim"));
}

#[test]
fn expiry_is_exact() {
    let key = SigningKey::new("k1", Signature::ES256);
    let verifier = Verifier::new(
        vec![issuer(&[Algorithm::Es256], from_jwks(&key))],
        Policy { leeway: Duration::ZERO, ..Policy::default() },
    );
    let mut claims = claims();
    claims["exp"] = json!(1_790_000_000);
    let token = Token::parse(&key.token(claims)).unwrap();
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    assert!(verifier.verify_known(&token, at(1_789_999_999)).is_ok());
    refuses(&verifier.verify_known(&token, at(1_790_000_000)), "TOKEN_EXPIRED");
}

#[test]
fn files_hold_public_keys() {
    let key = SigningKey::new("k1", Signature::RS256);
    let pem = key.public_pem();
    let private = pem.replace("PUBLIC", "PRIVATE");
    let check = |content: &str, expected: KeyError| {
        assert_eq!(VerifyingKey::from_file(content.as_bytes()).unwrap_err(), expected, "{content}");
    };
    check(&private, KeyError::Private);
    check(&format!("{pem}{private}"), KeyError::Private);
    check("", KeyError::NotPem);
    check(&pem[..80], KeyError::NotPem);
    check(&pem.replace("PUBLIC KEY", "CERTIFICATE"), KeyError::NotPem);
    check("{", KeyError::NotJson);
    check("{\"keys\":[]}", KeyError::Empty);
    check("{\"keys\":1}", KeyError::NotJson);
    let mut jwk = key.jwk();
    jwk["d"] = json!("AQAB");
    check(&jwk.to_string(), KeyError::Private);
    jwk.as_object_mut().unwrap().remove("d");
    jwk["use"] = json!("enc");
    check(&jwk.to_string(), KeyError::OtherUse);
    assert!(VerifyingKey::from_file(&[0xff, 0xfe]).is_err());
    assert_eq!(VerifyingKey::from_file(format!("\n{pem}\n").as_bytes()).unwrap().len(), 1);
}

/// An issuer with a key of every kind, and one with a secret.
fn everybody() -> Vec<Issuer> {
    static KEYS: std::sync::LazyLock<Vec<VerifyingKey>> = std::sync::LazyLock::new(|| {
        let kinds = [Signature::RS256, Signature::ES256, Signature::ES384, Signature::EdDSA];
        kinds.iter().flat_map(|kind| from_jwks(&SigningKey::new("k1", *kind))).collect()
    });
    let secret = SigningSecret::new(&[7; 32]).unwrap();
    vec![issuer(&Algorithm::ALL, KEYS.clone()), Issuer::with_secret(&secret)]
}

proptest! {
    /// Any header and claims, with any signature, before issuers of every kind: refused, with a code, and without a word
    /// of the token in the message.
    #[test]
    fn any_forgery_is_refused(
        alg in "none|HS256|RS256|PS256|ES256|ES384|EdDSA|.{0,6}",
        kid in prop::option::of("k1|.{0,12}"),
        iss in prop::option::of("https://id\\.example|marker-iss|.{0,12}"),
        noise in prop::collection::vec(any::<u8>(), 0..40),
        signature in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let header = json!({"alg": alg, "kid": kid, "typ": "marker-typ"}).to_string();
        let mut payload = with_expiry();
        payload["iss"] = json!(iss);
        payload["sub"] = json!("marker-sub");
        let payload = payload.to_string();
        let (header, payload) = (header.as_bytes(), payload.as_bytes());
        for (header, payload) in [(header, payload), (&noise, payload), (header, &noise)] {
            let parts = [header, payload, &signature].map(|part| URL_SAFE_NO_PAD.encode(part));
            let refusal = verify(everybody(), &parts.join(".")).unwrap_err();
            prop_assert!(refusal.status().is_client_error());
            prop_assert!(!refusal.to_string().contains("marker"), "{refusal}");
        }
    }
}
