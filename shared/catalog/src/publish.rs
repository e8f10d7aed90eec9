//! What clients publish: from a client's frame to the event that it becomes, if the token permits it.
//!
//! A token decides twice: its grants open a rule (`roles`), and its claims say where the rule holds
//! (`where`). Conditions look at the event's data as it will be published, so what was checked is
//! what is addressed and delivered. A claim that is missing or odd permits less, never more.

use std::borrow::Cow;

use serde_json::{Map, Value};
use tidings_model::{Address, EventName, Grants};

use crate::catalog::Catalog;
use crate::destination::claim_texts;
use crate::rejection::{Reason, Rejection};
use crate::template::{Path, Scope, Template, TextTemplate, Unresolved, as_name};

/// The claims that decide what their holder may publish: those that the catalog's rules name. A holder who may publish
/// nothing has none, which takes the space of a pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PublishClaims(Option<Box<Value>>);

/// What a client published, as an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPublish {
    /// Its name.
    pub event: EventName,
    /// The event's data.
    pub data: Value,
    /// JSON pointer of the data in the client's frame, if it is there as a whole.
    place: Option<String>,
}

impl ClientPublish {
    /// The projector's objection, for the client: a pointer into the event's data is made one into the
    /// client's frame, or left out.
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

/// Why what a client publishes does not become an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefusal {
    /// The catalog has no such verb.
    #[error("there is no action {0}")]
    Unknown(String),
    /// The token does not permit this.
    #[error("{0}")]
    Forbidden(String),
    /// It is not what the catalog expects; a pointer leads into the client's frame for a missing value, and
    /// into the message that it would become for a schema violation.
    #[error("{}", .0.text)]
    Rejected(Rejection),
}

impl PublishRefusal {
    /// There is no such verb.
    #[must_use]
    pub fn unknown(verb: &str) -> Self {
        Self::Unknown(named(verb, None))
    }

    /// A stable word for the reason.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown-action",
            Self::Forbidden(_) => "forbidden",
            Self::Rejected(rejection) => rejection.reason.as_str(),
        }
    }

    /// Where.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Unknown(_) | Self::Forbidden(_) => None,
            Self::Rejected(rejection) => rejection.pointer.as_deref(),
        }
    }
}

impl Catalog {
    /// The claims, of those that open these grants, that decide what their holder may publish.
    #[must_use]
    pub fn publish_claims(&self, claims: &Map<String, Value>, grants: &Grants) -> PublishClaims {
        let mut kept = Map::new();
        for path in self.publish.iter().filter(|rule| rule.is_open_to(grants)).flat_map(|rule| &rule.claims) {
            path.keep(claims, &mut kept);
        }
        PublishClaims((!kept.is_empty()).then(|| Box::new(Value::Object(kept))))
    }

    /// The event that a client's frame with this verb becomes: by the first rule for it, in the catalog's
    /// order, that the token permits.
    pub fn publish(
        &self,
        verb: &str,
        frame: &Map<String, Value>,
        grants: &Grants,
        voice: &PublishClaims,
    ) -> Result<ClientPublish, PublishRefusal> {
        let mut refusal = None;
        for rule in self.publish.iter().filter(|rule| rule.is_for(verb, frame)) {
            if !rule.is_open_to(grants) {
                let text = format!("your roles do not permit {}", named(verb, rule.kind.as_deref()));
                refusal.get_or_insert(PublishRefusal::Forbidden(text));
                continue;
            }
            match rule.apply(frame, voice) {
                Ok(published) => return Ok(published),
                Err(refused) => refusal = Some(refused),
            }
        }
        Err(refusal.unwrap_or_else(|| self.unknown_verb(verb, frame)))
    }

    fn unknown_verb(&self, verb: &str, frame: &Map<String, Value>) -> PublishRefusal {
        let is_of_another_type = self.publish.iter().any(|rule| rule.action == verb);
        let kind = frame.get("type").and_then(Value::as_str).filter(|_| is_of_another_type);
        PublishRefusal::Unknown(named(verb, kind))
    }
}

/// A verb, the event that it becomes, and who may publish it about what.
#[derive(Debug)]
pub(crate) struct PublishRule {
    pub(crate) action: String,
    /// What the frame's `type` must be, beside the verb.
    pub(crate) kind: Option<String>,
    pub(crate) event: EventName,
    /// A holder of one of these grants may; everybody, if there is no list.
    pub(crate) entitled: Option<Vec<Address>>,
    /// What the paths into the event's data lead to must be one of the texts that claims make.
    pub(crate) conditions: Vec<(Path, TextTemplate)>,
    pub(crate) data: Template,
    /// The paths of all claims that the rule asks about.
    pub(crate) claims: Vec<Path>,
}

/// The name by which `data` reaches the token's claims. A frame's member of this name is out of reach, so
/// no client can claim what its token does not.
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
        // An empty claim opens no grant either.
        if !text.is_empty() && allowed.iter().any(|allowed| *allowed == text) {
            return Ok(());
        }
        let (action, text) = (named(&self.action, self.kind.as_deref()), quoted(&text));
        Err(PublishRefusal::Forbidden(format!("your token does not permit {action} where {path} is {text}")))
    }
}

/// A frame without the data, or a token without the claim, that the rule places in the event.
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

/// A short, harmless form of what a client wrote.
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
