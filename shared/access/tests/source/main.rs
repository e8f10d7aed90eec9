//! Where a token may be in a handshake, and which one counts.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod origins;

use std::slice::from_ref;

use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;
use tidings_access::{Asking, Refusal, Rules, Token, TokenPlace, Transport, check_origin, find};

const OWN: (HeaderName, &str) = (ORIGIN, "https://api.example");
const AT: (HeaderName, &str) = (HOST, "api.example");

fn ask(headers: &[(HeaderName, &str)], query: &str) -> Result<Token, Refusal> {
    ask_in(&Rules::default().places, headers, query)
}

/// Asks where only these places are looked at.
fn ask_in(places: &[TokenPlace], headers: &[(HeaderName, &str)], query: &str) -> Result<Token, Refusal> {
    let allowed_origins = vec!["https://app.example".parse().unwrap()];
    let rules = Rules { places: places.to_vec(), allowed_origins, ..Rules::default() };
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value.as_bytes()).unwrap()))
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
    find(over_tls(&headers, (!query.is_empty()).then_some(query)), &rules)
}

fn over_tls<'r>(headers: &'r HeaderMap, query: Option<&'r str>) -> Asking<'r> {
    Asking { headers, query, transport: Transport::Secured }
}

#[track_caller]
fn finds(headers: &[(HeaderName, &str)], query: &str, expected: &str) {
    assert_eq!(ask(headers, query).as_ref().map(Token::expose), Ok(expected));
}

#[track_caller]
fn refuses(headers: &[(HeaderName, &str)], query: &str, code: &str, status: StatusCode) {
    let refusal = ask(headers, query).expect_err("the request was let in");
    assert_eq!((refusal.code(), refusal.status()), (code, status), "{refusal}");
}

#[test]
fn the_header_is_read() {
    finds(&[(AUTHORIZATION, "Bearer a.b.c")], "", "a.b.c");
    finds(&[(AUTHORIZATION, "bearer   a.b.c ")], "", "a.b.c");
    for other in ["a.b.c", "Bearer", "", "Basic YTpi", "Bearera.b.c", "Bearer\ta.b.c", "ä b"] {
        refuses(&[(AUTHORIZATION, other)], "", "TOKEN_SCHEME", StatusCode::UNAUTHORIZED);
    }
    for other in ["Bearer ", "Bearer a b", "Bearer \"a\"", "Bearer a,b"] {
        refuses(&[(AUTHORIZATION, other)], "", "TOKEN_MALFORMED", StatusCode::UNAUTHORIZED);
    }
}

#[test]
fn the_query_is_decoded() {
    for query in [
        "token=a.b.c",
        "device=phone&token=a.b.c&since=1-2",
        "Authorization=a.b.c",
        "Authorization=Bearer%20a.b.c",
        "Authorization=bearer+a.b.c",
        "token=Bearer+a.b.c",
        "token=%61%2Eb%2ec",
        "%74oken=a.b.c",
        "token=a.b.c&Authorization=Bearer+a.b.c",
        "&&token=a.b.c&",
    ] {
        finds(&[], query, "a.b.c");
    }
    finds(&[], "token=a%2Bb", "a+b");
    for query in ["token=", "token", "token=a+b", "token=%ff", "token=%", "Authorization=Bearer+"] {
        refuses(&[], query, "TOKEN_MALFORMED", StatusCode::UNAUTHORIZED);
    }
    for query in ["", "tokens=a.b.c", "TOKEN=a.b.c", "device=token"] {
        refuses(&[], query, "TOKEN_MISSING", StatusCode::UNAUTHORIZED);
    }
}

#[test]
fn the_cookie_is_found_among_others() {
    for cookies in [
        "session=a.b.c",
        "theme=dark; session=a.b.c; x=y",
        "theme=dark;session=a.b.c",
        "session=\"a.b.c\"",
        "xsession=1; session2=2; session=a.b.c; =; ;bare",
        "strange=\u{e4}\u{f6}; session=a.b.c",
        "session=a.b.c; session=a.b.c",
        "session=; session=a.b.c",
    ] {
        finds(&[AT, OWN, (COOKIE, cookies)], "", "a.b.c");
    }
    finds(&[AT, OWN, (COOKIE, "x=y"), (COOKIE, "session=a.b.c")], "", "a.b.c");
    for cookies in ["", "x=y", "session=", "session=\"\"", "Session=a.b.c", "session"] {
        refuses(&[AT, OWN, (COOKIE, cookies)], "", "TOKEN_MISSING", StatusCode::UNAUTHORIZED);
    }
    refuses(&[AT, OWN, (COOKIE, "session=a b")], "", "TOKEN_MALFORMED", StatusCode::UNAUTHORIZED);
}

