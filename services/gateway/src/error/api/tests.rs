use std::collections::BTreeSet;

use super::*;

/// What a reader of the documents finds is what a client is answered with.
#[test]
fn the_documents_list_every_code() {
    let documents = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let head = "| status | code | when |\n| --- | --- | --- |\n";
    let rows = error_codes().map(|(status, code, when)| format!("| {status} | `{code}` | {when} |\n"));
    let table = rows.collect::<Vec<_>>().concat();
    assert!(
        documents.contains(&format!("{head}{table}\n")),
        "expected in services/gateway/README.md:\n\n{head}{table}"
    );
}

#[test]
fn each_code_is_listed_once_for_each_status() {
    let listed: BTreeSet<_> = error_codes().map(|(status, code, _)| (status, code)).collect();
    assert_eq!(listed.len(), ApiCode::ALL.len());
    assert!(ApiCode::ALL.iter().enumerate().all(|(index, code)| *code as usize == index));
    for (status, ..) in error_codes() {
        assert!(StatusCode::from_u16(status).is_ok_and(|status| status.as_u16() >= 400), "{status}");
    }
}

#[test]
fn an_access_refusal_keeps_its_status_and_code() {
    for refusal in [
        Refusal::Scheme,
        Refusal::UnusableKey,
        Refusal::KeysUnavailable { retry_after: Duration::from_secs(9) },
        Refusal::MissingOrigin,
        Refusal::Subject { claim: "sub".to_owned() },
    ] {
        let error = ApiError::from(refusal.clone());
        assert_eq!((error.code().status(), error.code().as_str()), (refusal.status(), refusal.code()));
        assert_eq!(error.to_string(), refusal.to_string());
    }
}

#[test]
fn heads_that_hyper_cannot_read_are_answered_with_a_code() {
    for (status, code) in [(400, "REQUEST_MALFORMED"), (414, "URI_TOO_LONG"), (431, "HEADERS_TOO_LARGE")] {
        let status = StatusCode::from_u16(status).unwrap();
        assert!(unread_head(status).unwrap().contains(code));
        assert!(error_codes().any(|(listed, name, _)| (listed, name) == (status.as_u16(), code)));
    }
    assert_eq!(unread_head(StatusCode::NOT_FOUND), None);
}

#[test]
fn an_answer_says_when_to_try_again() {
    let seconds = |error: ApiError| {
        let response = error.into_response();
        response.headers().get(RETRY_AFTER).map(|seconds| seconds.to_str().unwrap().to_owned())
    };
    let wait = Duration::from_millis(1_001);
    assert_eq!(seconds(ApiError::new(ApiCode::TooManyAttempts, "x").retry_after(wait)).as_deref(), Some("2"));
    assert_eq!(seconds(ApiError::new(ApiCode::Moving, "x")).as_deref(), Some("5"));
    assert_eq!(seconds(ApiError::new(ApiCode::Host, "x")), None);
}
