//! Which pages may send a cookie, and connect at all.

use super::*;

#[test]
fn a_cookie_needs_an_allowed_origin() {
    let cookie = (COOKIE, "session=a.b.c");
    let with = |origin| [AT, cookie.clone(), (ORIGIN, origin)];
    for origin in ["https://api.example", "https://app.example", "https://APP.example:443"] {
        finds(&with(origin), "", "a.b.c");
    }
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://api.example.evil.example",
    ] {
        refuses(&with(origin), "", "ORIGIN_FOREIGN", StatusCode::FORBIDDEN);
    }
    for origin in ["null", "", "app.example", "https://app.example/path", "https://*"] {
        refuses(&with(origin), "", "ORIGIN_MISSING", StatusCode::FORBIDDEN);
    }
    refuses(&[AT, cookie.clone()], "", "ORIGIN_MISSING", StatusCode::FORBIDDEN);

    let foreign = (ORIGIN, "https://evil.example");
    refuses(&[AT, cookie.clone(), OWN, foreign], "", "ORIGIN_MISSING", StatusCode::FORBIDDEN);
    // Without exactly one `Host` there is no origin of its own.
    refuses(&[cookie.clone(), OWN], "", "ORIGIN_FOREIGN", StatusCode::FORBIDDEN);
    let hosts = [AT, (HOST, "other.example"), cookie.clone(), OWN];
    refuses(&hosts, "", "ORIGIN_FOREIGN", StatusCode::FORBIDDEN);
    // The page is judged before what it sends.
    let broken = (COOKIE, "session=a b");
    refuses(&[AT, broken, (ORIGIN, "null")], "", "ORIGIN_MISSING", StatusCode::FORBIDDEN);
}

/// What went over the network in the clear may have been written by anybody on the way.
#[test]
fn a_page_of_http_is_trusted_only_where_there_is_no_tls() {
    let headers = HeaderMap::from_iter(
        [(COOKIE, "session=a.b.c"), (HOST, "app.example"), (ORIGIN, "http://app.example")]
            .map(|(name, value)| (name, HeaderValue::from_static(value))),
    );
    let ask = |transport, rules: &Rules| {
        find(Asking { headers: &headers, query: None, transport }, rules).map_err(|refusal| refusal.code())
    };
    let allowed = Rules { allowed_origins: vec!["http://app.example".parse().unwrap()], ..Rules::default() };
    for transport in [Transport::Secured, Transport::Unknown] {
        assert_eq!(ask(transport, &Rules::default()), Err("ORIGIN_FOREIGN"));
        assert!(ask(transport, &allowed).is_ok(), "what is configured counts");
    }
    assert!(ask(Transport::Plain, &Rules::default()).is_ok());
}

#[test]
fn apps_have_origins_too() {
    let origins = ["capacitor://localhost", "ionic://localhost", "tauri://localhost", "app://bundle"];
    let rules = Rules {
        allowed_origins: origins.iter().map(|one| one.parse().unwrap()).collect(),
        ..Rules::default()
    };
    let check = |origin: &str, expected: Result<(), &str>| {
        let headers = HeaderMap::from_iter(
            [(ORIGIN, origin), (HOST, "localhost")]
                .map(|(name, value)| (name, HeaderValue::from_str(value).unwrap())),
        );
        let checked = check_origin(over_tls(&headers, None), &rules).map_err(|refusal| refusal.code());
        assert_eq!(checked, expected, "{origin}");
    };
    for origin in origins {
        check(origin, Ok(()));
    }
    check("capacitor://localhost:1", Err("ORIGIN_FOREIGN"));
    check("other://localhost", Err("ORIGIN_FOREIGN"));
    check("null", Err("ORIGIN_MISSING"));
    check("file://", Err("ORIGIN_MISSING"));
}
