//! Events, addresses, subjects, positions and JSON: what every process must read as the same.

use serde_json::Value;
use tidings_model::{
    Address, CloudEvent, EnvelopeSubject, Event, Position, RawEvent, headers, json, number, subject,
};
use time::OffsetDateTime;

use super::{split_line, text};
use crate::Target;

pub(crate) const ADDRESS: Target = Target {
    name: "address",
    run: address,
    seeds: &[
        b"user:ada",
        b"role:first_responder\nall",
        b"user:a.b*>\nuser:a=2Eb",
        b"topic:\n:",
        "user:é😀\n-".as_bytes(),
    ],
    attempts: 5_000,
};

/// An address is two literal subject tokens of its own, and leads back; so does its text.
fn address(input: &[u8]) {
    let (one, other) = split_line(input);
    let (one, other) = (text(one), text(other));
    for text in [&one, &other] {
        if let Ok(address) = Address::parse(text) {
            assert_eq!(address.as_str(), &**text);
        }
        let token = subject::encode(text);
        assert_eq!(subject::decode(&token).as_deref(), Some(&**text));
        assert_ne!(token, subject::ABSENT);
    }
    let (Ok(one), Ok(other)) = (Address::new("user", &one), Address::new("user", &other)) else { return };
    assert_eq!(tokens(&one) == tokens(&other), one == other);
}

/// The subject tokens of an address, which no client can give a meaning.
pub(crate) fn tokens(address: &Address) -> String {
    let tokens = address.to_subject_tokens();
    let (kind, id) = tokens.split_once('.').expect("there are two");
    assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-=".contains(&byte)), "{tokens}");
    assert_eq!(Address::from_subject_tokens(kind, id).as_ref(), Some(address));
    tokens
}

pub(crate) const SUBJECT: Target = Target {
    name: "subject",
    run: subject,
    seeds: &[
        b"envelopes.ops.durable.user.ada.incident.-",
        b"envelopes_3.ops~2.latest.role.first_responder.progress.d1",
        b"envelopes.ops.ephemeral.all.-.metrics.=",
        b"envelopes.ops.durable.user.j=2Edoe=40x.incident.=2D",
        b"envelopes.ops.durable.user.*.incident.>",
    ],
    attempts: 5_000,
};

/// What is read as the subject of an envelope has this one spelling, and no wildcard.
fn subject(input: &[u8]) {
    let text = text(input);
    if let Some((read, place)) = EnvelopeSubject::parse(&text) {
        assert_eq!(read.written_in(place), text);
        // A reader of the address would read a wildcard.
        assert!(!text.contains(['*', '>', ' ', '\t', '\r', '\n']));
    }
    if let Some(decoded) = subject::decode(&text) {
        assert_eq!(subject::encode(&decoded), text);
    }
}

pub(crate) const POSITION: Target = Target {
    name: "position",
    run: position,
    seeds: &[b"18f3a0c2b41-42", b"0-0", b"ffffffffffffffff-18446744073709551615", b"+1-+2", b"01-1", b"A-1"],
    attempts: 3_000,
};

/// A position has one spelling.
fn position(input: &[u8]) {
    let text = text(input);
    match text.parse::<Position>() {
        Ok(position) => assert_eq!(position.to_string(), text),
        Err(error) => assert!(error.to_string().len() < 1024),
    }
}

pub(crate) const JSON: Target = Target {
    name: "json",
    run: any_json,
    seeds: &[
        br#"{"z":[1.00,-0,1e400,184467440737095516160,"\n",true,false,null],"a":{"":{}}}"#,
        br#"{"iss":"https://login.example","sub":"ada"}"#,
        br#"{"iss":"a","\u0069ss":"b"}"#,
        br#"{"$serde_json::private::RawValue":"[[1]]"}"#,
        br#"{"$serde_json::private::Number":"1"}"#,
        br#""\ud83d\ude00\ud83d""#,
        b"\xEF\xBB\xBF[1]",
        b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        b"[1.0,10e-1,-0.0,0e5,1e-99999999999999999999]",
    ],
    attempts: 5_000,
};

/// The project's parser reads what `serde_json` reads, and more only where that is said; what it reads is bounded in depth,
/// and is read again as the same once it is written.
fn any_json(input: &[u8]) {
    let read = json::parse(input).ok();
    assert_eq!(json::read::<Value>(input).ok(), read);
    let is_special =
        |text: &str| text.contains("$serde_json") || text.contains("\\u") || text.starts_with('\u{feff}');
    if std::str::from_utf8(input).is_ok_and(|text| !is_special(text)) {
        assert_eq!(as_serde_json(input), read);
    }
    if let Ok(unique) = json::parse_unique(input) {
        let issuer = unique.get("iss").and_then(Value::as_str);
        if unique.is_object() {
            assert_eq!(json::text_member(input, "iss").expect("it is an object").as_deref(), issuer);
        }
        assert_eq!(Some(unique), read);
    }
    let Some(read) = read else { return };
    assert!(depth(&read) <= 128);
    let written = read.to_string();
    assert_eq!(json::parse(written.as_bytes()).as_ref().ok(), Some(&read), "{written}");
    numbers(&read);
}

