//! Client publications: from a client's frame to an event, if the token permits it.
//!
//! A token decides twice: its grants open a rule (`roles`), and its claims restrict it (`where`). Conditions apply to
//! the event's data as it will be published, so the checked values are those that are addressed and delivered. A
//! missing or malformed claim never permits more.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tidings_model::{Address, EventName, Grants};

use crate::destination::claim_texts;
use crate::rejection::{Reason, Rejection};
use crate::template::{Path, Scope, Template, TextTemplate, Unresolved, as_name};

/// The claims that decide what a user may publish: those that the catalog's rules name.
///
/// `None` inside means that the user may publish nothing; it takes the space of a pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishClaims(Option<Box<Value>>);

/// A client publication as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPublish {
    /// The event's name.
    pub event: EventName,
    /// The event's data.
    pub data: Value,
    /// JSON pointer of the data in the client's frame, if the frame contains it as a whole.
    place: Option<String>,
}

impl ClientPublish {
    /// Turns the projector's rejection into a refusal for the client. A pointer into the event's data becomes a pointer
    /// into the client's frame, or is omitted.
    #[must_use]
    pub fn refusal(&self, rejection: Rejection) -> PublishRefusal {
        let pointer = match rejection.reason {
            Reason::MissingValue => rejection
                .pointer
                .and_then(|pointer| self.place.as_ref().map(|place| format!("{place}{pointer}"))),
            _ => rejection.pointer,
        };
        PublishRefusal::Rejected(Rejection { pointer, ..rejection })
    }
}

/// Why a client publication does not become an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefusal {
    /// The catalog has no such verb.
    #[error("there is no action {0}")]
    Unknown(String),
    /// The token does not permit the publication.
    #[error("{0}")]
    Forbidden(String),
    /// The catalog rejects the event. The pointer leads into the client's frame for a missing value, and into the
    /// message for a schema violation.
    #[error("{}", .0.text)]
    Rejected(Rejection),
}

impl PublishRefusal {
    /// The refusal of an unknown verb.
    #[must_use]
    pub fn unknown(verb: &str) -> Self {
        Self::Unknown(named(verb, None))
    }

    /// The stable reason word.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown-action",
            Self::Forbidden(_) => "forbidden",
            Self::Rejected(rejection) => rejection.reason.as_str(),
        }
    }

    /// The JSON pointer of the place.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Unknown(_) | Self::Forbidden(_) => None,
            Self::Rejected(rejection) => rejection.pointer.as_deref(),
        }
    }
}

/// The rules of `[[publish]]`, in the catalog's order.
#[derive(Debug)]
pub(crate) struct PublishRules(Vec<PublishRule>);

impl PublishRules {
    pub(crate) fn new(rules: Vec<PublishRule>) -> Self {
        Self(rules)
    }

    /// The rules, in the catalog's order.
    pub(crate) fn rules(&self) -> &[PublishRule] {
        &self.0
    }

    /// Returns the claims that decide what a user with these grants may publish.
    pub(crate) fn claims(&self, claims: &Map<String, Value>, grants: &Grants) -> PublishClaims {
        let mut kept = Map::new();
        for path in self.0.iter().filter(|rule| rule.is_open_to(grants)).flat_map(|rule| &rule.claims) {
            path.keep(claims, &mut kept);
        }
        PublishClaims((!kept.is_empty()).then(|| Box::new(Value::Object(kept))))
    }

    /// Returns the event that a client's frame with this verb becomes.
    pub(crate) fn apply(
        &self,
        verb: &str,
        frame: &Map<String, Value>,
        grants: &Grants,
        claims: &PublishClaims,
    ) -> Result<ClientPublish, PublishRefusal> {
        let mut refusal = None;
        for rule in self.0.iter().filter(|rule| rule.is_for(verb, frame)) {
            if !rule.is_open_to(grants) {
                let text = format!("your roles do not permit {}", named(verb, rule.kind.as_deref()));
                refusal.get_or_insert(PublishRefusal::Forbidden(text));
                continue;
            }
            match rule.apply(frame, claims) {
                Ok(published) => return Ok(published),
                Err(refused) => refusal = Some(refused),
            }
        }
        Err(refusal.unwrap_or_else(|| self.unknown_verb(verb, frame)))
    }

    fn unknown_verb(&self, verb: &str, frame: &Map<String, Value>) -> PublishRefusal {
        let is_of_another_type = self.0.iter().any(|rule| rule.action == verb);
        let kind = frame.get("type").and_then(Value::as_str).filter(|_| is_of_another_type);
        PublishRefusal::Unknown(named(verb, kind))
    }
}

