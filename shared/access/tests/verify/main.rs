//! Which tokens are believed, at which time, and how the others are refused.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod forms;
mod times;

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tidings_access::{
    Audience, Claims, Issuer, MintError, Policy, Refusal, SigningSecret, Tenancy, Token, TokenTypes,
    Verifier, mint,
};
use tidings_model::{Tenant, json as text};

const SECRET: &[u8] = b"a secret of at least 32 bytes ...";
const NOW: u64 = 1_790_000_000;
const LEEWAY: u64 = 30;
const HS256: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

fn secret() -> SigningSecret {
    SigningSecret::new(SECRET).unwrap()
}

fn verifier(issuer: Option<&str>, audience: Option<&str>) -> Verifier {
    let issuer = Issuer {
        name: issuer.map(str::to_owned),
        audience: audience.map(|value| Audience { claim: "aud".to_owned(), value: value.to_owned() }),
        ..Issuer::with_secret(&secret())
    };
    Verifier::new(vec![issuer], policy(LEEWAY))
}

fn policy(leeway: u64) -> Policy {
    Policy { leeway: Duration::from_secs(leeway), ..Policy::default() }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Claims that are fine, with `changes` over them; a change to null takes the claim away.
fn claims(changes: &Value) -> Map<String, Value> {
    let mut claims = json!({"sub": "ada", "tenant": "ops", "exp": NOW + 60});
    let all = claims.as_object_mut().unwrap();
    all.extend(changes.as_object().unwrap().clone());
    all.retain(|_, value| !value.is_null());
    all.clone()
}

fn verify(changes: &Value) -> Result<Claims, Refusal> {
    let token = mint(&claims(changes), &secret()).unwrap();
    verifier(None, None).verify_known(&token, at(NOW))
}

#[track_caller]
fn refuses(result: &Result<Claims, Refusal>, code: &str, status: StatusCode) {
    let refusal = result.as_ref().expect_err("the token was believed");
    assert_eq!((refusal.code(), refusal.status()), (code, status), "{refusal}");
}

/// A token with any header and payload, signed as somebody who knows `key` can.
fn forge(header: &str, payload: &str, key: &[u8], algorithm: Algorithm) -> String {
    let [header, payload] = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header}.{payload}");
    let key = EncodingKey::from_secret(key);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
    format!("{message}.{signature}")
}

