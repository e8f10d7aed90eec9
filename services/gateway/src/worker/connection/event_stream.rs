//! An event stream (Server-Sent Events, WHATWG HTML, section 9.2): what a WebSocket would carry, as events. Pure.
//!
//! A connection gives its socket the frames of a WebSocket, whoever its client is; so nothing else of a worker knows of event
//! streams. Here each frame becomes an event. A message has its position as the event's id, with which browsers ask for what
//! follows when they connect again (`Last-Event-ID`). Positions have an epoch, which `welcome` names before the first message
//! of each.
//!
//! Bounded: frames are taken when everything before is sent, and no more than [`ENOUGH`] bytes of them and one frame.

use std::io::IoSlice;

use tidings_protocol::framing::{Opcode, first_frame};
use tidings_streams::connections::ConnectionName;

use super::http_format::{HttpFormat, Said};
use super::send_queue::Flushed;

/// Bytes of events after which no further frame is taken.
const ENOUGH: usize = 16 * 1024;
/// After how many milliseconds browsers connect again.
const RETRY: &str = "retry: 3000\n\n";

pub(super) struct EventStream {
    /// What is to be sent next.
    events: Vec<u8>,
    /// How much of it is sent.
    sent: usize,
    /// The epoch of the messages, and a hyphen.
    epoch: Box<str>,
}

impl EventStream {
    /// A stream that begins with this head.
    pub(super) fn new(mut head: Vec<u8>) -> Self {
        head.extend_from_slice(RETRY.as_bytes());
        Self { events: head, sent: 0, epoch: Box::default() }
    }

    /// Tells the client the name of its connection, to which it sends messages by requests.
    pub(super) fn introduce(&mut self, name: &ConnectionName) {
        let opened = serde_json::json!({ "connection": name.to_string() });
        self.event("open", None, opened.to_string().as_bytes());
    }

    fn frame(&mut self, opcode: u8, payload: &[u8]) {
        if opcode == Opcode::Text as u8 {
            self.text(payload);
        } else if opcode == Opcode::Close as u8 {
            let (code, reason) = payload.split_at_checked(2).unwrap_or_default();
            let code = code.iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
            let closed = serde_json::json!({ "code": code, "reason": String::from_utf8_lossy(reason) });
            self.event("close", None, closed.to_string().as_bytes());
        } else if opcode == Opcode::Ping as u8 {
            self.events.extend_from_slice(b":\n\n");
        }
    }

    fn text(&mut self, text: &[u8]) {
        let said = Said::of(text);
        if let Said::Message(sequence) = said {
            let id = format!("{}{sequence}", self.epoch);
            return self.event("message", Some(&id), text);
        }
        let position = said.position();
        if let Some(position) = position {
            self.epoch = format!("{}-", position.epoch).into();
        }
        self.event("control", position.map(|position| position.to_string()).as_deref(), text);
    }

    /// Adds an event. Each line of its data is a field of its own.
    fn event(&mut self, name: &str, id: Option<&str>, data: &[u8]) {
        let events = &mut self.events;
        if name != "message" {
            events.extend_from_slice(format!("event: {name}\n").as_bytes());
        }
        if let Some(id) = id {
            events.extend_from_slice(format!("id: {id}\n").as_bytes());
        }
        for line in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
            events.extend_from_slice(b"data: ");
            events.extend_from_slice(line);
            events.push(b'\n');
        }
        events.push(b'\n');
    }
}

