//! Key sets as identity providers and libraries publish them: each key is used, or left out for a reason.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use harness::{BOUND, SigningKey, eventually};
use jsonwebtoken::{Algorithm as Signature, Header};
use serde_json::{Value, json};
use tidings_access::{
    Algorithm, FetchError, Issuer, KeySource, Keys, Policy, RefreshSettings, RemoteKeys, Tenancy, Token,
    Verifier,
};
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_secs(3600);

struct Published(Value);

#[async_trait]
impl KeySource for Published {
    fn name(&self) -> String {
        "published".to_owned()
    }

    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        Ok(self.0.to_string().into_bytes())
    }
}

/// A key as it is published: with these members beside its own, of which null takes one away.
fn published(key: &SigningKey, members: &Value) -> Value {
    let mut jwk = key.jwk();
    let all = jwk.as_object_mut().unwrap();
    all.extend(members.as_object().unwrap().clone());
    all.retain(|_, value| !value.is_null());
    jwk
}

/// What becomes of a token of each key, by the code of its refusal.
async fn check(provider: &str, keys: &[(SigningKey, Signature, Value)], others: &[Value], expected: &[&str]) {
    let mut set: Vec<_> = keys.iter().map(|(key, _, members)| published(key, members)).collect();
    set.extend(others.iter().cloned());
    let settings = RefreshSettings { max_age: HOUR, cooldown: HOUR, grace: HOUR, patience: BOUND };
    let remote = RemoteKeys::new(Published(json!({"keys": set})), settings);
    let issuer = Issuer {
        name: None,
        audience: None,
        algorithms: Algorithm::ALL.iter().copied().filter(|one| *one != Algorithm::Hs256).collect(),
        user_claim: "sub".to_owned(),
        tenancy: Tenancy::Claimed { claim: "tenant".to_owned(), allowed: None },
        keys: Keys::Remote(remote),
    };
    let verifier = Verifier::new(vec![issuer], Policy::default());
    let cancelled = CancellationToken::new();
    tokio::spawn(verifier.clone().keep_keys(cancelled.clone()));
    let mut found = Vec::new();
    for (key, signature, members) in keys {
        let kid = members.get("kid").unwrap_or(&key.jwk()["kid"]).as_str().map(str::to_owned);
        let header = Header { kid, ..Header::new(*signature) };
        let token = Token::parse(&key.token_with(&header, json!({"sub": "ada", "tenant": "ops"}))).unwrap();
        let verify = async || match verifier.verify(&token, SystemTime::now).await {
            Ok(_) => Ok("used"),
            Err(refusal) if refusal.status().is_server_error() => Err(refusal),
            Err(refusal) => Ok(refusal.code()),
        };
        found.push(eventually("the keys are there", BOUND, verify).await);
    }
    assert_eq!(found, expected, "{provider}");
    cancelled.cancel();
}

fn key(id: &str, signature: Signature, members: Value) -> (SigningKey, Signature, Value) {
    (SigningKey::new(id, signature), signature, members)
}

fn p521() -> Value {
    json!({"kty": "EC", "crv": "P-521", "x": "A".repeat(88), "y": "A".repeat(88), "alg": "ES512", "use": "sig", "kid": "p521"})
}

#[tokio::test]
async fn sets_of_identity_providers_are_read() {
    use Signature::{ES256, ES384, EdDSA, PS256, RS256, RS512};
    let certificate = json!(["MIICmzCCAYMCBgGQ"]);
    check(
        "Keycloak",
        &[
            key(
                "sig-1",
                RS256,
                json!({"alg": "RS256", "use": "sig", "x5c": certificate, "x5t": "q1", "x5t#S256": "q2"}),
            ),
            key("enc-1", RS256, json!({"alg": "RSA-OAEP", "use": "enc", "x5c": certificate, "x5t": "q3"})),
            key("ec-1", ES256, json!({"alg": "ES256", "use": "sig"})),
            key("ed-1", EdDSA, json!({"alg": "EdDSA", "use": "sig"})),
            key("ps-1", PS256, json!({"alg": "PS256", "use": "sig"})),
        ],
        &[p521()],
        &["used", "TOKEN_KEY", "used", "used", "used"],
    )
    .await;
    check(
        "Auth0",
        &[
            key(
                "NkY3OTQ",
                RS256,
                json!({"alg": "RS256", "use": "sig", "x5c": certificate, "x5t": "NkY3OTQ"}),
            ),
            key(
                "MDk2Q0M",
                RS256,
                json!({"alg": "RS256", "use": "sig", "x5c": certificate, "x5t": "MDk2Q0M"}),
            ),
        ],
        &[],
        &["used", "used"],
    )
    .await;
    check(
        "Cognito",
        &[
            key("abcdefghijkl+/=", RS256, json!({"alg": "RS256", "use": "sig"})),
            key("mnopqrstuvwx+/=", RS256, json!({"alg": "RS256", "use": "sig"})),
        ],
        &[],
        &["used", "used"],
    )
    .await;
    check(
        "Azure",
        &[
            key("nOo3ZDrODXEK", RS256, json!({"alg": null, "x5t": "nOo3ZDrODXEK", "x5c": certificate,
                "cloud_instance_name": "microsoftonline.com", "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"})),
        ],
        &[],
        &["used"],
    )
    .await;
    check(
        "jose",
        &[
            key("a", EdDSA, json!({"alg": "Ed25519", "use": null})),
            key("b", ES384, json!({"alg": "ES384", "use": null, "key_ops": ["verify"]})),
            key("c", RS512, json!({"alg": "RS512", "use": null, "ext": true, "key_ops": ["verify"]})),
            key("d", ES256, json!({"alg": "ECDH-ES", "use": null})),
            key("e", ES256, json!({"key_ops": ["sign"]})),
            key("f", ES256, json!({"d": "AQAB"})),
            key("g", ES256, json!({"alg": "RS256"})),
        ],
        &[
            p521(),
            json!({"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ", "alg": "HS256", "kid": "oct"}),
            json!({"kty": "OKP", "crv": "Ed448", "x": "A".repeat(76), "kid": "ed448"}),
            json!({"kty": "OKP", "crv": "X25519", "x": "A".repeat(43), "use": "enc", "kid": "x25519"}),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "pq"}),
            json!({"kid": "nothing"}),
            json!(17),
        ],
        &["used", "used", "used", "TOKEN_KEY", "TOKEN_KEY", "TOKEN_KEY", "TOKEN_KEY"],
    )
    .await;
    check("without kid", &[key("x", RS256, json!({"kid": null}))], &[], &["used"]).await;
}

/// An answer never says "later" of what will never work.
#[tokio::test]
async fn a_set_without_a_key_of_use_is_no_reason_to_come_again() {
    let keys = [
        key("a", Signature::RS256, json!({"use": "enc"})),
        key("b", Signature::ES256, json!({"alg": "ES512"})),
    ];
    check("nothing of use", &keys, &[p521()], &["TOKEN_KEY", "TOKEN_KEY"]).await;
    let nameless = [key("a", Signature::RS256, json!({"use": "enc", "kid": null}))];
    check("nothing of use, and no name", &nameless, &[], &["TOKEN_KEY"]).await;
}
