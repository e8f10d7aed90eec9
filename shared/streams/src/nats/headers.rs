//! Headers of messages.

use std::str::FromStr as _;

use async_nats::{HeaderMap, HeaderName, HeaderValue};

/// Sets a header. A value with line breaks is omitted, as it would end the headers early.
pub(crate) fn set(map: &mut HeaderMap, name: &'static str, value: impl Into<String>) {
    let value = value.into();
    if !value.contains(['\r', '\n']) {
        map.insert(HeaderName::from_static(name), HeaderValue::from(value));
    }
}

/// Appends headers; those that cannot travel are left out.
pub(crate) fn append<'h>(map: &mut HeaderMap, headers: impl IntoIterator<Item = &'h (String, String)>) {
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_str(name), HeaderValue::from_str(value)) {
            map.append(name, value);
        }
    }
}

/// Whether JetStream or Tidings interprets a header of this name.
pub(crate) fn is_control(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("nats-") || name.starts_with("tidings-")
}

/// Every header with each of its values, in order.
pub(crate) fn all_headers(map: &HeaderMap) -> Vec<(String, String)> {
    let all = map.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    all.map(|(name, value)| (name.to_string(), value.as_str().to_owned())).collect()
}
