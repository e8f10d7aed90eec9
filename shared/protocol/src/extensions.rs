//! Negotiates the extension of a connection: permessage-deflate (RFC 7692), or none.
//!
//! An offer with unsupported parameters or wrong grammar is declined. The next offer may be accepted. Without an
//! accepted offer the connection is not compressed.

use std::collections::BTreeSet;

/// The window of messages from the gateway: they refer back at most 2 to the power of this many bytes. Offers of less
/// are declined. So one compressed frame serves all clients, including those with a small window.
///
/// An envelope of up to 4 KiB does not grow by the small window. Of a list of 16 KiB the compressed form grows by a
/// third.
pub const SERVER_WINDOW_BITS: u8 = 12;

/// The only supported extension.
const PERMESSAGE_DEFLATE: &str = "permessage-deflate";

/// The parameters that may have no value.
const WITHOUT_VALUE: [&str; 3] =
    ["server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits"];

/// An accepted offer of permessage-deflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermessageDeflate {
    /// Whether the answer must state the window's size.
    tell_window: bool,
}

impl PermessageDeflate {
    /// Returns the first acceptable offer in the values of all `Sec-WebSocket-Extensions` headers. Their order is the
    /// client's preference (RFC 6455, section 9.1).
    pub fn negotiate<'v>(values: impl IntoIterator<Item = &'v str>) -> Option<Self> {
        values.into_iter().flat_map(|value| split_outside_quotes(value, b',')).find_map(Self::accept)
    }

    /// Returns the answer's header `Sec-WebSocket-Extensions`.
    ///
    /// Neither side refers to earlier messages. Within a message, the client may refer back any distance.
    #[must_use]
    pub fn answer(self) -> String {
        let answer = format!("{PERMESSAGE_DEFLATE}; server_no_context_takeover; client_no_context_takeover");
        if self.tell_window {
            format!("{answer}; server_max_window_bits={SERVER_WINDOW_BITS}")
        } else {
            answer
        }
    }

    /// Accepts or declines one offer such as `permessage-deflate; client_max_window_bits; server_max_window_bits=12`.
    fn accept(offer: &str) -> Option<Self> {
        let mut parts = split_outside_quotes(offer, b';').map(str::trim_ascii);
        if parts.next() != Some(PERMESSAGE_DEFLATE) {
            return None;
        }
        let mut accepted = Self { tell_window: false };
        let mut seen = BTreeSet::new();
        for parameter in parts {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name.trim_ascii_end(), Some(value.trim_ascii_start())),
                None => (parameter, None),
            };
            accepted.tell_window |= name == "server_max_window_bits";
            // Each parameter may occur once (RFC 7692, section 7.1).
            if !seen.insert(name) || !is_acceptable(name, value) {
                return None;
            }
        }
        Some(accepted)
    }
}

/// Returns whether a parameter has a value if it needs one, and the gateway supports it.
fn is_acceptable(name: &str, value: Option<&str>) -> bool {
    match (name, value) {
        ("server_max_window_bits", Some(value)) => window_bits(value) >= Some(SERVER_WINDOW_BITS),
        ("client_max_window_bits", Some(value)) => window_bits(value).is_some(),
        (_, value) => value.is_none() && WITHOUT_VALUE.contains(&name),
    }
}

/// Parses 8 to 15 without leading zeros, with or without quotes (RFC 7692, section 7.1.2; RFC 6455, section 9.1).
fn window_bits(value: &str) -> Option<u8> {
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let bits = quoted.unwrap_or(value);
    matches!(bits, "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15").then(|| bits.parse().ok()).flatten()
}

/// Splits at separators outside of quoted strings (RFC 9110, section 5.6.4).
fn split_outside_quotes(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                _ if is_quoted => {}
                _ => return byte == separator,
            }
            false
        });
        let Some(end) = end else { return Some(text) };
        // A separator is one ASCII byte, so it ends a character.
        rest = text.get(end + 1..);
        text.get(..end)
    })
}

#[cfg(test)]
mod tests;
