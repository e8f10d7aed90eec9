//! Destinations: from an event's data, or a token's claims, to addresses.
//!
//! The kind of an address is always literal. Data fills only the id, which is encoded when it becomes part of a
//! subject. So data cannot widen the set of receivers.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use tidings_model::Address;

use crate::rejection::Rejection;
use crate::template::{Path, Scope, TemplateError, TextTemplate, as_name};

/// `all` or `<kind>:<text with placeholders>`.
#[derive(Debug, Clone)]
pub(crate) struct AddressTemplate {
    /// The text in the catalog.
    text: String,
    kind: String,
    id: Option<TextTemplate>,
}

impl AddressTemplate {
    /// Parses an address that an event's data fills.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::read(text, TextTemplate::parse)
    }

    /// Parses an address that a token's claims fill.
    pub(crate) fn of_claims(text: &str) -> Result<Self, String> {
        Self::read(text, TextTemplate::of_claims)
    }

    fn read(
        text: &str,
        template: impl Fn(&str) -> Result<TextTemplate, TemplateError>,
    ) -> Result<Self, String> {
        let Some((kind, id)) = text.split_once(':') else {
            let all = Address::parse(text).map_err(|error| error.to_string())?;
            return Ok(Self { text: text.to_owned(), kind: all.kind().to_owned(), id: None });
        };
        let text = text.to_owned();
        let id = template(id).map_err(|error| error.to_string())?;
        if id.paths().filter(|path| path.has_each()).count() > 1 {
            return Err(format!("address {text:?} has more than one [*]"));
        }
        // Only the kind is checked here; any id will do.
        Address::new(kind, id.as_literal().unwrap_or("x")).map_err(|error| error.to_string())?;
        Ok(Self { text, kind: kind.to_owned(), id: Some(id) })
    }

    /// Returns a template that matches only this address.
    pub(crate) fn of(address: &Address) -> Self {
        let id = address.id().map(TextTemplate::literal);
        Self { text: address.to_string(), kind: address.kind().to_owned(), id }
    }

    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// The text of the id; `all` has none.
    pub(crate) fn id(&self) -> Option<&TextTemplate> {
        self.id.as_ref()
    }

    /// Returns whether the two templates may become the same address.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        let may_be = match (&self.id, &other.id) {
            (Some(one), Some(other)) => one.may_be(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        self.kind == other.kind && may_be
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.id.iter().flat_map(TextTemplate::paths)
    }

    /// Returns the topic's name if this is a topic's address that does not depend on data.
    pub(crate) fn literal_topic(&self) -> Option<&str> {
        let id = self.id.as_ref().filter(|_| self.kind == "topic")?;
        id.as_literal()
    }

    fn addresses(&self, scope: &dyn Scope) -> Result<Vec<Address>, Rejection> {
        let Some(id) = &self.id else { return Ok(vec![Address::all()]) };
        let ids = id.names(scope).map_err(|unresolved| Rejection::unresolved(&unresolved))?;
        ids.iter().map(|id| Address::new(&self.kind, id).map_err(|e| Rejection::address(&e))).collect()
    }
}

/// Formats the text as the catalog has it.
impl fmt::Display for AddressTemplate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Display for GrantRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A destination of a message and its conditions.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) address: AddressTemplate,
    /// Conditions: each path must lead to exactly this value.
    pub(crate) when: Vec<(Path, Value)>,
}

impl Destination {
    /// Returns the addresses for this event; none if a condition fails.
    pub(crate) fn addresses(&self, scope: &dyn Scope) -> Result<Vec<Address>, Rejection> {
        if !self.when.iter().all(|(path, expected)| path.is(scope, expected)) {
            return Ok(Vec::new());
        }
        self.address.addresses(scope)
    }
}

/// A rule that opens grants by a token's claims.
#[derive(Debug, Clone)]
pub(crate) struct GrantRule(AddressTemplate);

impl GrantRule {
    pub(crate) fn new(address: AddressTemplate) -> Self {
        Self(address)
    }

    /// Returns whether a token may open such an address by this rule.
    pub(crate) fn may_open(&self, address: &AddressTemplate) -> bool {
        self.0.may_be(address)
    }

    /// Returns the grants. A list claim opens one grant per element. A claim that is missing, or cannot be part of an
    /// address, opens none.
    pub(crate) fn grants(&self, claims: &Map<String, Value>) -> Vec<Address> {
        let Some(id) = &self.0.id else { return vec![Address::all()] };
        let ids = claim_texts(id, claims).into_iter();
        ids.filter_map(|id| Address::new(self.0.kind(), &id).ok()).collect()
    }
}

/// Returns the texts that claims make of a template. A list claim makes one text per element, and a claim that is a
/// list of words makes one per word. A claim that is missing, or is no text, number or boolean, makes none.
pub(crate) fn claim_texts(template: &TextTemplate, claims: &Map<String, Value>) -> Vec<String> {
    let mut scopes = vec![claims.clone()];
    // Words come first, and each path is expanded once: an element or a word must not be split again.
    let (words, others): (Vec<_>, Vec<_>) = template.paths().partition(|path| path.reads_words());
    let mut paths: Vec<&Path> = Vec::new();
    for path in words.into_iter().chain(others) {
        if !paths.iter().any(|earlier| earlier.leads_where(path)) {
            paths.push(path);
        }
    }
    for path in paths {
        scopes = scopes.into_iter().flat_map(|scope| one_per_element(scope, path)).collect();
    }
    scopes.iter().filter_map(|scope| template.names(scope).ok()).flatten().collect()
}

/// Returns copies of the claims in which each element in turn replaces the list at `path`.
fn one_per_element(claims: Map<String, Value>, path: &Path) -> Vec<Map<String, Value>> {
    let found = path.find_one(&claims);
    let texts: Vec<_> = match found.as_deref() {
        Some(Value::Array(elements)) => elements.iter().filter_map(as_name).collect(),
        Some(Value::String(text)) if path.reads_words() => {
            text.split_ascii_whitespace().map(Cow::Borrowed).collect()
        }
        _ => return vec![claims],
    };
    let with = |text: &str| {
        let mut claims = claims.clone();
        path.replace(&mut claims, text.into());
        claims
    };
    texts.iter().map(|text| with(text)).collect()
}