#[test]
fn the_cookies_name_is_a_setting() {
    let rules = Rules { cookie: "sid".to_owned(), ..Rules::default() };
    let mut headers = HeaderMap::new();
    headers.insert(ORIGIN, HeaderValue::from_static("http://127.0.0.1:8080"));
    headers.insert(HOST, HeaderValue::from_static("127.0.0.1:8080"));
    headers.insert(COOKIE, HeaderValue::from_static("session=other; sid=a.b.c"));
    assert_eq!(
        find(Asking { headers: &headers, query: None, transport: Transport::Plain }, &rules)
            .as_ref()
            .map(Token::expose),
        Ok("a.b.c")
    );

    headers.remove(COOKIE);
    let refusal =
        find(Asking { headers: &headers, query: None, transport: Transport::Plain }, &rules).unwrap_err();
    assert!(refusal.to_string().contains("cookie `sid`"), "{refusal}");
}

#[test]
fn places_that_were_not_chosen_are_not_looked_at() {
    let header = (AUTHORIZATION, "Bearer in.a.header");
    let subprotocol = (SEC_WEBSOCKET_PROTOCOL, "tidings.v1, bearer.in.a.subprotocol");
    let headers = [AT, OWN, header, subprotocol, (COOKIE, "session=in.a.cookie")];
    let query = "token=in.a.query";
    let check = |places: &[TokenPlace], expected: &str| {
        let found = ask_in(places, &headers, query);
        assert_eq!(found.as_ref().map(Token::expose), Ok(expected), "{places:?}");
    };
    check(&[TokenPlace::Header], "in.a.header");
    check(&[TokenPlace::Query], "in.a.query");
    check(&[TokenPlace::Cookie], "in.a.cookie");
    check(&[TokenPlace::Subprotocol], "in.a.subprotocol");
    check(&[TokenPlace::Cookie, TokenPlace::Header], "in.a.header");
    check(&[TokenPlace::Cookie, TokenPlace::Subprotocol], "in.a.subprotocol");
    let two = ask_in(&[TokenPlace::Header, TokenPlace::Subprotocol], &headers, query);
    assert_eq!(two.unwrap_err().code(), "TOKEN_AMBIGUOUS");

    let nothing = ask_in(&[TokenPlace::Header, TokenPlace::Subprotocol], &[], query).unwrap_err();
    let expected = "no token was given; expected the header `Authorization: Bearer <token>`, or the subprotocol \
                    `bearer.<token>`";
    assert_eq!(nothing.to_string(), expected);
    // What is wrong in a place that does not count is not wrong.
    assert!(ask_in(&[TokenPlace::Query], &[(AUTHORIZATION, "Basic YTpi")], query).is_ok());
}

#[test]
fn a_subprotocol_may_be_the_token() {
    let ask = |values: &[&str]| {
        let headers: Vec<_> = values.iter().map(|value| (SEC_WEBSOCKET_PROTOCOL, *value)).collect();
        ask_in(&[TokenPlace::Subprotocol], &headers, "")
    };
    for values in [
        &["tidings.v1, bearer.a.b.c"][..],
        &["bearer.a.b.c"],
        &["bearer.a.b.c,tidings.v1"],
        &["tidings.v1", " bearer.a.b.c "],
        &["bearer.a.b.c, bearer.a.b.c"],
        &[",, ,bearer.a.b.c,"],
    ] {
        assert_eq!(ask(values).as_ref().map(Token::expose), Ok("a.b.c"), "{values:?}");
    }
    let refuses =
        |values: &[&str], code: &str| assert_eq!(ask(values).unwrap_err().code(), code, "{values:?}");
    refuses(&["tidings.v1"], "TOKEN_MISSING");
    refuses(&["Bearer.a.b.c"], "TOKEN_MISSING");
    refuses(&["bearer a.b.c"], "TOKEN_MISSING");
    refuses(&["bearer."], "TOKEN_MALFORMED");
    refuses(&["bearer.\u{e4}"], "TOKEN_MALFORMED");
    refuses(&["bearer.a b"], "TOKEN_MALFORMED");
    refuses(&["bearer.a, bearer.b"], "TOKEN_AMBIGUOUS");
    refuses(&[&format!("bearer.{}", "a".repeat(Token::MAX_LENGTH + 1))], "TOKEN_TOO_LONG");
}

