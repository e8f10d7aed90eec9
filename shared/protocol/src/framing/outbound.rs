//! Server frames: unmasked, unfragmented, each in one piece of shared bytes.

use bytes::Bytes;
use serde_json::Value;

use super::{MAX_CONTROL_PAYLOAD, Opcode};
use crate::error::MessageId;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
/// The longest header: two bytes, and the length in eight.
const MAX_HEADER: usize = 10;

/// Makes one unmasked frame.
///
/// The payload of a control frame is cut after 125 bytes. The payload of a [`super::Message::Ping`] always fits into
/// its Pong.
#[must_use]
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let end = if opcode.is_control() { MAX_CONTROL_PAYLOAD } else { payload.len() };
    join(opcode as u8, &[&payload[..end.min(payload.len())]])
}

/// Makes a Close frame. The reason is cut at 123 bytes, at the end of a character.
///
/// The answer to a client's Close repeats its code. 1005, 1006 and 1015 must not be sent (section 7.4.1).
#[must_use]
pub fn close(code: impl Into<u16>, reason: &str) -> Bytes {
    let code = code.into().to_be_bytes();
    let mut end = reason.len().min(MAX_CONTROL_PAYLOAD - code.len());
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    join(Opcode::Close as u8, &[&code, &reason.as_bytes()[..end]])
}

/// Makes a text frame of a body with `seq` and `id` inserted before its own members: `{"a":1}` becomes
/// `{"seq":7,"id":"evt-1","a":1}`.
///
/// The body must be a JSON object; it is not parsed. If it has members of these names, both stay, and the reader
/// decides which one counts (RFC 8259, section 4). Most readers use the last, which is the body's.
pub fn text_with_sequence(sequence: u64, id: &str, body: &[u8]) -> Result<Bytes, NotAnObject> {
    text_with_front(front(sequence, id), body)
}

