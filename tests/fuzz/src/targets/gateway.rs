//! What clients send to a gateway before they are connected, and what producers publish there.

use tidings_gateway::parsers::{handshake_query, publication};
use tidings_model::{Event, RawEvent, Tenant};

use super::{split_line, text};
use crate::Target;

pub(crate) const QUERY: Target = Target {
    name: "query",
    run: query,
    seeds: &[
        b"device=phone+1&token=x&since=18f3a0c2b41-42",
        b"device=%E8%AA%9E&device=a",
        b"device=a%0Ab",
        b"since=1-2&since=1-2",
        b"device=&since=yesterday",
        b"%64evice=x&=&&?",
    ],
    attempts: 4_000,
};

/// A device is a name that can be kept and shown, a position is one, and a refusal has the code of an answer.
fn query(input: &[u8]) {
    match handshake_query(&text(input)) {
        Ok((device, _)) => {
            let is_name =
                |name: &str| (1..=64).contains(&name.chars().count()) && !name.contains(char::is_control);
            assert!(device.as_deref().is_none_or(is_name), "{device:?}");
        }
        Err(code) => assert!(["DEVICE_NAME", "POSITION", "PARAMETER_REPEATED"].contains(&code)),
    }
}

pub(crate) const PUBLICATION: Target = Target {
    name: "publication",
    run: publish,
    seeds: &[
        b"note.added\nContent-Type: application/json\nIdempotency-Key: \"k-1\"\n\n{\"a\":1}",
        b"\ncontent-type: application/cloudevents+json; charset=utf-8\n\n{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"note.added\",\"data\":[1.0]}",
        b"\nContent-Type: application/json\nce-specversion: 1.0\nce-id: %C3%A9\nce-source: \"/s\"\nce-type: note.added\nce-subject: \xC3\xA9\n\nnull",
        b"\nContent-Type: application/cloudevents-batch+json\n\n[{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"note.added\"},7,{\"type\":\"x\"}]",
        b"note.added\nNats-Rollup: all\nTidings-Event-Id: forged\ntraceparent: 00-a-b-01\nce-x: \xFF\n\n{}",
        b"note\nContent-Type: text/plain\nce-id: a\nce-id: b\n\n",
    ],
    attempts: 4_000,
};

/// What is read is at most a batch of events of the sender's tenant, each with headers of its own alone; a body comes through
/// as it was; a refusal has the code of an answer.
fn publish(input: &[u8]) {
    let (name, mut rest) = split_line(input);
    let name = Some(text(name)).filter(|name| !name.is_empty());
    let mut headers: Vec<(&[u8], &[u8])> = Vec::new();
    loop {
        let (line, after) = split_line(rest);
        rest = after;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { break };
        headers.push((&line[..colon], line[colon + 1..].trim_ascii()));
    }
    let tenant = Tenant::parse("ops").expect("a good name");
    for source in [None, Some("/bound \u{e9}%\"")] {
        match publication(&headers, name.as_deref(), rest, (&tenant, source)) {
            Ok(events) => {
                assert!(events.len() <= 1_000);
                for event in events {
                    check_event(event, source);
                }
            }
            Err(code) => {
                assert!(code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{code}");
            }
        }
    }
}

fn check_event(event: Result<RawEvent, &'static str>, source: Option<&str>) {
    let Ok(event) = event else { return };
    let (tenant, _) = event.name().expect("the subject is that of an event");
    assert_eq!((tenant.as_str(), event.is_by_client()), ("ops", false));
    let mut names: Vec<_> = event.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    for name in &names {
        let is_own = matches!(&**name, "content-type" | "traceparent" | "tidings-event-id");
        assert!(is_own || name.starts_with("ce-"), "{name}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), event.headers.len(), "each header once");
    assert!(event.headers.iter().all(|(_, value)| !value.contains(char::is_control)));
    let Ok(read) = event.read() else { return };
    assert!(read.id.len() <= Event::MAX_ID_LENGTH);
    // Without a type of its own it is plain JSON, which has the source that its producer is bound to.
    if event.header("ce-id").is_none() && read.source.is_none() {
        assert_eq!(source, None);
    }
}