/// A browser adds the password of a staging host to each request there.
#[test]
fn a_token_beside_other_credentials_is_found() {
    let basic = (AUTHORIZATION, "Basic c3RhZ2U6c2VjcmV0");
    let all = [TokenPlace::Header, TokenPlace::Query, TokenPlace::Cookie, TokenPlace::Subprotocol];
    let check = |headers: &[(HeaderName, &str)], query: &str| {
        let found = ask_in(&all, headers, query);
        assert_eq!(found.as_ref().map(Token::expose), Ok("a.b.c"), "{headers:?} {query}");
    };
    for other in ["Basic c3RhZ2U6c2VjcmV0", "Digest username=\"a\"", "Negotiate YII=", "ä b", ""] {
        let other = (AUTHORIZATION, other);
        check(from_ref(&other), "token=a.b.c");
        check(from_ref(&other), "Authorization=Bearer%20a.b.c");
        check(&[other.clone(), (AUTHORIZATION, "Bearer a.b.c")], "");
        check(&[AT, OWN, other.clone(), (COOKIE, "session=a.b.c")], "");
        check(&[other, (SEC_WEBSOCKET_PROTOCOL, "tidings.v1, bearer.a.b.c")], "");
    }
    check(&[AT, OWN, (COOKIE, "other=x; session=a.b.c; theirs=\"y z\"")], "Authorization=Basic%20eA");
    check(&[(AUTHORIZATION, "Bearer a.b.c"), (COOKIE, "session=left.over")], "x=y");
    refuses(from_ref(&basic), "", "TOKEN_SCHEME", StatusCode::UNAUTHORIZED);
    refuses(&[basic], "Authorization=Basic%20eA", "TOKEN_SCHEME", StatusCode::UNAUTHORIZED);
}

#[test]
fn a_token_given_on_purpose_wins_over_a_cookie() {
    let cookie = (COOKIE, "session=left.over.one");
    finds(&[AT, OWN, cookie.clone()], "token=a.b.c", "a.b.c");
    finds(&[cookie.clone(), (AUTHORIZATION, "Bearer a.b.c")], "", "a.b.c");
    // A broken one does not fall back to it.
    refuses(&[AT, OWN, cookie], "token=", "TOKEN_MALFORMED", StatusCode::UNAUTHORIZED);
}

#[test]
fn different_tokens_of_equal_rank_are_refused() {
    let header = (AUTHORIZATION, "Bearer a.b.c");
    finds(from_ref(&header), "token=a.b.c", "a.b.c");
    finds(&[header.clone(), header.clone()], "", "a.b.c");
    let check = |headers: &[(HeaderName, &str)], query: &str| {
        refuses(headers, query, "TOKEN_AMBIGUOUS", StatusCode::UNAUTHORIZED);
    };
    check(from_ref(&header), "token=x.y.z");
    check(from_ref(&header), "Authorization=x.y.z");
    check(&[header, (AUTHORIZATION, "Bearer x.y.z")], "");
    check(&[], "token=a.b.c&token=x.y.z");
    check(&[], "token=a.b.c&Authorization=x.y.z");
    check(&[AT, OWN, (COOKIE, "session=a.b.c; session=x.y.z")], "");
    check(&[AT, OWN, (COOKIE, "session=a.b.c"), (COOKIE, "session=x.y.z")], "");
}

#[test]
fn a_token_is_bounded() {
    let longest = "a".repeat(Token::MAX_LENGTH);
    finds(&[], &format!("token={longest}"), &longest);
    let refusal = ask(&[], &format!("token={longest}a")).unwrap_err();
    assert_eq!(refusal, Refusal::TooLong { length: Token::MAX_LENGTH + 1, max: Token::MAX_LENGTH });
    assert_eq!(refusal.status(), StatusCode::UNAUTHORIZED);
}

/// Bytes that an HTTP server can hand on as a header's value.
fn header_value() -> impl Strategy<Value = HeaderValue> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "(?i:bearer|session|null)?[ =;.]{0,3}[a-z.\"]{0,9}[;, ]?(session=)?.{0,9}"
            .prop_map(String::into_bytes),
        "https?://[a-z.:@/0-9]{0,20}".prop_map(String::into_bytes),
    ]
    .prop_filter_map("no header value", |bytes| HeaderValue::from_bytes(&bytes).ok())
}

/// Any bytes, and some that come close to a token.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let close = "(Bearer |session=|bearer\\.|tidings\\.v1, ?bearer\\.|https://)[a-zA-Z0-9._=; ,\"-]{0,30}";
    prop_oneof![prop::collection::vec(any::<u8>(), 0..60), close.prop_map(String::into_bytes)]
}

