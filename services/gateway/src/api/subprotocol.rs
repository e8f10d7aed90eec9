//! The subprotocol that a handshake is answered with. Pure.
//!
//! Browsers end a connection whose server has chosen none of the subprotocols that were offered (WHATWG "WebSockets",
//! step "establish a WebSocket connection"). A client that offers nothing but its token is therefore answered with the
//! token: only its sender receives it, and it is marked so that no log shows it.

use axum::http::header::SEC_WEBSOCKET_PROTOCOL;
use axum::http::{HeaderMap, HeaderValue};
use tidings_protocol::server::{SUBPROTOCOL, choose_subprotocol};

use crate::replica::Form;

/// What a subprotocol that is a token begins with.
const BEARER: &str = "bearer.";

/// The form that a client asks for, and the subprotocol to answer with, if any.
pub(super) fn choose(headers: &HeaderMap, takes_tokens: bool) -> (Form, Option<HeaderValue>) {
    let offered = || headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    if offered().find_map(choose_subprotocol).is_some() {
        return (Form::Sequenced, Some(HeaderValue::from_static(SUBPROTOCOL)));
    }
    if !takes_tokens {
        return (Form::Plain, None);
    }
    let mut names = offered().flat_map(|value| value.split(',')).map(str::trim);
    let token = names.find(|name| name.starts_with(BEARER));
    let mut answer = token.and_then(|token| HeaderValue::from_str(token).ok());
    if let Some(answer) = &mut answer {
        answer.set_sensitive(true);
    }
    (Form::Plain, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
