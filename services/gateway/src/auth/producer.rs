//! Producers: programs that publish events over HTTP, and what each of them may publish.
//!
//! A producer is known by a token whose scope says so, or by an API key. Either may be bound to events and to a source. What
//! cannot be read never permits more: a malformed binding refuses the token.

use serde_json::Value;
use tidings_access::Claims;
use tidings_model::{Event, EventName, EventPattern, Tenant};

use crate::error::{ApiCode, ApiError};

/// The claim with the patterns of the events that a token is bound to.
const EVENTS_CLAIM: &str = "tidings_events";
/// The claim with the source that a token is bound to.
const SOURCE_CLAIM: &str = "tidings_source";

/// A producer of a tenant.
#[derive(Debug, Clone)]
pub(crate) struct Producer {
    pub(crate) tenant: Tenant,
    /// Different from that of every other producer of the tenant.
    pub(crate) name: String,
    pub(crate) rights: PublishRights,
}

/// What a producer may publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublishRights {
    /// `None` permits every event.
    events: Option<Vec<EventPattern>>,
    /// `None` permits every source.
    source: Option<String>,
}

impl PublishRights {
    /// The rights of a producer that is bound to these events, and to a source if there is one.
    pub(crate) fn new(events: Option<Vec<EventPattern>>, source: Option<String>) -> Self {
        Self { events, source }
    }

    pub(super) fn of_claims(claims: &Claims) -> Result<Self, ApiError> {
        let events = claims.all.get(EVENTS_CLAIM).map(patterns).transpose()?;
        let source = claims.all.get(SOURCE_CLAIM).map(source).transpose()?;
        Ok(Self::new(events, source))
    }

    /// The source that everything which the producer publishes has, if it is bound to one.
    pub(crate) fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    pub(crate) fn check_event(&self, name: &EventName) -> Result<(), ApiError> {
        let Some(patterns) = &self.events else { return Ok(()) };
        if patterns.iter().any(|pattern| pattern.matches(name)) {
            return Ok(());
        }
        let permitted: Vec<_> = patterns.iter().map(ToString::to_string).collect();
        let text = format!(
            "event {name} may not be published with this token or key; it permits {}",
            permitted.join(", ")
        );
        Err(ApiError::new(ApiCode::EventForbidden, text))
    }

    pub(crate) fn check_source(&self, source: Option<&str>) -> Result<(), ApiError> {
        let Some(bound) = &self.source else { return Ok(()) };
        if source == Some(bound) {
            return Ok(());
        }
        let given = source.map_or_else(|| "no source".to_owned(), |source| format!("the source {source:?}"));
        let text = format!("the event has {given}; this token or key permits the source {bound:?}");
        Err(ApiError::new(ApiCode::EventForbidden, text))
    }
}

/// The patterns of a claim: one text or a list of texts.
fn patterns(claim: &Value) -> Result<Vec<EventPattern>, ApiError> {
    let elements = match claim {
        Value::Array(elements) => elements.as_slice(),
        one => std::slice::from_ref(one),
    };
    let pattern = |element: &Value| {
        let text = element.as_str().ok_or_else(|| "it has something that is not a text".to_owned())?;
        EventPattern::parse(text).map_err(|error| error.to_string())
    };
    let parsed: Result<Vec<_>, _> = elements.iter().map(pattern).collect();
    parsed.map_err(|why| unreadable(EVENTS_CLAIM, &why))
}

fn source(claim: &Value) -> Result<String, ApiError> {
    let source = claim.as_str().filter(|source| !source.is_empty() && Event::can_be_named(source));
    source.map(str::to_owned).ok_or_else(|| unreadable(SOURCE_CLAIM, "it is not a source"))
}

fn unreadable(claim: &str, why: &str) -> ApiError {
    ApiError::new(ApiCode::ClaimPublish, format!("the token's `{claim}` claim cannot be read: {why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rights(all: Value) -> Result<PublishRights, ApiError> {
        let Value::Object(all) = all else { panic!("claims are an object") };
        let tenant = Tenant::parse("ops").unwrap();
        PublishRights::of_claims(&Claims {
            subject: "s".to_owned(),
            tenant,
            expires_at: 0,
            issued_at: None,
            all,
        })
    }

    #[test]
    fn a_token_permits_what_its_claims_say() {
        let check = |claims: Value, event: &str, source: Option<&str>, expected: bool| {
            let rights = rights(claims.clone()).unwrap();
            let name = EventName::parse(event).unwrap();
            let checked = rights.check_event(&name).and_then(|()| rights.check_source(source));
            assert_eq!(checked.is_ok(), expected, "{claims} {event} {source:?}");
            assert!(checked.err().is_none_or(|error| error.code() == ApiCode::EventForbidden));
        };
        check(json!({}), "incident.created", None, true);
        check(json!({}), "incident.created", Some("/a"), true);
        let bound = json!({ "tidings_events": ["incident.*", "task.created"], "tidings_source": "/a" });
        check(bound.clone(), "incident.created", Some("/a"), true);
        check(bound.clone(), "task.created", Some("/a"), true);
        check(bound.clone(), "task.updated", Some("/a"), false);
        check(bound.clone(), "incident.created", Some("/a/b"), false);
        check(bound, "incident.created", None, false);
        check(json!({ "tidings_events": "*" }), "task.updated", None, true);
        check(json!({ "tidings_events": [] }), "task.updated", None, false);
    }

    #[test]
    fn a_binding_that_cannot_be_read_permits_nothing() {
        for claims in [
            json!({ "tidings_events": null }),
            json!({ "tidings_events": 1 }),
            json!({ "tidings_events": ["incident.created", 1] }),
            json!({ "tidings_events": "incident" }),
            json!({ "tidings_events": { "a": "*" } }),
            json!({ "tidings_source": null }),
            json!({ "tidings_source": "" }),
            json!({ "tidings_source": ["/a"] }),
            json!({ "tidings_source": "a\nb" }),
            json!({ "tidings_source": "a".repeat(257) }),
        ] {
            let refused = rights(claims.clone()).map_err(|error| error.code());
            assert_eq!(refused, Err(ApiCode::ClaimPublish), "{claims}");
        }
    }
}