impl HttpFormat for EventStream {
    /// At least one.
    fn take(&mut self, slices: &[IoSlice<'_>]) -> usize {
        let mut taken = 0;
        for slice in slices {
            let mut rest: &[u8] = slice;
            while let Some((opcode, payload, behind)) = first_frame(rest) {
                if taken > 0 && self.events.len() >= ENOUGH {
                    return taken;
                }
                self.frame(opcode, payload);
                taken += rest.len() - behind.len();
                rest = behind;
            }
            if !rest.is_empty() {
                break;
            }
        }
        taken
    }

    fn outgoing(&mut self) -> (&[u8], &mut usize) {
        (&self.events, &mut self.sent)
    }

    fn note_sent(&mut self) -> Flushed {
        // An idle stream keeps no room.
        (self.events, self.sent) = (Vec::new(), 0);
        Flushed::All
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tidings_protocol::framing::{close, frame};

    use super::*;

    fn events(frames: &[&[u8]]) -> String {
        let mut stream = EventStream::new(Vec::new());
        let slices: Vec<_> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
        assert_eq!(stream.take(&slices), frames.iter().map(|frame| frame.len()).sum::<usize>());
        let mut sent = Vec::new();
        let mut is_ready = false;
        let mut write = |bytes: &[u8]| {
            is_ready = !is_ready;
            let piece = &bytes[..bytes.len().min(5)];
            sent.extend_from_slice(if is_ready { piece } else { b"" });
            if is_ready { Ok(piece.len()) } else { Err(ErrorKind::WouldBlock.into()) }
        };
        while stream.send(&mut write).unwrap() == Flushed::Blocked {}
        let events = String::from_utf8(sent).unwrap();
        assert_eq!(stream.events.capacity(), 0, "an idle stream has no memory");
        events.strip_prefix(RETRY).unwrap().to_owned()
    }

    fn text(text: &str) -> Vec<u8> {
        frame(Opcode::Text, text.as_bytes()).to_vec()
    }

    #[test]
    fn a_message_has_its_position_as_id() {
        let welcome = text(r#"{"action":"welcome","position":"ab-6","consumer":"ada/x"}"#);
        let joined = [text(r#"{"seq":7,"id":"e","a":1}"#), text(r#"{"seq":8,"id":"f"}"#)].concat();
        let moved = text(r#"{"action":"welcome","position":"cd-90"}"#);
        let expected = "event: control\nid: ab-6\ndata: {\"action\":\"welcome\",\"position\":\"ab-6\",\"consumer\":\"ada/x\"}\n\n\
                        id: ab-7\ndata: {\"seq\":7,\"id\":\"e\",\"a\":1}\n\nid: ab-8\ndata: {\"seq\":8,\"id\":\"f\"}\n\n\
                        event: control\nid: cd-90\ndata: {\"action\":\"welcome\",\"position\":\"cd-90\"}\n\n\
                        id: cd-91\ndata: {\"seq\":91,\"id\":\"g\"}\n\n";
        assert_eq!(events(&[&welcome, &joined, &moved, &text(r#"{"seq":91,"id":"g"}"#)]), expected);
    }

    #[test]
    fn everything_else_is_an_event_of_its_own() {
        let gap = text(r#"{"action":"gap","from":"1-2","to":"3-4","reason":"epoch"}"#);
        let gap = events(&[&gap]);
        assert!(gap.starts_with("event: control\nid: 3-4\ndata: {"), "{gap}");
        assert_eq!(events(&[&text("{\"a\":\n1}")]), "event: control\ndata: {\"a\":\ndata: 1}\n\n");
        assert_eq!(events(&[&frame(Opcode::Ping, b"")]), ":\n\n");
        let closed = "event: close\ndata: {\"code\":4001,\"reason\":\"over\"}\n\n";
        assert_eq!(events(&[&close(4001_u16, "over")]), closed);
    }

    #[test]
    fn a_slow_client_holds_no_more_than_enough() {
        let long = text(&format!(r#"{{"seq":1,"pad":"{}"}}"#, "x".repeat(100_000)));
        let mut stream = EventStream::new(Vec::new());
        let slices = [IoSlice::new(&long), IoSlice::new(&long)];
        assert_eq!(stream.take(&slices), long.len());
        assert_eq!(stream.take(&[IoSlice::new(&long[..50])]), 0, "half a frame is not taken");
    }
}
