//! An event is the same in every mode, and as over NATS.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::*;

const NAME: &str = "note.added";

/// What a producer says.
#[derive(Debug, Clone)]
struct Said {
    id: String,
    source: String,
    subject: Option<String>,
    time: Option<&'static str>,
    data: Value,
}

fn said() -> impl Strategy<Value = Said> {
    let text = || {
        "[ -~é😀]{1,20}"
            .prop_filter("blanks at the ends do not travel in headers", |text| text.trim() == text)
    };
    let times = [None, Some("2025-01-17T10:30:00Z"), Some("2025-01-17 10:30:00.5+0100"), Some("yesterday")];
    let data = select(vec![
        "null",
        "1.50",
        "\"é\"",
        r#"{"b":[1e400,{}],"a":"\u0000x"}"#,
        "[true, 123456789012345678901]",
    ]);
    (text(), text(), prop::option::of(text()), select(times.to_vec()), data).prop_map(
        |(id, source, subject, time, data)| Said {
            id,
            source,
            subject,
            time,
            data: json::parse(data.as_bytes()).unwrap(),
        },
    )
}

impl Said {
    fn attributes(&self) -> Vec<(&'static str, String)> {
        let given = [
            ("specversion", Some("1.0".to_owned())),
            ("id", Some(self.id.clone())),
            ("source", Some(self.source.clone())),
            ("type", Some(NAME.to_owned())),
            ("subject", self.subject.clone()),
            ("time", self.time.map(str::to_owned)),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn structured(&self) -> Value {
        let attributes =
            self.attributes().into_iter().map(|(name, value)| (name.to_owned(), Value::from(value)));
        Value::Object(attributes.chain([("data".to_owned(), self.data.clone())]).collect())
    }

    fn binary(&self) -> Vec<(String, String)> {
        self.attributes().into_iter().map(|(name, value)| (format!("ce-{name}"), encoded(&value))).collect()
    }
}

fn over_nats(headers: Vec<(String, String)>, payload: String) -> RawEvent {
    let mut raw = unplaced(headers, payload.into(), OffsetDateTime::UNIX_EPOCH);
    raw.subject = format!("events.ops.{NAME}");
    raw
}

fn over_http(
    headers: &[(String, String)],
    name: Option<&str>,
    body: &Value,
    source: Option<&str>,
) -> RawEvent {
    let headers = headers.iter().map(|(name, value)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    let tenant = Tenant::parse("ops").unwrap();
    let sender = Sender { tenant: &tenant, source, now: OffsetDateTime::UNIX_EPOCH };
    let read = read(&headers.collect(), name, body.to_string().into(), sender, || "new".to_owned());
    let mut events = read.unwrap().events;
    assert_eq!(events.len(), 1);
    events.pop().unwrap().unwrap().raw
}

fn kind(text: &str) -> (String, String) {
    ("Content-Type".to_owned(), text.to_owned())
}

/// All that a projection depends on.
fn seen(raw: &RawEvent) -> Result<String, String> {
    raw.read().map(|event| format!("{event:?}")).map_err(|error| format!("{error:?}"))
}

proptest! {
    #[test]
    fn an_event_is_the_same_in_every_mode(said in said()) {
        let structured = said.structured();
        let expected = seen(&over_nats(vec![kind(CloudEvent::CONTENT_TYPE)], structured.to_string()));
        let json = kind("application/json; charset=utf-8");
        let binary: Vec<_> = said.binary().into_iter().chain([json.clone()]).collect();
        prop_assert_eq!(&seen(&over_nats(binary.clone(), said.data.to_string())), &expected);
        for name in [None, Some(NAME)] {
            let structured_types = [CloudEvent::CONTENT_TYPE, "Application/CloudEvents+JSON; charset=utf-8", "application/json"];
            for declared in structured_types {
                prop_assert_eq!(&seen(&over_http(&[kind(declared)], name, &structured, None)), &expected);
            }
            prop_assert_eq!(&seen(&over_http(&binary, name, &said.data, None)), &expected);
            let batch = json!([structured]);
            prop_assert_eq!(&seen(&over_http(&[kind(CloudEvent::BATCH_CONTENT_TYPE)], name, &batch, None)), &expected);
        }
    }

    /// Plain JSON with a key is what plain JSON with a `Nats-Msg-Id` is; with a source, it is a CloudEvent.
    #[test]
    fn plain_json_is_the_same_as_over_nats(said in said()) {
        let json = kind("application/json");
        let sent = [json.clone(), ("Idempotency-Key".to_owned(), said.id.clone())];
        let key = said.id.strip_prefix('"').and_then(|id| id.strip_suffix('"')).unwrap_or(&said.id);
        prop_assume!(!key.is_empty());
        let nats = over_nats(vec![json, (headers::MESSAGE_ID.to_owned(), key.to_owned())], said.data.to_string());
        prop_assert_eq!(seen(&over_http(&sent, Some(NAME), &said.data, None)), seen(&nats));
        let bound = over_http(&sent, Some(NAME), &said.data, Some(&said.source)).read().unwrap();
        let expected = Said { id: key.to_owned(), subject: None, time: None, ..said };
        let cloud_event = over_nats(vec![kind(CloudEvent::CONTENT_TYPE)], expected.structured().to_string());
        prop_assert_eq!(format!("{bound:?}"), seen(&cloud_event).unwrap());
    }
}
