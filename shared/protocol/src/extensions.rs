//! Which extension a client and the gateway agree on: permessage-deflate (RFC 7692), or none.
//!
//! What an offer asks for that the gateway does not do, and what breaks the grammar, declines that offer and nothing
//! else: the next one may do, and without any the connection goes on uncompressed.

use std::collections::BTreeSet;

/// Messages from the gateway refer back at most 2 to the power of so many bytes. Offers of less are declined; with
/// that, one compressed frame serves every client, also those that keep their memory small.
///
/// An envelope of up to 4 KiB does not get longer by it; a list of 16 KiB by a third of what is left of it.
pub const SERVER_WINDOW_BITS: u8 = 12;

/// The only extension there is.
const PERMESSAGE_DEFLATE: &str = "permessage-deflate";

/// The parameters that may stand without a value.
const WITHOUT_VALUE: [&str; 3] =
    ["server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits"];

/// An offer of permessage-deflate that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermessageDeflate {
    /// The client wants to be told the size of the window.
    tell_window: bool,
}

impl PermessageDeflate {
    /// The first offer to accept, of the values of all headers `Sec-WebSocket-Extensions` in their order: that of the
    /// client's preference (RFC 6455, section 9.1).
    pub fn negotiate<'v>(values: impl IntoIterator<Item = &'v str>) -> Option<Self> {
        values.into_iter().flat_map(|value| split_outside_quotes(value, b',')).find_map(Self::accept)
    }

    /// The header `Sec-WebSocket-Extensions` of the answer.
    ///
    /// Neither side refers to earlier messages, and the client may refer back within a message as far as it likes.
    #[must_use]
    pub fn answer(self) -> String {
        let answer = format!("{PERMESSAGE_DEFLATE}; server_no_context_takeover; client_no_context_takeover");
        if self.tell_window {
            format!("{answer}; server_max_window_bits={SERVER_WINDOW_BITS}")
        } else {
            answer
        }
    }

    /// Decides about one offer: `permessage-deflate; client_max_window_bits; server_max_window_bits=12`.
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
            // Each at most once (RFC 7692, section 7.1).
            if !seen.insert(name) || !is_acceptable(name, value) {
                return None;
            }
        }
        Some(accepted)
    }
}

/// Whether a parameter of an offer has a value if it needs one, and asks for something that the gateway does.
fn is_acceptable(name: &str, value: Option<&str>) -> bool {
    match (name, value) {
        ("server_max_window_bits", Some(value)) => window_bits(value) >= Some(SERVER_WINDOW_BITS),
        ("client_max_window_bits", Some(value)) => window_bits(value).is_some(),
        (_, value) => value.is_none() && WITHOUT_VALUE.contains(&name),
    }
}

/// 8 to 15 without leading zeros, which may stand in quotes (RFC 7692, section 7.1.2; RFC 6455, section 9.1).
fn window_bits(value: &str) -> Option<u8> {
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let bits = quoted.unwrap_or(value);
    matches!(bits, "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15").then(|| bits.parse().ok()).flatten()
}

/// The parts between separators that do not stand within a quoted string (RFC 9110, section 5.6.4).
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
        // A separator is one byte of ASCII, and so the end of a character.
        rest = text.get(end + 1..);
        text.get(..end)
    })
}

#[cfg(test)]
mod tests;