#[expect(clippy::disallowed_methods, reason = "what is compared with")]
fn as_serde_json(input: &[u8]) -> Option<Value> {
    serde_json::from_slice(input).ok()
}

fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(elements) => elements.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or_default()
}

/// Every number has one canonical spelling, which is a number of the same value.
fn numbers(value: &Value) {
    match value {
        Value::Number(spelled) => {
            let canonical = number::canonical(spelled);
            let again = json::parse(canonical.as_bytes()).expect("it is a number");
            assert!(number::is_same(value, &again), "{spelled} is not {canonical}");
            assert_eq!(number::canonical(again.as_number().expect("it is a number")), canonical);
        }
        Value::Array(elements) => elements.iter().for_each(numbers),
        Value::Object(members) => members.values().for_each(numbers),
        _ => {}
    }
}

pub(crate) const EVENT: Target = Target {
    name: "event",
    run: event,
    seeds: &[
        b"events.ops.incident.created\n\n{\"id\":\"inc-1\"}",
        b"events.ops.incident.created\nContent-Type: application/cloudevents+json\n\n{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"/s\",\"type\":\"t\",\"time\":\"2025-01-17T10:30:00Z\",\"data\":{\"a\":[1.0,null]}}",
        b"events.ops.incident.created\nContent-Type: application/cloudevents+json\nce-id: x\nce-source: /x\n\n{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"/s\",\"type\":\"t\",\"datacontenttype\":\"application/json\",\"data_base64\":\"eyJ1c2VyIjoiYWRhIn0=\"}",
        b"events.ops.incident.created\nCE-ID: e%201%2F%C3%A9\nce-source: \"/a\\\"b\"\nce-specversion: 1.0\nce-type: t\nce-time: 2025-01-17 10:30+0100\nContent-Type: application/json\n\n[]",
        b"events.ops.incident.created\ncontent-type: application/cloudevents-batch+json\n\n[]",
        b"events.ops.incident.created\nNats-Msg-Id: m-1\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n\n{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"/s\",\"type\":\"t\",\"Data\":null}",
        b"events.ops.incident\n\n{}",
        b"events.ops.a.b.c\n\n\xFF",
        b"events.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n\n{}",
    ],
    attempts: 5_000,
};

/// An event that is read has an id, a source and a time that can travel to clients; written as the gateway and the SDK
/// write it, it is read as the same.
fn event(input: &[u8]) {
    let Some(raw) = raw_event(input) else { return };
    let event = match raw.read() {
        Ok(event) => event,
        Err(error) => return assert!(error.to_string().len() < 4 * 1024, "{error}"),
    };
    let can_travel = |text: &str| text.len() <= Event::MAX_ID_LENGTH && !text.contains(char::is_control);
    assert!(!event.id.is_empty() && can_travel(&event.id), "{:?}", event.id);
    assert!(event.source.as_deref().is_none_or(can_travel), "{:?}", event.source);
    assert!(
        event.trace_parent.as_deref().is_none_or(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
    );
    assert_eq!(event.name.subject(&event.tenant), raw.subject);
    if let Some(time) = &event.time {
        assert_eq!(Event::moment(time).expect("it was read"), *time);
    }
    // One more object around what is as deep as can be read is too deep.
    if depth(&event.data) < 100 {
        rewritten(&event);
    }
}

fn rewritten(event: &Event) {
    let time = event.time.as_deref().unwrap_or("2025-01-17T10:30:00Z");
    let source = event.source.as_deref().unwrap_or("/s");
    let subject = event.subject.as_deref();
    let written = CloudEvent {
        id: &event.id,
        source,
        name: &event.name,
        time,
        subject,
        deliver_at: None,
        data: event.data.clone(),
    };
    let again = RawEvent {
        subject: event.name.subject(&event.tenant),
        headers: vec![(headers::CONTENT_TYPE.to_owned(), CloudEvent::CONTENT_TYPE.to_owned())],
        payload: written.into_json().into(),
        position: event.position,
        stored_at: event.stored_at,
    };
    let again = again.read().expect("it was written by us");
    assert_eq!((&again.id, &again.data, &again.subject), (&event.id, &event.data, &event.subject));
    assert_eq!((again.source.as_deref(), again.time.as_deref()), (Some(source), Some(time)));
}

/// A subject, headers, an empty line, and the payload.
fn raw_event(input: &[u8]) -> Option<RawEvent> {
    let (first, mut rest) = split_line(input);
    let mut headers = Vec::new();
    loop {
        let (line, behind) = split_line(rest);
        rest = behind;
        if line.is_empty() {
            break;
        }
        let line = text(line);
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Some(RawEvent {
        subject: text(first).into_owned(),
        headers,
        payload: rest.to_vec().into(),
        position: "5-7".parse().ok()?,
        stored_at: OffsetDateTime::UNIX_EPOCH,
    })
}
