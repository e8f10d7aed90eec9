//! Strangers with forged tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{Dial, SECRET, token};
use serde_json::{Value, json};

use crate::scene::{Outcome, Scene, token_of};

/// Each forgery at each place where a token may be.
pub(crate) async fn attack(scene: &mut Scene) -> Outcome {
    let mut outcome = Outcome::of("a stranger connects with a forged token");
    let mut forgeries = designed();
    let good = token_of("ops", "ada", &json!({}));
    // The last character of a part has bits that mean nothing.
    let positions: Vec<usize> =
        (0..good.len() - 1).filter(|at| !matches!(&good[at + 1..=at + 1], ".")).collect();
    for _ in 0..scene.attempts {
        let at = *scene.one_of(&positions);
        let replacement = *scene.one_of(b"ABCxyz019-_.");
        let mut bytes = good.clone().into_bytes();
        if bytes[at] != replacement {
            bytes[at] = replacement;
            forgeries.push((format!("byte {at} is {replacement}"), String::from_utf8(bytes).unwrap()));
        }
    }
    for (what, forgery) in forgeries {
        let dial = scene.system.dial();
        for (place, dial) in [
            ("header", dial.clone().bearer(&forgery)),
            ("query", dial.clone().query("token", &forgery)),
            ("cookie", dial.cookie(&forgery)),
        ] {
            let refusal = refusal(dial).await;
            let is_held = refusal.is_some_and(|status| [400, 401, 403].contains(&status));
            outcome.count((!is_held).then(|| format!("{place}: {what}: {refusal:?}")));
        }
    }
    scene.check().await;
    outcome
}

/// The status with which the gateway refuses; `None` if it does not.
async fn refusal(dial: Dial) -> Option<u16> {
    dial.try_open().await.err().map(|refusal| refusal.status)
}

/// What somebody who knows JSON Web Tokens would try.
fn designed() -> Vec<(String, String)> {
    let claims = json!({ "tenant": "ops", "sub": "ada", "exp": 4_102_444_800_u64 });
    let mut forgeries = Vec::new();
    let mut add = |what: &str, forgery: String| forgeries.push((what.to_owned(), forgery));
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let unsigned = join(&json!({ "alg": algorithm, "typ": "JWT" }), &claims, "");
        add("unsigned", unsigned.clone());
        add("unsigned, two parts", unsigned.trim_end_matches('.').to_owned());
    }
    let good = token(SECRET, claims.clone());
    let signature = good.rsplit('.').next().unwrap();
    for header in [
        json!({ "alg": "HS384" }),
        json!({ "alg": "HS512" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "ES256" }),
        json!({ "alg": "EdDSA" }),
        json!({ "alg": ["HS256"] }),
        json!({ "alg": "HS256", "crit": ["exp"] }),
        json!({ "alg": "HS256", "kid": "../../../../dev/null" }),
        json!({ "alg": "HS256", "kid": "' or 1=1 --" }),
        json!({ "alg": "HS256", "jku": "http://127.0.0.1:1/keys" }),
        json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": "AAAA" } }),
        json!(["HS256"]),
        json!("HS256"),
        Value::Null,
    ] {
        add(&format!("header {header}"), join(&header, &claims, signature));
    }
    let longer = json!({ "tenant": "ops", "sub": "ada", "exp": 4_102_444_801_u64 });
    add("the signature of other claims", join(&json!({ "alg": "HS256", "typ": "JWT" }), &longer, signature));
    for secret in ["", "secret", &SECRET.to_uppercase(), &SECRET[1..]] {
        add("another secret", token(secret, claims.clone()));
    }
    for claims in [
        json!({ "tenant": "ops" }),
        json!({ "tenant": "ops", "sub": "" }),
        json!({ "tenant": "ops", "sub": ["ada"] }),
        json!({ "tenant": "ops", "sub": null }),
        json!({ "sub": "ada" }),
        json!({ "tenant": "nobody", "sub": "ada" }),
        json!({ "tenant": "OPS", "sub": "ada" }),
        json!({ "tenant": "ops.>", "sub": "ada" }),
        json!({ "tenant": ["ops"], "sub": "ada" }),
        json!({ "tenant": "ops", "sub": "ada", "exp": 1 }),
        json!({ "tenant": "ops", "sub": "ada", "exp": -1 }),
        json!({ "tenant": "ops", "sub": "ada", "exp": "4102444800" }),
        json!({ "tenant": "ops", "sub": "ada", "exp": null }),
        json!({ "tenant": "ops", "sub": "ada", "nbf": 4_102_444_000_u64 }),
        json!({ "tenant": "ops", "sub": "ada", "iat": 4_102_444_000_u64 }),
    ] {
        add(&format!("claims {claims}"), token(SECRET, claims));
    }
    for wrapped in
        [nested(&good), format!("{good}."), format!(".{good}"), format!("{good}.{good}"), "..".to_owned()]
    {
        add("broken", wrapped);
    }
    forgeries
}

fn join(header: &Value, claims: &Value, signature: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", encode(header), encode(claims))
}

/// Claims that a parser which believes in private names reads with a recursion without bound.
fn nested(good: &str) -> String {
    let mut claims = String::from("[]");
    for _ in 0..5 {
        let hidden = Value::from(claims.as_str()).to_string();
        claims =
            format!(r#"{}{{"$serde_json::private::RawValue":{hidden}}}{}"#, "[".repeat(110), "]".repeat(110));
    }
    let mut parts = good.split('.');
    let (header, signature) = (parts.next().unwrap(), parts.next_back().unwrap());
    format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(format!(r#"{{"a":{claims}}}"#)))
}