fn places() -> impl Strategy<Value = Vec<TokenPlace>> {
    prop::sample::subsequence(
        vec![TokenPlace::Header, TokenPlace::Query, TokenPlace::Cookie, TokenPlace::Subprotocol],
        1..=4,
    )
}

proptest! {
    /// Whatever bytes are in whatever place: there is a token of harmless characters, or a refusal with a code.
    #[test]
    fn any_bytes_anywhere_are_answered(
        values in prop::array::uniform4(prop::option::of(bytes())),
        query in prop::option::of(".{0,40}|(token|Authorization)=.{0,20}(&token=.{0,9})?"),
        places in places(),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in [AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL, ORIGIN].into_iter().zip(values) {
            // What is no header's value does not get past the HTTP library.
            if let Some(Ok(value)) = value.map(|bytes| HeaderValue::from_bytes(&bytes)) {
                headers.append(name, value);
            }
        }
        let rules = Rules { places, ..Rules::default() };
        match find(over_tls(&headers, query.as_deref()), &rules) {
            Ok(token) => prop_assert!(token.expose().bytes().all(|byte| byte.is_ascii_graphic())),
            Err(refusal) => prop_assert!(refusal.status().is_client_error() && !refusal.code().is_empty()),
        }
    }

    /// What is in a place that was not chosen makes no difference.
    #[test]
    fn other_places_are_not_looked_at(
        values in prop::array::uniform3(prop::option::of("(Bearer |session=|bearer\\.)?[ab.]{0,3}")),
        query in prop::option::of("(token|Authorization)=[ab.]{0,3}"),
        places in places(),
    ) {
        let request = |is_looked_at: &dyn Fn(TokenPlace) -> bool| {
            let mut headers = HeaderMap::from_iter([(ORIGIN, OWN.1), (HOST, AT.1)].map(|(name, value)| {
                (name, HeaderValue::from_static(value))
            }));
            let named = [(TokenPlace::Header, AUTHORIZATION), (TokenPlace::Cookie, COOKIE), (TokenPlace::Subprotocol, SEC_WEBSOCKET_PROTOCOL)];
            for ((place, name), value) in named.into_iter().zip(&values) {
                if let Some(value) = value.as_ref().filter(|_| is_looked_at(place)) {
                    headers.append(name, HeaderValue::from_str(value).unwrap());
                }
            }
            (headers, query.as_deref().filter(|_| is_looked_at(TokenPlace::Query)))
        };
        let rules = Rules { places: places.clone(), ..Rules::default() };
        let found = |(headers, query): (HeaderMap, Option<&str>)| find(over_tls(&headers, query), &rules);
        let (whole, chosen) = (found(request(&|_| true)), found(request(&|place| places.contains(&place))));
        prop_assert_eq!(whole, chosen);
    }

    #[test]
    fn any_request_is_answered(
        headers in prop::collection::vec(
            (prop::sample::select(vec![AUTHORIZATION, COOKIE, HOST, ORIGIN]), header_value()), 0..6,
        ),
        query in prop::option::of(
            prop_oneof![any::<String>(), "((token|Authorization)=[%+a-f0-9B ]{0,12}&?){0,3}"],
        ),
    ) {
        let headers = headers.into_iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
        match find(over_tls(&headers, query.as_deref()), &Rules::default()) {
            Ok(token) => prop_assert!((1..=Token::MAX_LENGTH).contains(&token.expose().len())),
            Err(refusal) => prop_assert!(refusal.status().is_client_error()),
        }
    }

    /// Whatever goes wrong, nobody reads a token in a log.
    #[test]
    fn no_token_is_ever_shown(
        secret in "[A-Za-z0-9_-]{24}\\.[A-Za-z0-9_-]{24}",
        form in prop::sample::select(vec!["{}", "Bearer {}", "Basic {}", "{} {}", "\"{}\"", "{}\u{e4}"]),
        origin in prop::sample::select(vec!["https://api.example", "https://evil.example", "null"]),
    ) {
        let value = form.replace("{}", &secret);
        let query = format!("token={value}");
        let cookie = format!("session={value}");
        for (headers, query) in [
            (vec![(AUTHORIZATION, &*value)], ""),
            (vec![(AUTHORIZATION, &*value)], "token=other"),
            (vec![], &*query),
            (vec![(COOKIE, &*cookie), (ORIGIN, origin), AT], ""),
            (vec![(COOKIE, &*cookie), (ORIGIN, &*value), AT], ""),
        ] {
            let shown = match ask(&headers, query) {
                Ok(token) => format!("{token:?}"),
                Err(refusal) => format!("{refusal} {refusal:?}"),
            };
            prop_assert!(!shown.contains(&secret), "{shown}");
        }
    }
}
