//! The targets, by the crate whose parser they try.

pub(crate) mod access;
pub(crate) mod catalog;
pub(crate) mod gateway;
pub(crate) mod model;
pub(crate) mod net;
pub(crate) mod protocol;
pub(crate) mod session;
pub(crate) mod streams;

/// The input as text, with what is no UTF-8 replaced, so that no attempt is wasted.
fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}

/// The first line, and the rest.
fn split_line(input: &[u8]) -> (&[u8], &[u8]) {
    match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[]),
    }
}