#[track_caller]
fn refuses_text(text: &str, code: &str) {
    let result = Token::parse(text).and_then(|token| verifier(None, None).verify_known(&token, at(NOW)));
    refuses(&result, code, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_minted_token_is_believed_with_all_its_claims() {
    let given = claims(&json!({"sid": "s1", "role": ["sre", "lead"], "orgId": 17, "x": 1.50}));
    let token = mint(&given, &secret()).unwrap();
    let claims = verifier(None, None).verify_known(&token, at(NOW)).unwrap();
    assert_eq!(claims.subject, "ada");
    assert_eq!(claims.tenant.as_str(), "ops");
    assert_eq!(claims.expires_at, NOW + 60);
    assert_eq!(claims.claim_texts("role").collect::<Vec<_>>(), ["sre", "lead"]);
    assert_eq!(claims.claim_texts("orgId").collect::<Vec<_>>(), ["17"]);
    assert_eq!(claims.all, given);
}

/// As in applications whose tokens name the user `userId`, and whose tenant is a matter of the deployment.
#[test]
fn user_and_tenant_are_where_the_issuer_has_them() {
    let issuer = |user_claim: &str| Issuer {
        user_claim: user_claim.to_owned(),
        tenancy: Tenancy::Fixed(Tenant::parse("cnc").unwrap()),
        ..Issuer::with_secret(&secret())
    };
    let verify = |user_claim: &str, changes: &Value| {
        let token = mint(&claims(changes), &secret()).unwrap();
        Verifier::new(vec![issuer(user_claim)], policy(LEEWAY)).verify_known(&token, at(NOW))
    };
    let other = json!({"sub": null, "tenant": null, "userId": "ada", "app": {"user": "bo"}});
    for (claim, user) in [("userId", "ada"), ("app.user", "bo")] {
        let verified = verify(claim, &other).unwrap();
        assert_eq!((&*verified.subject, verified.tenant.as_str()), (user, "cnc"));
        assert_eq!(verified.claim_texts("sub").collect::<Vec<_>>(), [user], "catalogs name the user `sub`");
    }
    // What a token says in `sub` is not asked then.
    let both = json!({"sub": "eve", "userId": "ada"});
    let verified = verify("userId", &both).unwrap();
    assert_eq!((&*verified.subject, verified.claim_texts("sub").next().as_deref()), ("ada", Some("ada")));
    for missing in [json!({}), json!({"userId": ""}), json!({"userId": 7}), json!({"userId": ["ada"]})] {
        let result = verify("userId", &missing);
        refuses(&result, "CLAIM_SUB", StatusCode::FORBIDDEN);
        assert!(result.unwrap_err().to_string().contains("`userId`"));
    }
}

#[test]
fn a_token_of_another_implementation_is_believed() {
    // RFC 7515, appendix A.1.1: header with a line break, and its secret.
    let secret = URL_SAFE_NO_PAD
        .decode(concat!(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75",
            "aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
        ))
        .unwrap();
    let token = Token::parse(concat!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ))
    .unwrap();
    let secret = SigningSecret::new(&secret).unwrap();
    let issuer = Issuer { name: Some("joe".to_owned()), ..Issuer::with_secret(&secret) };
    let verifier = Verifier::new(vec![issuer], policy(0));
    // It has neither `sub` nor `tenant`; every check before those passed.
    let result = verifier.verify_known(&token, at(1_300_819_379));
    refuses(&result, "CLAIM_SUB", StatusCode::FORBIDDEN);
    let result = verifier.verify_known(&token, at(1_300_819_380));
    refuses(&result, "TOKEN_EXPIRED", StatusCode::UNAUTHORIZED);
}

#[test]
fn the_algorithm_is_not_the_tokens_choice() {
    let payload = serde_json::to_string(&claims(&json!({}))).unwrap();
    let signed = |header: &str, algorithm| forge(header, &payload, SECRET, algorithm);
    for alg in ["none", "None", "NONE", "RS256", "HS384", "HS512", "ES256", "EdDSA", "hs256", ""] {
        let header = json!({"alg": alg}).to_string();
        refuses_text(&signed(&header, Algorithm::HS256), "TOKEN_ALGORITHM");
    }
    refuses_text(&signed(r#"{"alg":"HS384"}"#, Algorithm::HS384), "TOKEN_ALGORITHM");
    // The header says what is expected, the signature is something else.
    refuses_text(&signed(HS256, Algorithm::HS384), "TOKEN_SIGNATURE");
    refuses_text(&signed(HS256, Algorithm::HS512), "TOKEN_SIGNATURE");

    let [header, payload] = [r#"{"alg":"none"}"#, &payload].map(|part| URL_SAFE_NO_PAD.encode(part));
    refuses_text(&format!("{header}.{payload}."), "TOKEN_ALGORITHM");
}

#[test]
fn a_key_in_the_header_is_not_used() {
    let payload = serde_json::to_string(&claims(&json!({}))).unwrap();
    let own = b"a secret of the attacker's own, 32+";
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(own)});
    let header = json!({"alg": "HS256", "jwk": jwk, "jku": "https://evil.example"}).to_string();
    refuses_text(&forge(&header, &payload, own, Algorithm::HS256), "TOKEN_SIGNATURE");
}

#[test]
fn a_type_is_accepted_as_configured() {
    let payload = serde_json::to_string(&claims(&json!({}))).unwrap();
    let with = |types: &TokenTypes, header: &str| {
        let policy = Policy { types: types.clone(), ..policy(LEEWAY) };
        let token = Token::parse(&forge(header, &payload, SECRET, Algorithm::HS256)).unwrap();
        Verifier::new(vec![Issuer::with_secret(&secret())], policy).verify_known(&token, at(NOW))
    };
    let typed = |typ: &str| json!({"alg": "HS256", "typ": typ}).to_string();
    let default = Policy::default().types;
    for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"] {
        assert!(with(&default, &typed(typ)).is_ok(), "{typ}");
    }
    assert!(with(&default, r#"{"alg":"HS256"}"#).is_ok());
    for typ in
        ["", "absent", "logout+jwt", "dpop+jwt", "secevent+jwt", "text/jwt", "application/x/jwt", "JWT "]
    {
        refuses(&with(&default, &typed(typ)), "TOKEN_TYPE", StatusCode::UNAUTHORIZED);
    }
    let strict = TokenTypes::new(["application/at+jwt"]);
    assert!(with(&strict, &typed("at+jwt")).is_ok());
    for header in [r#"{"alg":"HS256"}"#, &typed("JWT")] {
        let refused = with(&strict, header);
        refuses(&refused, "TOKEN_TYPE", StatusCode::UNAUTHORIZED);
        assert!(refused.unwrap_err().to_string().ends_with("expected at+jwt"));
    }
}

#[test]
fn another_secret_or_payload_is_noticed() {
    let other = SigningSecret::new(&[7; 32]).unwrap();
    let token = mint(&claims(&json!({})), &other).unwrap();
    refuses_text(token.expose(), "TOKEN_SIGNATURE");

    let [ops, cnc] =
        ["ops", "cnc"].map(|tenant| mint(&claims(&json!({"tenant": tenant})), &secret()).unwrap());
    let (_, signature) = ops.expose().rsplit_once('.').unwrap();
    let (message, _) = cnc.expose().rsplit_once('.').unwrap();
    refuses_text(&format!("{message}.{signature}"), "TOKEN_SIGNATURE");
}

#[test]
fn issuer_and_audience_are_checked_when_configured() {
    let verify = |verifier: Verifier, changes: Value| {
        verifier.verify_known(&mint(&claims(&changes), &secret()).unwrap(), at(NOW))
    };
    let issuer = || verifier(Some("https://id.example"), None);
    assert!(verify(issuer(), json!({"iss": "https://id.example"})).is_ok());
    for iss in [json!(null), json!("https://id.example/"), json!(["https://id.example"]), json!(1)] {
        let result = verify(issuer(), json!({"iss": iss}));
        refuses(&result, "TOKEN_ISSUER", StatusCode::UNAUTHORIZED);
    }
    let audience = || verifier(None, Some("tidings"));
    for aud in [json!("tidings"), json!(["other", "tidings"])] {
        assert!(verify(audience(), json!({"aud": aud})).is_ok());
    }
    for aud in [json!(null), json!("other"), json!([]), json!(["other"]), json!([["tidings"]])] {
        let result = verify(audience(), json!({"aud": aud}));
        refuses(&result, "TOKEN_AUDIENCE", StatusCode::UNAUTHORIZED);
    }
    assert!(verify(verifier(None, None), json!({"iss": "any", "aud": "any"})).is_ok());
}

#[test]
fn a_user_and_a_tenant_are_needed() {
    for sub in [json!(null), json!(""), json!(17), json!(["ada"]), json!({"id": "ada"})] {
        refuses(&verify(&json!({"sub": sub})), "CLAIM_SUB", StatusCode::FORBIDDEN);
    }
    for tenant in [json!(null), json!(""), json!(1), json!(["ops"]), json!("Ops"), json!("a.>")] {
        refuses(&verify(&json!({"tenant": tenant})), "CLAIM_TENANT", StatusCode::FORBIDDEN);
    }
    for sub in ["john.doe@example.com", "*", ">", "a b", "\u{00e4}/\u{1f600}", &"x".repeat(300)] {
        assert_eq!(verify(&json!({"sub": sub})).unwrap().subject, sub);
    }
}

#[test]
fn a_short_secret_is_no_secret() {
    assert_eq!(SigningSecret::new(&[1; 31]).unwrap_err().length, 31);
    assert!(SigningSecret::new(&[1; 32]).is_ok());
}

#[test]
fn a_token_that_nobody_would_take_is_not_minted() {
    let claims = claims(&json!({"role": "x".repeat(Token::MAX_LENGTH)}));
    let error = mint(&claims, &secret()).unwrap_err();
    assert!(matches!(error, MintError::Unusable(Refusal::TooLong { .. })), "{error:?}");
}

#[test]
fn nothing_secret_is_shown() {
    let token = mint(&claims(&json!({})), &secret()).unwrap();
    let (message, signature) = token.expose().rsplit_once('.').unwrap();
    let shown = format!("{:?} {:?} {:?}", token, secret(), verifier(None, None));
    let bytes = format!("{SECRET:?}");
    for text in [message, signature, str::from_utf8(SECRET).unwrap(), &bytes[1..20]] {
        assert!(!shown.contains(text), "{shown}");
    }
}

proptest! {
    #[test]
    fn any_other_text_is_refused(text in "[A-Za-z0-9._=+/~-]{0,80}|.{0,80}") {
        let result =
            Token::parse(&text).and_then(|token| verifier(None, None).verify_known(&token, at(NOW)));
        prop_assert!(result.is_err());
    }

    /// Every character counts, those that only fill up the last bits of base64 too.
    #[test]
    fn any_change_of_a_good_token_is_noticed(at_byte in any::<prop::sample::Index>(), by in "[A-Za-z0-9_.-]") {
        let good = mint(&claims(&json!({})), &secret()).unwrap();
        let index = at_byte.index(good.expose().len());
        let mut text = good.expose().to_owned();
        text.replace_range(index..=index, &by);
        prop_assume!(text != good.expose());
        let token = Token::parse(&text).unwrap();
        prop_assert!(verifier(None, None).verify_known(&token, at(NOW)).is_err());
    }

    #[test]
    fn any_signed_payload_is_answered(payload in ".{0,60}|\\{(\"(exp|nbf|sub|tenant)\":[0-9e\"\\[\\]{}.+-]{0,9},?){0,4}\\}") {
        let token = Token::parse(&forge(HS256, &payload, SECRET, Algorithm::HS256)).unwrap();
        if let Err(refusal) = verifier(None, None).verify_known(&token, at(NOW)) {
            prop_assert!(refusal.status().is_client_error());
        }
    }
}
