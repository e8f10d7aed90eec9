//! What travels on a client connection: frames, messages, offers of extensions.

use serde_json::Value;
use tidings_model::json;
use tidings_protocol::client::{self, ClientMessage, Limits, id_in_beginning};
use tidings_protocol::error::ErrorMessage;
use tidings_protocol::extensions::PermessageDeflate;
use tidings_protocol::framing::{Inbound, Inflater, Message};
use time::OffsetDateTime;

use super::text;
use crate::Target;

pub(crate) const CLIENT: Target = Target {
    name: "client",
    run: client,
    seeds: &[
        br#"{"action":"subscribe","topics":["incidents","tasks"],"filters":{"squad":["red",1.0,true],"a":null},"id":"m1"}"#,
        br#"{"type":"unsubscribe","topics":[],"messageId":17}"#,
        br#"{"action":"ping","message_id":"x","id":"y"}"#,
        br#"{"action":"ack","seq":18446744073709551615}"#,
        br#"{"action":"authenticate","token":"a.b.c","id":null}"#,
        br#"{"action":"shelter_update","id":"m1","data":{"shelterId":"s9","id":[{"id":1}]}}"#,
        br#"{"action":"subscribe","topics":["a"],"filter":{"squad":"red"}}"#,
        br#"{"action":1,"type":"ping"}"#,
        br"[]",
        b"\xEF\xBB\xBF{\"action\":\"ping\",\"id\":\"\\ud83d\"}",
    ],
    attempts: 5_000,
};

/// A message keeps to the limits or is refused with a bounded error that has its id; the id is the same as that of its
/// beginning.
fn client(input: &[u8]) {
    let text = text(input);
    let limits = Limits::default();
    let id = match client::parse(&text, &limits) {
        Ok(request) => {
            within(&request.message, &limits);
            request.id
        }
        Err(refused) => {
            let id = refused.id.clone();
            let answer = ErrorMessage::from(refused).to_json(OffsetDateTime::UNIX_EPOCH);
            assert!(answer.len() < 8 * 1024, "{answer}");
            let answer = json::parse(answer.as_bytes()).expect("it is JSON");
            let told = answer.pointer("/data/original_message_id").cloned();
            assert_eq!(told, id.clone().map(Value::from));
            id
        }
    };
    assert!(id.as_ref().is_none_or(|id| id.to_string().len() <= limits.string_bytes));
    let beginning = id_in_beginning(text.as_bytes(), &limits);
    assert!(beginning.as_ref().is_none_or(|id| id.to_string().len() <= limits.string_bytes));
    if is_plain(&text) && json::parse(text.as_bytes()).is_ok_and(|value| value.is_object()) {
        assert_eq!(beginning, id);
    }
}

/// Whether every reader finds the same members: none is there twice, or spelled by the numbers of its characters.
fn is_plain(text: &str) -> bool {
    let names = ["\"id\"", "\"message_id\"", "\"messageId\""];
    !text.contains('\\') && names.iter().map(|name| text.matches(name).count()).sum::<usize>() <= 1
}

fn within(message: &ClientMessage, limits: &Limits) {
    match message {
        ClientMessage::Subscribe { topics, filter } => {
            assert!(
                topics.len() <= limits.topics
                    && topics.iter().all(|topic| topic.len() <= limits.string_bytes)
            );
            assert!(filter.attributes().count() <= limits.filters);
            assert!(filter.attributes().all(|name| name.len() <= limits.string_bytes));
        }
        ClientMessage::Unsubscribe { topics } => assert!(topics.len() <= limits.topics),
        ClientMessage::Other { verb, object } => {
            let says = |name: &str| object.get(name).and_then(Value::as_str) == Some(verb);
            assert!(says("action") || says("type"));
        }
        ClientMessage::Ping | ClientMessage::Ack { .. } | ClientMessage::Authenticate { .. } => {}
    }
}

pub(crate) const EXTENSIONS: Target = Target {
    name: "extensions",
    run: extensions,
    seeds: &[
        b"permessage-deflate; client_max_window_bits",
        b"permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=\"12\"",
        b"x-webkit-deflate-frame\npermessage-deflate",
        b"permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        b"foo; a=\"b,c;\\\"d\", permessage-deflate; client_max_window_bits=15",
        b"permessage-deflate; server_max_window_bits=012",
    ],
    attempts: 5_000,
};

/// What is agreed on was offered, and is an offer that leads to the same answer. One header with commas is as good as
/// several.
fn extensions(input: &[u8]) {
    let text = text(input);
    let agreed = PermessageDeflate::negotiate(text.split('\n'));
    if let Some(agreed) = agreed {
        assert!(text.contains("permessage-deflate"));
        let answer = agreed.answer();
        assert!(answer.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        let again = PermessageDeflate::negotiate([answer.as_str()]).map(PermessageDeflate::answer);
        assert_eq!(again, Some(answer));
    }
    if !text.contains('"') {
        assert_eq!(PermessageDeflate::negotiate([&*text.replace('\n', ",")]), agreed);
    }
}

pub(crate) const FRAMES: Target = Target {
    name: "frames",
    run: frames,
    seeds: &[
        b"\x01\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        b"\x02\x01\x83\0\0\0\0abc\x89\x80\0\0\0\0\x80\x83\0\0\0\0def",
        b"\x03\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\0",
        b"\x04\x88\x82\0\0\0\0\x03\xe8\x81\x80\0\0\0\0",
        b"\x07\x81\xfe\x00\x7e\0\0\0\0",
        b"\x05\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        b"\x09\x81\x84\0\0\0\0\xf0\x9f\x98\x80",
        b"\x05\xca\x49\x49\x04\x00",
    ],
    attempts: 4_000,
};

const LIMIT: usize = 1000;

/// Bytes in pieces of any size are read as they are in one piece: as frames, and as the payload of a compressed message.
/// The first byte is the size of the pieces.
fn frames(input: &[u8]) {
    let Some((&piece, bytes)) = input.split_first() else { return };
    for bytes in [bytes, &compressed(bytes)] {
        let whole = messages(bytes, bytes.len().max(1));
        assert_eq!(messages(bytes, usize::from(piece).max(1)), whole);
    }
}

fn messages(bytes: &[u8], piece: usize) -> Vec<String> {
    let mut bytes = bytes.to_vec();
    let (mut inbound, mut inflater) = (Inbound::default(), Inflater::default());
    let mut items = Vec::new();
    for piece in bytes.chunks_mut(piece) {
        for item in inbound.feed(piece, LIMIT).inflated_by(Some(&mut inflater)) {
            assert!(!matches!(&item, Ok(Message::Text(text)) if text.len() > LIMIT));
            // The debug form does not tell borrowed from owned.
            items.push(format!("{item:?}"));
        }
    }
    items
}

/// A final frame with compressed text, with a mask of zeros.
fn compressed(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut frame = vec![0xC1];
    if let Ok(length @ ..=125) = u8::try_from(length) {
        frame.push(0x80 | length);
    } else {
        frame.push(0xFE);
        frame.extend(length.to_be_bytes());
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}
