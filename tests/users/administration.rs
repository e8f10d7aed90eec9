//! The admin interface as a whole: each of its routes keeps what all of them promise.

use harness::{BOUND, SECRET, Setup, token};
use reqwest::header::{ALLOW, CACHE_CONTROL, COOKIE, ORIGIN};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::contacts::ONE;
use crate::site::{Site, admin, code, json_lines, request_with, token_of};

/// Every route, with a body where one is needed.
fn routes() -> Vec<(&'static str, &'static str, Option<Value>)> {
    vec![
        ("GET", "consumers", None),
        ("GET", "consumers/ada/phone", None),
        ("DELETE", "consumers/ada/phone", None),
        ("POST", "consumers/ada/phone/reset", Some(json!({ "to": "all" }))),
        ("GET", "users/ada", None),
        ("DELETE", "users/ada", None),
        ("GET", "users/ada/preferences", None),
        ("PUT", "users/ada/preferences", Some(json!({}))),
        ("POST", "users/ada/disable", Some(json!({ "reason": "x" }))),
        ("POST", "users/ada/enable", Some(json!({ "reason": "x" }))),
        ("POST", "users/ada/revoke", Some(json!({ "reason": "x" }))),
        ("GET", "users/ada/contacts", None),
        ("PUT", "users/ada/contacts", Some(json!({ "email": ["ada@example.com"] }))),
        ("DELETE", "users/ada/contacts", None),
        ("GET", "connections", None),
        ("DELETE", "connections?user=ada", None),
        ("DELETE", "connections/nowhere.0.1", None),
        ("GET", "rejections", None),
        ("GET", "rejections/1-1", None),
        ("POST", "rejections/1-1/retry", Some(json!({}))),
        ("DELETE", "rejections/1-1", None),
        ("GET", "deliveries", None),
        ("GET", "deliveries/ada/1-1-0-0", None),
        ("POST", "deliveries/ada/1-1-0-0/retry", Some(json!({}))),
    ]
}

