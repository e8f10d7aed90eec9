use serde_json::json;
use tidings_model::Tenant;
use tidings_runtime::config::GatewayConfig;
use tidings_streams::consumers::ConsumerName;

use super::*;

#[test]
fn the_device_is_what_stays_the_same_when_a_token_is_refreshed() {
    let names = GatewayConfig::default().device_claims;
    let check = |all: serde_json::Value, expected: &str| {
        let claims = Claims {
            subject: "ada".to_owned(),
            tenant: Tenant::parse("ops").unwrap(),
            expires_at: 0,
            issued_at: None,
            all: all.as_object().unwrap().clone(),
        };
        assert_eq!(device_of(&claims, &names), expected, "{all}");
    };
    check(json!({}), "default");
    check(json!({ "jti": "changes with each token" }), "default");
    check(json!({ "sid": "s", "origin_jti": "o", "jti": "j" }), "s");
    check(json!({ "session_state": "k" }), "k");
    check(json!({ "origin_jti": "o" }), "o");
    check(json!({ "sid": "", "session_id": "i" }), "i");
    check(json!({ "sid": null, "session_id": 7 }), "7");
}

/// The device of a query, or the code with which it is refused.
#[track_caller]
fn check(query: &str, expected: Result<Option<&str>, &str>) {
    let read = read_query(Some(query));
    let device = read.as_ref().map(|(device, _)| device.as_deref());
    let device = device.map_err(|error| error.code().as_str());
    assert_eq!(device, expected, "{query}");
}

#[test]
fn a_device_is_a_name_of_64_characters_in_any_script() {
    assert_eq!(read_query(None), Ok((None, None)));
    check("device=phone+1&token=x", Ok(Some("phone 1")));
    check("token=x", Ok(None));
    for letter in ["a", "é", "語", "😀"] {
        let (longest, longer) = (letter.repeat(64), letter.repeat(65));
        check(&format!("device={longest}"), Ok(Some(&longest)));
        check(&format!("device={longer}"), Err("DEVICE_NAME"));
        assert!(longest.len() <= ConsumerName::MAX_PART_LENGTH, "every device has a durable consumer");
    }
    check("device=", Err("DEVICE_NAME"));
    check("device=a%0Ab", Err("DEVICE_NAME"));
    check("device=a&device=a", Err("PARAMETER_REPEATED"));
    check("since=1-2&since=1-2", Err("PARAMETER_REPEATED"));
    check("since=yesterday", Err("POSITION"));
}

#[test]
fn one_of_those_offered_is_chosen_wherever_one_can_be() {
    let check = |offered: &[&'static str], expected: (Form, Option<&str>)| {
        let offered_by = |value: &&'static str| (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(value));
        let headers: HeaderMap = offered.iter().map(offered_by).collect();
        let (form, answer) = choose(&headers, true);
        let chosen = answer.as_ref().map(|answer| answer.to_str().unwrap());
        assert_eq!((form, chosen), expected, "{offered:?}");
        let is_token = chosen.is_some_and(|chosen| chosen.starts_with(BEARER));
        assert_eq!(answer.is_some_and(|answer| answer.is_sensitive()), is_token);
        assert!(choose(&headers, false).1.is_none_or(|answer| answer == SUBPROTOCOL));
    };
    check(&[], (Form::Plain, None));
    check(&["bearer.a.b.c"], (Form::Plain, Some("bearer.a.b.c")));
    check(&["other, bearer.a.b.c"], (Form::Plain, Some("bearer.a.b.c")));
    check(&["bearer.a.b.c, tidings.v1"], (Form::Sequenced, Some("tidings.v1")));
    check(&["bearer.a.b.c", "tidings.v1"], (Form::Sequenced, Some("tidings.v1")));
    check(&["other"], (Form::Plain, None));
}

#[test]
fn a_handshake_can_be_read_in_one_way_only() {
    let valid = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let code = |version: Version, method: Method, headers: &[(&str, &str)]| {
        let request = axum::http::Request::builder().version(version).method(method);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        Handshake::read(&head).err().map(|error| error.code().as_str())
    };
    let check = |headers: &[(&str, &str)], expected: Option<&str>| {
        assert_eq!(code(Version::HTTP_11, Method::GET, headers), expected, "{headers:?}");
    };
    let with = |header| [&valid[..], &[header]].concat();
    let without = |name| valid.into_iter().filter(|(other, _)| *other != name).collect::<Vec<_>>();
    check(&valid, None);
    check(&with(("content-length", "0")), None);
    check(&with(("content-length", "1")), Some("BODY_UNEXPECTED"));
    check(&with(("transfer-encoding", "chunked")), Some("BODY_UNEXPECTED"));
    check(&with(valid[2]), Some("HEADER_REPEATED"));
    check(&with(valid[3]), Some("HEADER_REPEATED"));
    check(&without("connection"), Some("UPGRADE_REQUIRED"));
    check(&without("upgrade"), Some("UPGRADE_REQUIRED"));
    check(&without("sec-websocket-version"), Some("WEBSOCKET_VERSION"));
    check(&without("sec-websocket-key"), Some("WEBSOCKET_KEY"));
    assert_eq!(code(Version::HTTP_11, Method::POST, &valid), Some("UPGRADE_REQUIRED"));
    assert_eq!(code(Version::HTTP_10, Method::GET, &valid), Some("HTTP_VERSION"));
}
