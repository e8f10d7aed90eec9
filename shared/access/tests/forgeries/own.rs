//! What somebody tries who has a good token, or signs with a key of an issuer.

use super::*;

/// Well signed, with a header that no issuer writes.
pub(crate) fn own_headers(attempts: &mut Attempts, issuer: &str, key: &SigningKey) {
    let alg = own_name(issuer);
    let claims = claims(issuer).to_string();
    let fixed = [
        "",
        "{}",
        "null",
        "true",
        "1",
        "\"HS256\"",
        "[]",
        "{",
        "\u{feff}{}",
        r#"{"alg":null}"#,
        r#"{"alg":1}"#,
        r#"{"alg":["RS256"]}"#,
        r#"{"alg":{"a":1}}"#,
    ];
    for header in fixed {
        attempts.try_one("header", &key.sign(header, &claims));
    }
    for crit in ["null", "[]", "[\"exp\"]", "[\"b64\"]", "[\"alg\"]", "\"exp\"", "{}", "0", "[null]"] {
        attempts.try_one(
            "critical extension",
            &key.sign(&format!(r#"{{"alg":"{alg}","crit":{crit}}}"#), &claims),
        );
        let header = format!(r#"{{"alg":"{alg}","b64":false,"exp":1,"crit":{crit}}}"#);
        attempts.try_one("critical extension", &key.sign(&header, &claims));
    }
    for typ in
        ["logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "JOSE+JSON", "", "application/", "text/at+jwt"]
    {
        attempts.try_one("type", &key.sign(&json!({"alg": alg, "typ": typ}).to_string(), &claims));
    }
    for typ in ["null", "1", "[\"JWT\"]", "{}"] {
        attempts.try_one("type", &key.sign(&format!(r#"{{"alg":"{alg}","typ":{typ}}}"#), &claims));
    }
    for header in [
        format!(r#"["{alg}"]"#),
        format!(r#"["{alg}","k1",null]"#),
        format!(r#"[{{"alg":"{alg}"}}]"#),
        format!(r#"{{"alg":"none","alg":"{alg}"}}"#),
        format!(r#"{{"alg":"{alg}","alg":"{alg}"}}"#),
        format!(r#"{{"alg":"{alg}","\u0061lg":"none"}}"#),
        format!(r#"{{"alg":"{alg}","kid":"k1","kid":"k1"}}"#),
        format!(r#"{{"alg":"{alg}","x":{{"a":1,"a":1}}}}"#),
        format!(r#"{{"alg":"{alg}"}}{{}}"#),
        format!(r#"{{"alg":"{alg}"}} x"#),
        format!(r#"{{"alg":"{alg}",}}"#),
        format!(r#"{{alg:"{alg}"}}"#),
        format!("{{'alg':'{alg}'}}"),
        format!(r#"{{"ALG":"{alg}"}}"#),
        format!(r#"{{"alg ":"{alg}"}}"#),
        format!(r#"{{"alg":"{alg}","x":{}}}"#, "[".repeat(10_000)),
        format!(r#"{{"alg":"{alg}","x":{{"$serde_json::private::RawValue":"[]"}}}}"#),
    ] {
        attempts.try_one("header", &key.sign(&header, &claims));
    }
}

/// Well signed, and not for us, not for now, or not for anybody.
pub(crate) fn own_claims(attempts: &mut Attempts, issuer: &str, key: &SigningKey) {
    let mut sign = |kind, claims: &str| attempts.try_one(kind, &key.sign(&header(own_name(issuer)), claims));
    let numbers = [
        "0",
        "-1",
        "-1e400",
        "1e400",
        "1790000060000",
        "253402300800",
        "18446744073709551616",
        "null",
        "true",
        "\"1790000060\"",
        "\"NaN\"",
        "[]",
        "[1790000060]",
        "{}",
        "1e-400",
        "-0",
    ];
    let text = claims(issuer).to_string();
    for number in numbers {
        sign("time", &text.replace(&format!("\"exp\":{}", NOW + 60), &format!("\"exp\":{number}")));
        let is_past = ["0", "1e-400", "-0"].contains(&number);
        if !is_past {
            sign("time", &text.replacen('{', &format!("{{\"nbf\":{number},"), 1));
            sign("time", &text.replace(&format!("\"iat\":{}", NOW - 60), &format!("\"iat\":{number}")));
        }
    }
    for later in [NOW + 31, NOW + 600, 253_402_300_799] {
        sign("time", &with(claims(issuer), "iat", json!(later)).to_string());
        sign("time", &with(claims(issuer), "nbf", json!(later)).to_string());
    }
    for other in [
        json!(null),
        json!(""),
        json!(["x"]),
        json!({"tidings": 1}),
        json!([["tidings"]]),
        json!(1),
        json!("tidings "),
    ] {
        sign("audience", &with(claims(issuer), "aud", other).to_string());
    }
    for tenant in [
        json!(null),
        json!(["ops"]),
        json!("ops"),
        json!("OPS"),
        json!("*"),
        json!(">"),
        json!("a.b"),
        json!(1),
    ] {
        sign("tenant", &with(claims(issuer), "tenant", tenant).to_string());
    }
    for subject in [json!(null), json!(""), json!(1), json!(["ada"]), json!({"sub": "ada"})] {
        sign("subject", &with(claims(issuer), "sub", subject).to_string());
    }
    for claim in ["iss", "aud", "sub", "tenant", "exp"] {
        let mut less = claims(issuer);
        less.as_object_mut().unwrap().remove(claim);
        sign("missing claim", &less.to_string());
        sign(
            "member twice",
            &text.replacen('{', &format!("{{{}:{},", json!(claim), claims(issuer)[claim]), 1),
        );
        let nested = with(less, "all", claims(issuer)).to_string();
        sign("missing claim", &nested);
    }
    for other in ["", "null", "[]", "\"x\"", "{", "{}{}", "\u{0}", "\u{feff}"] {
        sign("claims", other);
    }
    sign("claims", &format!("[{text}]"));
    sign("claims", &format!("{text}{text}"));
    sign("claims", &format!("{text}\u{0}"));
    sign("claims", &format!("\u{feff}{text}"));
    // A token in a token (RFC 7519, section 5.2).
    sign("claims", &key.sign(&header(own_name(issuer)), &text));
}

/// The same bytes in other letters: one token has one text.
pub(crate) fn spellings(attempts: &mut Attempts, good: &str) {
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{good}") };
    for tail in [".", "..", ".x", "=", "==", " ", "\n", "\r\n", "\0", "\u{feff}", ",", ";", "%00", "#", "?"] {
        attempts.try_one("trailing", &format!("{good}{tail}"));
        attempts.try_one("trailing", &format!("{tail}{good}"));
        attempts.try_one("trailing", &format!("{header}{tail}.{claims}.{signature}"));
        attempts.try_one("trailing", &format!("{header}.{claims}{tail}.{signature}"));
    }
    let bytes = parts.iter().map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect::<Vec<_>>();
    for (index, bytes) in bytes.iter().enumerate() {
        let mut other = |text: String| {
            let mut parts = parts.clone();
            if parts[index] != text {
                parts[index] = &text;
                attempts.try_one("base64", &parts.join("."));
            }
        };
        other(STANDARD.encode(bytes));
        other(URL_SAFE.encode(bytes));
        other(STANDARD.encode(STANDARD.encode(bytes)));
        other(format!("{}\n", parts[index]));
        other(parts[index].to_ascii_lowercase());
        // Bits that fill up the last letter and say nothing.
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for letter in letters {
            let (last, rest) = parts[index].as_bytes().split_last().unwrap();
            if last != letter {
                other(String::from_utf8([rest, &[*letter]].concat()).unwrap());
            }
        }
    }
    // The other serializations of RFC 7515, and of RFC 7516.
    attempts.try_one(
        "form",
        &json!({"protected": header, "payload": claims, "signature": signature}).to_string(),
    );
    attempts.try_one("form", &format!("{header}..{signature}"));
    attempts.try_one("form", &format!("{header}.{claims}"));
    attempts.try_one("form", &format!("{header}.{claims}.{signature}.{signature}.{signature}"));
    attempts.try_one("form", &format!("Bearer {good}"));
    attempts.try_one("form", &format!("\"{good}\""));
}

pub(crate) fn altered(attempts: &mut Attempts, good: &str) {
    for index in 0..good.len() {
        let by = if good.as_bytes()[index] == b'A' { "B" } else { "A" };
        let mut text = good.to_owned();
        text.replace_range(index..=index, by);
        attempts.try_one("altered", &text);
    }
    for length in (0..good.len()).step_by(7) {
        attempts.try_one("altered", &good[..length]);
    }
}

/// Each issuer signs in the name of each other, and for its tenant.
pub(crate) fn other_issuers(attempts: &mut Attempts, world: &World) {
    for (kind, key) in &world.own {
        for (other, _) in world.own.iter().filter(|(other, _)| other != kind) {
            for alg in [own_name(kind), own_name(other)] {
                attempts.try_one("other issuer", &key.sign(&header(alg), &claims(other).to_string()));
                let of_other = with(claims(kind), "tenant", json!(other)).to_string();
                attempts.try_one("other issuer", &key.sign(&header(alg), &of_other));
            }
        }
        for name in [
            json!(format!("{kind}/")),
            json!(kind.to_uppercase()),
            json!([kind]),
            json!({"iss": kind}),
            json!(1),
            json!(null),
            json!(""),
            json!("secret"),
            json!(format!(" {kind}")),
        ] {
            let claims = with(claims(kind), "iss", name).to_string();
            attempts.try_one("other issuer", &key.sign(&header(own_name(kind)), &claims));
        }
        let twice = claims(kind).to_string().replacen('{', "{\"iss\":\"secret\",", 1);
        attempts.try_one("other issuer", &key.sign(&header(own_name(kind)), &twice));
        let of_secret = claims("secret").to_string();
        attempts.try_one("other issuer", &hmac(&header("HS256"), &of_secret, &[7; 32], Signature::HS256));
    }
}