/// An answer: the status, the headers and the body.
async fn answer(request: RequestBuilder) -> (u16, reqwest::header::HeaderMap, String) {
    let exchange = async {
        let response = request.send().await.expect("the gateway answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.text().await.expect("the answer is complete"))
    };
    tokio::time::timeout(BOUND, exchange).await.expect("the gateway answers in time")
}

#[tokio::test]
async fn every_route_keeps_what_all_of_them_promise() {
    let site = Site::with(Setup::default().variable("TIDINGS_CONTACTS__KEYS", ONE)).await;
    let (address, admin) = (site.system.address(), admin());
    let client = reqwest::Client::new();
    let url = |path: &str| format!("{address}/api/v1/{path}");
    let to = |method: &str, path: &str| client.request(method.parse::<Method>().unwrap(), url(path));
    let refused = async |what: &str, request: RequestBuilder, expected: (u16, &str)| {
        let (status, headers, body) = answer(request).await;
        assert_eq!((status, code(&body).as_str()), expected, "{what}: {body}");
        assert_eq!(headers[CACHE_CONTROL], "no-store", "{what}");
        headers
    };
    let json_body = |request: RequestBuilder, body: &str| {
        request.header("Content-Type", "application/json").body(body.to_owned())
    };
    for (method, path, body) in routes() {
        let name = format!("{method} {path}");
        let good = || match &body {
            Some(body) => json_body(to(method, path), &body.to_string()),
            None => to(method, path),
        };
        let with = |parameter: &str| {
            let separator = if path.contains('?') { '&' } else { '?' };
            to(method, &format!("{path}{separator}{parameter}"))
        };
        // A token in the header alone, and one with the scope.
        refused(&name, good(), (401, "TOKEN_MISSING")).await;
        refused(&name, with(&format!("token={admin}")), (401, "TOKEN_MISSING")).await;
        let cookie = good().header(COOKIE, format!("session={admin}")).header(ORIGIN, address);
        refused(&name, cookie, (401, "TOKEN_MISSING")).await;
        let user = token_of("ada", &json!({}));
        refused(&name, good().bearer_auth(user), (403, "SCOPE_MISSING")).await;
        // What is not understood is named.
        let (status, _, text) = answer(with("usr=ada").bearer_auth(&admin)).await;
        assert_eq!((status, code(&text).as_str()), (400, "PARAMETER"), "{name}: {text}");
        assert!(text.contains("usr"), "{name}: {text}");
        if body.is_none() {
            let body = json_body(to(method, path), r#"{"user":"ada"}"#).bearer_auth(&admin);
            refused(&name, body, (400, "BODY_UNEXPECTED")).await;
        } else {
            for body in [r#"{"resaon":"x"}"#, r#"{"to":"all","more":1}"#, "[]", "{", "\"x\""] {
                let body = json_body(to(method, path), body).bearer_auth(&admin);
                refused(&name, body, (400, "BODY")).await;
            }
            let form = to(method, path).bearer_auth(&admin).body("reason=x");
            refused(&name, form, (415, "CONTENT_TYPE")).await;
            let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(70_000));
            let long = json_body(to(method, path), &long).bearer_auth(&admin);
            refused(&name, long, (413, "BODY_TOO_LARGE")).await;
        }
        let headers =
            refused(&name, to("PATCH", path).bearer_auth(&admin), (405, "METHOD_NOT_ALLOWED")).await;
        assert!(headers[ALLOW].to_str().unwrap().split(',').any(|allowed| allowed == method), "{headers:?}");
        // As it should be.
        let (status, headers, text) = answer(good().bearer_auth(&admin)).await;
        assert!(matches!(status, 200 | 204 | 404), "{name}: {status} {text}");
        assert_eq!(status == 404, path.contains("/nowhere.") || text.contains("NOT_FOUND"), "{name}: {text}");
        assert_eq!(headers[CACHE_CONTROL], "no-store", "{name}");
    }
    for path in ["", "user/ada", "consumers/ada", "consumers/", "users/ada/dsiable"] {
        refused(path, to("GET", path).bearer_auth(&admin), (404, "NOT_FOUND")).await;
    }
    // Where nothing has to be said, nothing needs to be.
    for verb in ["disable", "revoke", "enable"] {
        let path = format!("users/ada/{verb}");
        for request in
            [to("POST", &path), json_body(to("POST", &path), ""), json_body(to("POST", &path), "{}")]
        {
            let (status, _, body) = answer(request.bearer_auth(&admin)).await;
            assert_eq!(status, 200, "{path}: {body}");
        }
    }
}

#[tokio::test]
async fn the_admin_interface_is_where_it_is_wanted() {
    let site = Site::start().await;
    let client = reqwest::Client::new();
    let get = async |address: &str, path: &str| {
        answer(client.get(format!("{address}/{path}")).bearer_auth(admin())).await
    };
    let is_listed = async |address: &str| get(address, "api/v1/connections").await.0 == 200;
    assert!(is_listed(site.system.address()).await, "at the same address");

    let off = site.system.another_gateway(&[("TIDINGS_GATEWAY__ADMIN_LISTEN", "")]).await;
    let (status, _, body) = get(&off.address, "api/v1/connections").await;
    assert_eq!((status, code(&body).as_str()), (404, "NOT_FOUND"), "off unless it is asked for");
    assert!(body.contains("gateway.admin_listen"), "{body}");

    let apart =
        [("TIDINGS_GATEWAY__ADMIN_LISTEN", "127.0.0.2:0"), ("TIDINGS_GATEWAY__PENDING_PER_ADDRESS", "1")];
    let mut apart = site.system.another_gateway(&apart).await;
    let line = apart.process.line("the admin interface listens", BOUND).await;
    let (_, port) = line.rsplit_once("127.0.0.2:").unwrap_or_else(|| panic!("{line}"));
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let inside = format!("http://127.0.0.2:{port}");
    assert!(is_listed(&inside).await);
    assert_eq!(get(&inside, "readyz").await.0, 200);
    let (status, _, body) = get(&inside, "api/ws").await;
    assert_eq!((status, code(&body).as_str()), (404, "NOT_FOUND"), "{body}");
    let (status, _, body) = get(&apart.address, "api/v1/connections").await;
    assert_eq!((status, code(&body).as_str()), (404, "NOT_FOUND"), "{body}");
}

/// Whoever asks for a change and leaves has changed something, and stands in the log.
#[tokio::test]
async fn a_change_is_made_and_logged_although_whoever_asked_has_left() {
    use tokio::io::AsyncWriteExt as _;
    let site = Site::with(Setup::default().variable("TIDINGS_TELEMETRY__LOG_FORMAT", "json")).await;
    let gateway = site.system.address().strip_prefix("http://").unwrap().to_owned();
    let request = format!(
        "POST /api/v1/users/ada/disable HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 0\r\n\r\n",
        admin()
    );
    harness::eventually("the change is in the log", BOUND, async || {
        // A request whose connection ends before the gateway has read it is none; another one follows.
        let mut stream = tokio::net::TcpStream::connect(&gateway).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        drop(stream);
        let output = site.system.gateway.output();
        let is_done =
            |line: &str| line.contains("\"what\":\"disable\"") && line.contains("\"to\":\"ops/ada\"");
        if output.lines().any(is_done) { Ok(()) } else { Err(output) }
    })
    .await;
}

#[tokio::test]
async fn rejected_events_are_looked_at_retried_and_removed() {
    let site = Site::with(Setup::default().variable("TIDINGS_TELEMETRY__LOG_FORMAT", "json")).await;
    let (system, address) = (&site.system, site.system.address());
    let ask = async |method: &str, path: &str| request_with(method, address, path, &admin(), None).await;
    let listed = async |path: &str| {
        let (status, body) = ask("GET", path).await;
        assert_eq!(status, 200, "{body}");
        json_lines(&body)
    };
    assert_eq!(listed("rejections").await, [Value::Null; 0]);
    let broken = system.publish("ops", "incident.created", &json!({ "id": 7 })).await;
    let unknown = system.publish("ops", "incident.exploded", &json!({})).await;
    let foreign = system.publish("shelter", "alert.exploded", &json!({})).await;
    for event in [broken, unknown, foreign] {
        system.rejected(event).await;
    }
    let all = listed("rejections").await;
    assert_eq!(all.len(), 2, "no other tenant's: {all:?}");
    assert_eq!(listed("rejections?reason=unknown-event").await, [all[1].clone()]);
    assert_eq!(listed("rejections?event=incident.created").await, [all[0].clone()]);
    assert_eq!(listed("rejections?event=incident.created&reason=unknown-event").await.len(), 0);
    let (status, body) = ask("GET", "rejections?reason=unknown").await;
    assert_eq!((status, code(&body).as_str()), (400, "REASON"));
    assert!(body.contains("unknown-tenant") && body.contains("schema-violation"), "{body}");

    let position = |index: usize| all[index]["position"].as_str().unwrap();
    let (status, body) = ask("GET", &format!("rejections/{}", position(0))).await;
    let shown: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &shown["payload"]), (200, &json!({ "id": 7 })), "{body}");
    assert_eq!(shown["subject"], "events.ops.incident.created");

    // It is rejected again, and stays one rejection.
    let (status, body) = ask("POST", &format!("rejections/{}/retry", position(0))).await;
    assert_eq!(status, 200, "{body}");
    harness::eventually("it is rejected again", BOUND, async || {
        let found = listed("rejections?event=incident.created").await;
        if found.len() == 1 && found[0]["tries"] == 2 { Ok(()) } else { Err(json!(found)) }
    })
    .await;
    assert_eq!(ask("DELETE", &format!("rejections/{}", position(1))).await.0, 204);
    let (status, body) = ask("DELETE", &format!("rejections/{}", position(1))).await;
    assert_eq!((status, code(&body).as_str()), (404, "NOT_FOUND"));
    // Another tenant's is not there for this one, and still is for its own.
    let of_shelter = token(SECRET, json!({ "tenant": "shelter", "sub": "root", "scope": "tidings:admin" }));
    let (_, body) = request_with("GET", address, "rejections", &of_shelter, None).await;
    let foreign = json_lines(&body)[0]["position"].as_str().unwrap().to_owned();
    for (method, path) in [
        ("GET", format!("rejections/{foreign}")),
        ("POST", format!("rejections/{foreign}/retry")),
        ("DELETE", format!("rejections/{foreign}")),
    ] {
        let (status, body) = ask(method, &path).await;
        assert_eq!((status, code(&body).as_str()), (404, "NOT_FOUND"), "{method}");
    }
    assert_eq!(
        request_with("DELETE", address, &format!("rejections/{foreign}"), &of_shelter, None).await.0,
        204
    );

    let output = system.gateway.output();
    for what in ["\"what\":\"retry\"", "\"what\":\"drop\""] {
        let is_told = |line: &str| line.contains("\"target\":\"audit\"") && line.contains(what);
        assert!(output.lines().any(is_told), "no {what} in {output}");
    }
}
