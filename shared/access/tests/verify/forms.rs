//! What a token consists of: texts that are none, members of another type, and nesting without end.

use super::*;

#[test]
fn what_is_no_signed_token_is_refused() {
    let good = mint(&claims(&json!({})), &secret()).unwrap();
    let parts: Vec<&str> = good.expose().split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("{} parts", parts.len()) };

    refuses_text(&format!("{header}.{payload}."), "TOKEN_SIGNATURE");
    refuses_text(&format!("{header}.{payload}.{}", &signature[..20]), "TOKEN_SIGNATURE");
    for text in [
        "",
        "undefined",
        ".",
        "..",
        "...",
        &format!("{header}.{payload}"),
        &format!("{header}..{signature}.{payload}"),
        &format!("{header}.{payload}.{signature}="),
        &format!("{header}.{payload}.+/+/"),
        &format!("{header}=.{payload}.{signature}"),
        &format!("{header}.{payload}.{signature}.{signature}"),
        &format!("{header}.{payload}.{signature} "),
        &format!("{header}.{payload}.{signature}\u{e4}"),
        &format!("{header}.{payload}.{signature}\n"),
    ] {
        refuses_text(text, "TOKEN_MALFORMED");
    }
    for length in [Policy::default().max_token_bytes + 1, Token::MAX_LENGTH + 1] {
        let huge = "a".repeat(length);
        refuses_text(&huge, "TOKEN_TOO_LONG");
        refuses_text(&format!("{header}.{huge}.{signature}"), "TOKEN_TOO_LONG");
    }
}

#[test]
fn headers_and_payloads_are_json_objects() {
    let payload = serde_json::to_string(&claims(&json!({}))).unwrap();
    let signed = |header: &str, payload: &str| forge(header, payload, SECRET, Algorithm::HS256);
    for header in [
        "",
        "{}",
        "null",
        "[]",
        "HS256",
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"["HS256",null,null]"#,
        r#"["HS256"]"#,
        r#"{"alg":"HS256","kid":null}"#,
        r#"{"alg":"HS256","typ":null}"#,
        r#"{"alg":"HS256","typ":["JWT"]}"#,
        r#"{"alg":"HS256","x":{"a":1,"a":2}}"#,
        r#"{"alg":"HS256","\u0061lg":"HS256"}"#,
    ] {
        refuses_text(&signed(header, &payload), "TOKEN_MALFORMED");
    }
    let deep = format!("{{\"sub\":{}", "[".repeat(4000));
    let twice = r#"{"sub":"ada","tenant":"ops","exp":1790000060,"tenant":"cnc"}"#;
    let list = r#"["ada","ops",1790000060]"#;
    for payload in ["", "null", "[]", "\"ada\"", "{", "{} {}", "\u{0}", list, twice, &deep] {
        refuses_text(&signed(HS256, payload), "TOKEN_MALFORMED");
    }
}

/// Text that a naive parser unwraps level by level, each with a limit of depth of its own.
fn nested(name: &str, brackets: usize, levels: usize) -> String {
    (0..levels).fold("[]".to_owned(), |inner, _| {
        let (open, close) = ("[".repeat(brackets), "]".repeat(brackets));
        format!("{open}{{\"{name}\":{}}}{close}", Value::from(inner))
    })
}

#[test]
fn nothing_nested_overflows_the_stack_whoever_has_signed_it() {
    let check = move || {
        for name in ["$serde_json::private::RawValue", "\\u0024serde_json::private::RawValue", "a"] {
            let deep = nested(name, 110, 9);
            for claims in [format!("{{\"a\":{deep}}}"), format!("{{\"iss\":{deep}}}"), deep.clone()] {
                let [header, claims] =
                    [r#"{"alg":"HS256"}"#, &claims].map(|part| URL_SAFE_NO_PAD.encode(part));
                let unsigned = Token::parse(&format!("{header}.{claims}.x")).unwrap();
                assert!(verifier(None, None).verify_known(&unsigned, at(NOW)).is_err());
            }
            let policy = Policy { max_token_bytes: Token::MAX_LENGTH, ..policy(LEEWAY) };
            let verifier = Verifier::new(vec![Issuer::with_secret(&secret())], policy);
            let signed = [
                forge(&format!("{{\"alg\":\"HS256\",\"jwk\":{deep}}}"), "{}", SECRET, Algorithm::HS256),
                forge(HS256, &format!("{{\"a\":{deep}}}"), SECRET, Algorithm::HS256),
            ];
            for token in signed {
                let refused = verifier.verify_known(&Token::parse(&token).unwrap(), at(NOW));
                let expected = if name == "a" { "TOKEN_TIME" } else { "TOKEN_MALFORMED" };
                assert_eq!(refused.unwrap_err().code(), expected);
            }
        }
    };
    // What a thread of the gateway has.
    std::thread::Builder::new().stack_size(2 << 20).spawn(check).unwrap().join().unwrap();
}