/// Makes a text frame of a body that answers the client's message with this id: `{"a":1}` becomes
/// `{"original_message_id":"m1","a":1}`. The body is as in [`text_with_sequence`].
pub fn text_with_answered(id: &MessageId, body: &[u8]) -> Result<Bytes, NotAnObject> {
    let id = Value::from(id.clone());
    text_with_front(format!(r#""original_message_id":{id},"#), body)
}

/// Inserts members, each with a comma behind it, before those of a body.
fn text_with_front(mut front: String, body: &[u8]) -> Result<Bytes, NotAnObject> {
    let members = body.trim_ascii().strip_prefix(b"{").ok_or(NotAnObject)?.trim_ascii_start();
    if members.first().ok_or(NotAnObject)? == &b'}' {
        front.pop();
    }
    Ok(join(Opcode::Text as u8, &[b"{", front.as_bytes(), members]))
}

/// Returns the text that [`text_with_sequence`] inserts after the opening brace. The body grows by its length.
#[must_use]
pub fn front(sequence: u64, id: &str) -> String {
    let id = Value::from(id);
    format!(r#""seq":{sequence},"id":{id},"#)
}

/// Returns the maximum length of a [`front`] with this id without making it.
#[must_use]
pub fn longest_front(id: &str) -> usize {
    /// The members' names, the greatest sequence, and the punctuation.
    const WITHOUT_ID: usize = 40;
    /// The length of an escaped control character.
    const ESCAPED: usize = 6;
    WITHOUT_ID + ESCAPED * id.len()
}

/// The body is not a JSON object, so no members can be inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a JSON object: it does not begin with `{{` and go on")]
pub struct NotAnObject;

/// Returns the payload of a frame that this module made.
#[must_use]
pub fn payload(frame: &[u8]) -> &[u8] {
    let header = match frame.get(1) {
        Some(126) => 4,
        Some(127) => MAX_HEADER,
        _ => 2,
    };
    frame.get(header..).unwrap_or_default()
}

/// Returns the opcode and the payload of the first of the frames that this module made, and the rest; `None` if it is not
/// whole.
#[must_use]
pub fn first_frame(frames: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (first, length) = (*frames.first()?, *frames.get(1)?);
    let (header, length) = match length {
        126 => (4, u64::from(u16::from_be_bytes(frames.get(2..4)?.try_into().ok()?))),
        127 => (MAX_HEADER, u64::from_be_bytes(frames.get(2..MAX_HEADER)?.try_into().ok()?)),
        length => (2, u64::from(length)),
    };
    let rest = frames.get(header..)?;
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((first & 0x0F, payload, rest))
}

/// Makes a text frame as a client sends it, masked with zeros: a text that came by another way than a WebSocket is read as if
/// it had come by one.
#[must_use]
pub fn client_text(text: &[u8]) -> Vec<u8> {
    let mut buffer = [0; MAX_HEADER];
    let header = header(Opcode::Text as u8, text.len(), &mut buffer);
    let mut frame = header.to_vec();
    if let Some(length) = frame.get_mut(1) {
        *length |= MASKED;
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text);
    frame
}

/// Makes a frame of a whole message. Its first byte has this opcode and these reserved bits. It makes one allocation,
/// exactly as long as the frame.
pub(super) fn join(opcode: u8, parts: &[&[u8]]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut buffer = [0; MAX_HEADER];
    let header = header(opcode, length, &mut buffer);
    let mut frame = Vec::with_capacity(header.len() + length);
    frame.extend_from_slice(header);
    for part in parts {
        frame.extend_from_slice(part);
    }
    frame.into()
}

/// Writes the length (section 5.2): 7 bits up to 125, then 16 bits after 126, then 64 bits after 127.
fn header(opcode: u8, length: usize, buffer: &mut [u8; MAX_HEADER]) -> &[u8] {
    buffer[0] = FINAL | opcode;
    if let Ok(length @ ..=125) = u8::try_from(length) {
        buffer[1] = length;
        &buffer[..2]
    } else if let Ok(length) = u16::try_from(length) {
        buffer[1] = 126;
        buffer[2..4].copy_from_slice(&length.to_be_bytes());
        &buffer[..4]
    } else {
        buffer[1] = 127;
        buffer[2..].copy_from_slice(&(length as u64).to_be_bytes());
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::close::CloseCode;

    #[test]
    fn headers_use_the_shortest_length() {
        for (length, header) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xFF, 0xFF]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = frame(Opcode::Text, &vec![b'x'; length]);
            assert_eq!(&frame[..header.len()], header, "{length}");
            assert_eq!(frame.len(), header.len() + length);
        }
    }

    #[test]
    fn control_payloads_are_cut() {
        assert_eq!(frame(Opcode::Ping, b"42")[..], [0x89, 2, b'4', b'2']);
        assert_eq!(frame(Opcode::Pong, &[7; 126]), frame(Opcode::Pong, &[7; 125]));
        assert_eq!(frame(Opcode::Pong, &[7; 125]).len(), 127);
    }

    #[test]
    fn close_reasons_are_cut_between_characters() {
        assert_eq!(close(CloseCode::Normal, "ok")[..], [0x88, 4, 0x03, 0xE8, b'o', b'k']);
        assert_eq!(close(4001_u16, &"x".repeat(200)).len(), 2 + 2 + 123);
        assert_eq!(close(4001_u16, &"é".repeat(100)).len(), 2 + 2 + 122);
    }

    #[track_caller]
    fn check_spliced(id: &str, body: &str, expected: &str) {
        let frame = text_with_sequence(7, id, body.as_bytes()).unwrap();
        assert_eq!(frame, super::frame(Opcode::Text, expected.as_bytes()), "{body}");
    }

    #[test]
    fn sequence_and_id_come_before_the_body() {
        check_spliced("evt-1", r#"{"a":1}"#, r#"{"seq":7,"id":"evt-1","a":1}"#);
        check_spliced("evt-1", "{}", r#"{"seq":7,"id":"evt-1"}"#);
        check_spliced("evt-1", " { }\n", r#"{"seq":7,"id":"evt-1"}"#);
        check_spliced("evt-1", "{ \"a\": 1 }", r#"{"seq":7,"id":"evt-1","a": 1 }"#);
        check_spliced("a\"\\\n", "{}", r#"{"seq":7,"id":"a\"\\\n"}"#);
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(110));
        check_spliced("e", &long, &format!(r#"{{"seq":7,"id":"e","a":"{}"}}"#, "x".repeat(110)));
        for wrong in ["", "[]", "7", "{", " "] {
            assert_eq!(text_with_sequence(7, "e", wrong.as_bytes()), Err(NotAnObject), "{wrong:?}");
        }
    }
}
