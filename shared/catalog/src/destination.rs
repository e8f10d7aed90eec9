//! Destinations: from an event's data, or a token's claims, to addresses.
//!
//! The kind of an address is always literal; data only ever fills its id, which is encoded when
//! it becomes part of a subject. So no data can widen who is reached.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use tidings_model::Address;

use crate::rejection::Rejection;
use crate::template::{Path, Scope, TemplateError, TextTemplate, as_name};

/// `all` or `<kind>:<text with places>`.
#[derive(Debug, Clone)]
pub(crate) struct AddressTemplate {
    /// As the catalog writes it.
    text: String,
    kind: String,
    id: Option<TextTemplate>,
}

impl AddressTemplate {
    /// An address that an event's data fills.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::read(text, TextTemplate::parse)
    }

    /// An address that a token's claims fill.
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
        // Any id serves to check the kind.
        Address::new(kind, id.as_literal().unwrap_or("x")).map_err(|error| error.to_string())?;
        Ok(Self { text, kind: kind.to_owned(), id: Some(id) })
    }

    /// The template of this address alone.
    pub(crate) fn of(address: &Address) -> Self {
        let id = address.id().map(TextTemplate::literal);
        Self { text: address.to_string(), kind: address.kind().to_owned(), id }
    }

    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether the two may become the same address.
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

    /// The topic, if this is the address of one that does not depend on data.
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

/// As the catalog writes it.
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

/// Where a message goes, and when.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) address: AddressTemplate,
    /// Every path must lead to exactly this value.
    pub(crate) when: Vec<(Path, Value)>,
}

impl Destination {
    /// The addresses for this event; none if a condition does not hold.
    pub(crate) fn addresses(&self, scope: &dyn Scope) -> Result<Vec<Address>, Rejection> {
        if !self.when.iter().all(|(path, expected)| path.is(scope, expected)) {
            return Ok(Vec::new());
        }
        self.address.addresses(scope)
    }
}

/// Which grants a token's claims open.
#[derive(Debug, Clone)]
pub(crate) struct GrantRule(AddressTemplate);

impl GrantRule {
    pub(crate) fn new(address: AddressTemplate) -> Self {
        Self(address)
    }

    /// Whether some token may open such an address by it.
    pub(crate) fn may_open(&self, address: &AddressTemplate) -> bool {
        self.0.may_be(address)
    }

    /// The grants: one for each element where a claim is a list, none where it is missing or is
    /// nothing that can stand in an address. A token opens less then, never more.
    pub(crate) fn grants(&self, claims: &Map<String, Value>) -> Vec<Address> {
        let Some(id) = &self.0.id else { return vec![Address::all()] };
        let ids = claim_texts(id, claims).into_iter();
        ids.filter_map(|id| Address::new(self.0.kind(), &id).ok()).collect()
    }
}

/// The texts that claims make of a template: one for each element where a claim is a list, one for each word where it is
/// a list of words, none where it is missing or is no text, number or boolean.
pub(crate) fn claim_texts(template: &TextTemplate, claims: &Map<String, Value>) -> Vec<String> {
    let mut scopes = vec![claims.clone()];
    // Words first, and each place once: what is an element or a word already is not taken apart again.
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

/// The same claims with the list at `path` replaced by each of its elements in turn.
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