/// A rule of `[[publish]]`: a verb, its event and its conditions.
#[derive(Debug)]
pub(crate) struct PublishRule {
    pub(crate) action: String,
    /// The required `type` of the frame, besides the verb.
    pub(crate) kind: Option<String>,
    pub(crate) event: EventName,
    /// Grants of which the user needs one. `None` lets every user of the tenant publish.
    pub(crate) entitled: Option<Vec<Address>>,
    /// Conditions: the value at each path in the event's data must be one of the texts that the claims make.
    pub(crate) conditions: Vec<(Path, TextTemplate)>,
    pub(crate) data: Template,
    /// The paths of all claims that the rule uses.
    pub(crate) claims: Vec<Path>,
}

/// The root by which `data` refers to the token's claims. A frame's member of this name is not accessible, so a client
/// cannot forge claims.
pub(crate) const CLAIMS: &str = "claims";

impl PublishRule {
    fn is_for(&self, verb: &str, frame: &Map<String, Value>) -> bool {
        let kind = || frame.get("type").and_then(Value::as_str);
        self.action == verb && (self.kind.is_none() || self.kind.as_deref() == kind())
    }

    fn is_open_to(&self, grants: &Grants) -> bool {
        self.entitled.as_ref().is_none_or(|entitled| entitled.iter().any(|grant| grants.contains(grant)))
    }

    fn apply(
        &self,
        frame: &Map<String, Value>,
        voice: &PublishClaims,
    ) -> Result<ClientPublish, PublishRefusal> {
        let rendered = self.data.render(&FrameScope { frame, voice });
        let data = rendered.map_err(|unresolved| unresolved_refusal(&unresolved))?.unwrap_or_default();
        let place = self.data.as_place().map(Path::pointer);
        let published = ClientPublish { event: self.event.clone(), data, place };
        for (path, template) in &self.conditions {
            self.check(path, template, &published, voice)?;
        }
        Ok(published)
    }

    fn check(
        &self,
        path: &Path,
        template: &TextTemplate,
        published: &ClientPublish,
        voice: &PublishClaims,
    ) -> Result<(), PublishRefusal> {
        let scope = DataScope(&published.data);
        let found = path.find_one(&scope);
        let Some(text) = found.as_deref().and_then(as_name) else {
            return Err(published.refusal(Rejection::unresolved(&Unresolved::no_text_at(path))));
        };
        let claims = voice.0.as_deref().and_then(Value::as_object);
        let allowed = claim_texts(template, claims.unwrap_or(&Map::new()));
        // An empty claim permits nothing, as it opens no grant.
        if !text.is_empty() && allowed.iter().any(|allowed| *allowed == text) {
            return Ok(());
        }
        let (action, text) = (named(&self.action, self.kind.as_deref()), quoted(&text));
        Err(PublishRefusal::Forbidden(format!("your token does not permit {action} where {path} is {text}")))
    }
}

/// Returns the refusal for a frame without the data, or a token without the claim, that the rule requires.
fn unresolved_refusal(unresolved: &Unresolved) -> PublishRefusal {
    let path = &unresolved.path;
    if let Some(claim) = path.inside().filter(|_| path.root() == CLAIMS) {
        return PublishRefusal::Forbidden(format!("your token has no claim {}", quoted(&claim.to_string())));
    }
    let pointer = Some(path.pointer());
    PublishRefusal::Rejected(Rejection { pointer, ..Rejection::unresolved(unresolved) })
}

fn named(verb: &str, kind: Option<&str>) -> String {
    let kind = kind.map(|kind| format!(" of type {}", quoted(kind)));
    quoted(verb) + &kind.unwrap_or_default()
}

/// Quotes at most 64 characters of a client's text, escaped.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(64).collect::<String>())
}

struct FrameScope<'f> {
    frame: &'f Map<String, Value>,
    voice: &'f PublishClaims,
}

impl Scope for FrameScope<'_> {
    fn root(&self, name: &str) -> Option<Cow<'_, Value>> {
        let found = if name == CLAIMS { self.voice.0.as_deref() } else { self.frame.get(name) };
        found.map(Cow::Borrowed)
    }
}

struct DataScope<'d>(&'d Value);

impl Scope for DataScope<'_> {
    fn root(&self, name: &str) -> Option<Cow<'_, Value>> {
        (name == "data").then_some(Cow::Borrowed(self.0))
    }
}
