use proptest::prelude::*;

use super::*;

const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
const ANSWER_WITH_WINDOW: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12";

#[track_caller]
fn check(offers: &[&str], expect: Option<&str>) {
    let answer = PermessageDeflate::negotiate(offers.iter().copied()).map(PermessageDeflate::answer);
    assert_eq!(answer.as_deref(), expect, "{offers:?}");
}

#[test]
fn offers_of_common_clients_are_accepted() {
    // Chrome, Safari and `ws`; Firefox; Python's websockets; IXWebSocket.
    check(&["permessage-deflate; client_max_window_bits"], Some(ANSWER));
    check(&["permessage-deflate"], Some(ANSWER));
    check(
        &["permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"],
        Some(ANSWER_WITH_WINDOW),
    );
    check(
        &["permessage-deflate; server_max_window_bits=15; client_max_window_bits=15"],
        Some(ANSWER_WITH_WINDOW),
    );
    let all = "permessage-deflate;server_no_context_takeover;client_no_context_takeover;\
               server_max_window_bits=\"13\" ; client_max_window_bits = 8";
    check(&[all], Some(ANSWER_WITH_WINDOW));
}

#[test]
fn the_first_offer_that_will_do_is_taken() {
    let small = "permessage-deflate; server_max_window_bits=9";
    check(&[&format!("{small}, permessage-deflate")], Some(ANSWER));
    check(&[small, "permessage-deflate; server_max_window_bits=14"], Some(ANSWER_WITH_WINDOW));
    check(&["x-webkit-deflate-frame, permessage-deflate"], Some(ANSWER));
    check(&[r#"other; value="a, permessage-deflate; \", b", , permessage-deflate"#], Some(ANSWER));
    check(&["permessage-deflate, permessage-deflate; server_max_window_bits=12"], Some(ANSWER));
}

#[test]
fn what_is_not_understood_is_declined() {
    for offer in [
        "",
        ",",
        "deflate",
        "Permessage-Deflate",
        "permessage-deflate=1",
        "permessage-deflate;",
        "permessage-deflate; ; client_max_window_bits",
        "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=\"\"",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=11",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=012",
        "permessage-deflate; server_max_window_bits=+12",
        "permessage-deflate; server_max_window_bits=\"12",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=08",
        "\"permessage-deflate\"",
        "\"x, permessage-deflate",
    ] {
        check(&[offer], None);
        check(&[offer, "permessage-deflate"], Some(ANSWER));
    }
    check(&[], None);
}

proptest! {
    /// Whatever is offered, there is an answer to it or none.
    #[test]
    fn any_text_is_decided_about(values in prop::collection::vec("[ -~]{0,80}", 0..4)) {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let _ = PermessageDeflate::negotiate(values);
    }

    /// A quoted string keeps its separators.
    #[test]
    fn parts_make_the_text_again(text in r#"[a-z",;\\]{0,30}"#) {
        let parts: Vec<&str> = split_outside_quotes(&text, b',').collect();
        prop_assert_eq!(parts.join(","), text);
    }
}
