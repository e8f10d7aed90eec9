use super::*;

fn raw(subject: &str, headers: &[(&str, &str)], payload: &str) -> RawEvent {
    RawEvent {
        subject: subject.to_owned(),
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        position: "5-7".parse().unwrap(),
        stored_at: OffsetDateTime::UNIX_EPOCH,
    }
}

const SUBJECT: &str = "events.ops.incident.created";

/// A binary event's headers, and these.
fn binary<'h>(more: &[(&'h str, &'h str)]) -> Vec<(&'h str, &'h str)> {
    [&[("ce-specversion", "1.0"), ("ce-id", "e"), ("ce-source", "s"), ("ce-type", "t")], more].concat()
}

#[test]
fn plain_json_is_the_data() {
    let event = raw(SUBJECT, &[], r#"{"id":"inc-1","value":99.50}"#).read().unwrap();
    assert_eq!((event.tenant.as_str(), event.name.to_string()), ("ops", "incident.created".into()));
    assert_eq!(event.id, "incident.created-5-7");
    assert_eq!(event.time, None);
    assert_eq!(event.data.to_string(), r#"{"id":"inc-1","value":99.50}"#);
    let named = raw(SUBJECT, &[("nats-msg-id", "m-1")], "{}").read().unwrap();
    assert_eq!(named.id, "m-1");
}

#[test]
fn both_cloud_event_modes_say_the_same() {
    let binary = raw(
        SUBJECT,
        &[
            ("ce-specversion", "1.0"),
            ("ce-id", "e%201"),
            ("ce-source", "/ops"),
            ("ce-type", "x"),
            ("ce-time", "2025-01-17T10:30:00Z"),
            ("Content-Type", "application/json; charset=utf-8"),
        ],
        r#"{"a":1}"#,
    );
    let whole = r#"{"specversion":"1.0","id":"e 1","source":"/ops","type":"x",
        "time":"2025-01-17T10:30:00Z","data":{"a":1}}"#;
    let declared = raw(SUBJECT, &[("content-type", "application/cloudevents+json")], whole);
    for event in [binary, declared, raw(SUBJECT, &[], whole)] {
        let event = event.read().unwrap();
        assert_eq!(event.id, "e 1");
        assert_eq!(event.source.as_deref(), Some("/ops"));
        assert_eq!(event.time.as_deref(), Some("2025-01-17T10:30:00Z"));
        assert_eq!(event.data.to_string(), r#"{"a":1}"#);
    }
}

#[test]
fn what_is_no_event_is_named() {
    let cloud =
        |member: &str| format!(r#"{{"specversion":"1.0","id":"e","source":"s","type":"t",{member}}}"#);
    for (event, expected) in [
        (raw("events.ops.incident", &[], "{}"), "is not events.<tenant>"),
        (raw("events.ops.a.b.c", &[], "{}"), "is not events.<tenant>"),
        (raw("events.OPS.a.b", &[], "{}"), "is not events.<tenant>"),
        (raw(SUBJECT, &[], "{"), "not JSON"),
        (raw(SUBJECT, &[("ce-specversion", "0.3")], "{}"), "specversion is \"0.3\""),
        (raw(SUBJECT, &[("ce-specversion", "1.0")], "{}"), "no `id`"),
        (raw(SUBJECT, &[], &cloud(r#""time":"yesterday""#)), "not RFC 3339"),
        (raw(SUBJECT, &[], &cloud(r#""time":5"#)), "`time` is not a string"),
        (raw(SUBJECT, &[], &cloud(r#""time":"2025-01-17T10:30:00""#)), "has no offset"),
        (raw(SUBJECT, &[], &cloud(r#""data_base64":"AA==""#)), "`data_base64` is not JSON"),
        (raw(SUBJECT, &[], &cloud(r#""data_base64":"?""#)), "`data_base64` is not base64"),
        (raw(SUBJECT, &[], &cloud(r#""data_base64":1"#)), "`data_base64` is not a string"),
        (raw(SUBJECT, &[], &cloud(r#""data":1,"data_base64":"MQ==""#)), "both `data` and"),
        (raw(SUBJECT, &[("ce-id", "1")], "{}"), "no `specversion`"),
        (
            raw(SUBJECT, &[("CONTENT-TYPE", "Application/CloudEvents-Batch+JSON; charset=utf-8")], "[]"),
            "is a batch",
        ),
        (raw(SUBJECT, &[("Content-Type", "application/cloudevents+avro")], "x"), "cloudevents+avro"),
        (
            raw(SUBJECT, &binary(&[("ce-subject", "%C0%A0")]), "{}"),
            "`ce-subject` is percent-encoded, but not UTF-8",
        ),
        (raw(SUBJECT, &binary(&[("ce-datacontenttype", "text/plain")]), "{}"), "text/plain"),
        (raw(SUBJECT, &binary(&[("content-type", "text/plain")]), "{}"), "text/plain"),
        (raw(SUBJECT, &[], &cloud(r#""datacontenttype":"text/xml""#)), "text/xml"),
        (raw(SUBJECT, &[("Nats-Msg-Id", "a\tb")], "{}"), "control characters"),
        (raw(SUBJECT, &[("Content-Type", "application/cloudevents+json")], "[]"), "specversion"),
    ] {
        let error = event.read().unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
}

#[test]
fn header_values_are_decoded_once() {
    for (value, expected) in [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("a%2520b", "a%20b"),
        ("50%", "50%"),
        ("%+1", "%+1"),
        ("%e2%82%ac", "€"),
        (r#""say \"hi\" %21""#, "say \"hi\" !"),
        (r#"half""#, r#"half""#),
        ("Euro €", "Euro €"),
        (" /x ", "/x"),
    ] {
        let event = raw(SUBJECT, &binary(&[("CE-Subject", value)]), "{}").read().unwrap();
        assert_eq!(event.subject.as_deref(), Some(expected), "{value}");
    }
}

#[test]
fn members_are_known_whatever_their_case() {
    let event = r#"{"SpecVersion":"1.0","ID":"e","Source":"/s","Type":"t","Time":"2025-01-17 10:30Z","Subject":null,
        "DataContentType":"application/vnd.x+json","Data_Base64":"eyJhIjoxfQ","id":"exactly this"}"#;
    let event = raw(SUBJECT, &[], event).read().unwrap();
    assert_eq!(
        (event.id.as_str(), event.source.as_deref(), event.subject),
        ("exactly this", Some("/s"), None)
    );
    assert_eq!(
        (event.time.as_deref(), event.data),
        (Some("2025-01-17T10:30:00Z"), serde_json::json!({ "a": 1 }))
    );
}

#[test]
fn what_is_empty_is_not_said() {
    let stated = r#"{"specversion":"1.0","id":"","source":"/s","type":"t","time":"","subject":"","datacontenttype":""}"#;
    let whole = raw(SUBJECT, &[], stated).read().unwrap();
    let headers = binary(&[("ce-time", ""), ("ce-subject", ""), ("ce-datacontenttype", "")]);
    let headers = raw(SUBJECT, &headers, "null").read().unwrap();
    for event in [whole, headers] {
        assert_eq!((event.time, event.subject, event.data), (None, None, Value::Null));
    }
}
