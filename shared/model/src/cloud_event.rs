//! Writes an event as a structured CloudEvent 1.0, which [`crate::RawEvent`] reads.

use serde_json::{Map, Value};

use crate::EventName;

/// An event to publish. Its CloudEvents `type` is the event's name.
#[derive(Debug)]
pub struct CloudEvent<'e> {
    /// The id, unique among the events of the source.
    pub id: &'e str,
    /// The source.
    pub source: &'e str,
    /// The name.
    pub name: &'e EventName,
    /// When it happened, RFC 3339.
    pub time: &'e str,
    /// The subject within the source.
    pub subject: Option<&'e str>,
    /// When it is to be delivered, RFC 3339; at once if absent.
    pub deliver_at: Option<&'e str>,
    /// The data.
    pub data: Value,
}

impl CloudEvent<'_> {
    /// The media type of [`CloudEvent::into_json`].
    pub const CONTENT_TYPE: &'static str = "application/cloudevents+json";
    /// The media type of several CloudEvents in one HTTP request.
    pub const BATCH_CONTENT_TYPE: &'static str = "application/cloudevents-batch+json";

    /// Returns the payload of the event's message.
    #[must_use]
    pub fn into_json(self) -> String {
        let name = self.name.to_string();
        let attributes = [
            ("specversion", Some("1.0")),
            ("id", Some(self.id)),
            ("source", Some(self.source)),
            ("type", Some(&name)),
            ("time", Some(self.time)),
            ("subject", self.subject),
            ("deliverat", self.deliver_at),
            ("datacontenttype", Some("application/json")),
        ];
        let stated = attributes.into_iter().filter_map(|(name, text)| Some((name, text?)));
        let mut event: Map<_, _> = stated.map(|(name, text)| (name.to_owned(), text.into())).collect();
        event.insert("data".to_owned(), self.data);
        Value::Object(event).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::OffsetDateTime;

    use super::*;
    use crate::{RawEvent, Tenant, headers};

    #[test]
    fn what_is_written_is_read() {
        let name = EventName::parse("incident.created").unwrap();
        let data = json!({ "id": "inc-1", "é\n": [1.0, null] });
        let (id, source, time, subject) = ("e 1", "/ops", "2025-01-17T10:30:00Z", Some("inc-1"));
        let written =
            CloudEvent { id, source, name: &name, time, subject, deliver_at: None, data: data.clone() }
                .into_json();
        let declared = (headers::CONTENT_TYPE.to_owned(), CloudEvent::CONTENT_TYPE.to_owned());
        let read = RawEvent {
            subject: name.subject(&Tenant::parse("ops").unwrap()),
            headers: vec![declared],
            payload: written.into(),
            position: "5-7".parse().unwrap(),
            stored_at: OffsetDateTime::UNIX_EPOCH,
        };
        let read = read.read().unwrap();
        assert_eq!((read.name, read.id.as_str(), read.data), (name, id, data));
        assert_eq!((read.source.as_deref(), read.time.as_deref()), (Some(source), Some(time)));
        assert_eq!(read.subject.as_deref(), subject);
    }
}
