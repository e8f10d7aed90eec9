//! When a token is valid: `exp`, `nbf`, `iat`, and for how long.

use super::*;

#[test]
fn a_token_from_the_future_is_refused() {
    for iat in [0, NOW, NOW + LEEWAY] {
        assert_eq!(verify(&json!({"iat": iat})).unwrap().issued_at, Some(iat));
    }
    for iat in [NOW + LEEWAY + 1, NOW + 600, 253_402_300_799] {
        refuses(&verify(&json!({"iat": iat})), "TOKEN_NOT_YET_VALID", StatusCode::UNAUTHORIZED);
    }
    assert_eq!(verify(&json!({})).unwrap().issued_at, None);
}

#[test]
fn a_lifetime_has_the_configured_bound() {
    let policy = Policy { max_lifetime: Some(Duration::from_secs(3600)), ..policy(LEEWAY) };
    let verifier = Verifier::new(vec![Issuer::with_secret(&secret())], policy);
    let verify =
        |changes: Value| verifier.verify_known(&mint(&claims(&changes), &secret()).unwrap(), at(NOW));
    assert!(verify(json!({"exp": NOW + 3600})).is_ok());
    assert!(verify(json!({"exp": NOW + 600, "iat": NOW - 3000})).is_ok());
    for changes in [
        json!({"exp": NOW + 3601}),
        json!({"exp": NOW + 601, "iat": NOW - 3000}),
        // A clock that is ahead makes no token last longer.
        json!({"exp": NOW + 3601, "iat": NOW + LEEWAY}),
        json!({"exp": 253_402_300_799_u64}),
    ] {
        refuses(&verify(changes), "TOKEN_LIFETIME", StatusCode::UNAUTHORIZED);
    }
}

#[test]
fn a_token_is_valid_before_exp_and_the_leeway() {
    let verify_at = |exp: Value, now: SystemTime| {
        let token = mint(&claims(&json!({"exp": exp})), &secret()).unwrap();
        verifier(None, None).verify_known(&token, now)
    };
    let border = NOW + LEEWAY;
    assert!(verify_at(json!(NOW), at(border - 1)).is_ok());
    assert!(verify_at(json!(NOW), at(border) - Duration::from_nanos(1)).is_ok());
    for now in [border, border + 1, border + 1_000_000] {
        let result = verify_at(json!(NOW), at(now));
        refuses(&result, "TOKEN_EXPIRED", StatusCode::UNAUTHORIZED);
    }
    // Within the leeway the claim is told as it is.
    assert_eq!(verify_at(json!(NOW), at(border - 1)).unwrap().expires_at, NOW);

    let half: Value = text::parse(format!("{NOW}.5").as_bytes()).unwrap();
    assert_eq!(verify_at(half.clone(), at(border)).unwrap().expires_at, NOW);
    refuses(&verify_at(half, at(border + 1)), "TOKEN_EXPIRED", StatusCode::UNAUTHORIZED);
    refuses(&verify_at(json!(0), at(NOW)), "TOKEN_EXPIRED", StatusCode::UNAUTHORIZED);
    // A clock before 1970 counts as 1970.
    assert!(verify_at(json!(1), SystemTime::UNIX_EPOCH - Duration::from_secs(1)).is_ok());
}

#[test]
fn a_token_is_valid_from_nbf_less_the_leeway() {
    for nbf in [0, NOW, NOW + LEEWAY] {
        assert!(verify(&json!({"nbf": nbf})).is_ok(), "{nbf}");
    }
    for nbf in [NOW + LEEWAY + 1, NOW + 1_000_000] {
        let result = verify(&json!({"nbf": nbf}));
        refuses(&result, "TOKEN_NOT_YET_VALID", StatusCode::UNAUTHORIZED);
    }
}

#[test]
fn points_in_time_are_seconds_since_1970() {
    refuses(&verify(&json!({"exp": null})), "TOKEN_TIME", StatusCode::UNAUTHORIZED);
    let wrong = [
        r#""1790000060""#,
        "-1",
        "true",
        "[1790000060]",
        "{}",
        "1790000060000",
        "253402300800",
        "1e400",
        "-1e400",
        "-0.5",
        "18446744073709551616",
        "\"NaN\"",
    ];
    for value in wrong.map(|text| text::parse(text.as_bytes()).unwrap()) {
        for claim in ["exp", "nbf", "iat"] {
            let result = verify(&json!({(claim): value}));
            refuses(&result, "TOKEN_TIME", StatusCode::UNAUTHORIZED);
        }
    }
    let last = verify(&json!({"exp": 253_402_300_799_u64})).unwrap();
    assert_eq!(last.expires_at, 253_402_300_799);
    // A null among the claims is no way around either.
    for claim in ["nbf", "iat"] {
        let payload = format!(r#"{{"sub":"ada","tenant":"ops","exp":{},"{claim}":null}}"#, NOW + 60);
        refuses_text(&forge(HS256, &payload, SECRET, Algorithm::HS256), "TOKEN_TIME");
    }
}
