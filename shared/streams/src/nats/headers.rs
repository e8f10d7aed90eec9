//! Headers of messages.

use async_nats::{HeaderMap, HeaderName, HeaderValue};

/// Sets a header. A value with line breaks is omitted, as it would end the headers early.
pub(crate) fn set(map: &mut HeaderMap, name: &'static str, value: impl Into<String>) {
    let value = value.into();
    if !value.contains(['\r', '\n']) {
        map.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
}

/// Every header with each of its values, in order.
pub(crate) fn all_headers(map: &HeaderMap) -> Vec<(String, String)> {
    let all = map.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    all.map(|(name, value)| (name.to_string(), value.as_str().to_owned())).collect()
}
