//! Any headers and query: a token that was there, in a place that counts, or a refusal that shows nothing of it.

#![no_main]

use http::header::{
    AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL,
};
use libfuzzer_sys::fuzz_target;
use tidings_access::{Rules, TokenPlace, find};

const NAMES: [HeaderName; 5] = [AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL, ORIGIN, HOST];
const PLACES: [(TokenPlace, Option<HeaderName>); 4] = [
    (TokenPlace::Header, Some(AUTHORIZATION)),
    (TokenPlace::Query, None),
    (TokenPlace::Cookie, Some(COOKIE)),
    (TokenPlace::Subprotocol, Some(SEC_WEBSOCKET_PROTOCOL)),
];

fuzz_target!(|input: (Vec<(u8, &[u8])>, Option<&str>, u8)| {
    let (values, query, chosen) = input;
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(&NAMES[usize::from(name) % NAMES.len()], value);
        }
    }
    let is_chosen = |index: usize| chosen >> index & 1 == 1;
    let places =
        PLACES.iter().enumerate().filter(|(index, _)| is_chosen(*index)).map(|(_, (place, _))| *place);
    let rules = Rules { places: places.collect(), ..Rules::default() };
    let found = find(&headers, query, &rules);

    // What is in other places makes no difference.
    let mut left = headers.clone();
    let mut left_query = query;
    for (_, (_, header)) in PLACES.iter().enumerate().filter(|(index, _)| !is_chosen(*index)) {
        match header {
            Some(header) => drop(left.remove(header)),
            None => left_query = None,
        }
    }
    let alone = find(&left, left_query, &rules);
    assert_eq!(
        found.as_ref().map_err(|refusal| refusal.code()),
        alone.as_ref().map_err(|refusal| refusal.code())
    );
    match found {
        Ok(token) => {
            assert!(!token.expose().is_empty() && token.expose().bytes().all(|byte| byte.is_ascii_graphic()))
        }
        Err(refusal) => assert!(refusal.to_string().len() < 1024),
    }
});
