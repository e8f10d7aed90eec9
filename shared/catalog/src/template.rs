//! Templates: how values of an event, a token or a client's frame find their place.
//!
//! A string that is exactly `{path}` becomes the JSON value at that path, unchanged; `{path}`
//! inside other text becomes text. Nothing is evaluated, so no data can become syntax: what is
//! found is placed as a value or as text, and addresses encode it further on.
//!
//! Where a place is optional, `null` is the same as nothing: Go, Java and Python write an absent value so. A text that
//! *names* something (an address, a key, an attribute, a claim) takes an empty text for nothing, too, and has one
//! spelling for all numbers of one value; in a message's body every value stays as it is.

mod path;

use std::borrow::Cow;

use serde_json::{Map, Value};
use tidings_model::number;

pub(crate) use self::path::{Path, Step, escaped};

/// Where a path begins to look.
pub(crate) trait Scope {
    /// The value that a path's first name stands for.
    fn root(&self, name: &str) -> Option<Cow<'_, Value>>;

    /// What stands in for a required value that nobody gave.
    fn stand_in(&self, _name: &str) -> Option<Value> {
        None
    }
}

impl Scope for Map<String, Value> {
    fn root(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.get(name).map(Cow::Borrowed)
    }
}

/// What the text of a template is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It identifies something.
    Name,
    /// It is what something is filtered by: as a name, but of a list each element by itself.
    Attribute,
    /// Clients read it.
    Body,
}

/// Text with places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextTemplate(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Path),
}

impl TextTemplate {
    /// Reads text in which `{path}` is a place, `{{` a `{` and `}}` a `}`.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = Self::of_claims(text)?;
        template.paths().try_for_each(no_words)?;
        Ok(template)
    }

    /// The same for a text that claims fill: their paths may end in `[words]`.
    pub(crate) fn of_claims(text: &str) -> Result<Self, TemplateError> {
        let template = Self::pieces(text)?;
        if let Some(path) = template.paths().find(|path| path.leaves_out_nulls()) {
            return Err(TemplateError::NoObject(path.to_string()));
        }
        Ok(template)
    }

    fn pieces(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some(tail) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
                literal.push_str(&rest[..1]);
                rest = tail;
                continue;
            }
            let (path, tail) = place(rest).ok_or_else(|| TemplateError::of(text, rest))?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Place(path));
            rest = tail;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self(pieces))
    }

    /// A template without places, whatever the text.
    pub(crate) fn literal(text: &str) -> Self {
        Self(vec![Piece::Text(text.to_owned())])
    }

    /// The whole template, if it is one place and nothing else.
    fn as_place(&self) -> Option<&Path> {
        match self.0.as_slice() {
            [Piece::Place(path)] => Some(path),
            _ => None,
        }
    }

    /// The whole template, if it has no places.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether the two may become the same text, as far as the text around their places tells.
    pub(crate) fn may_be(&self, other: &Self) -> bool {
        let edge = |piece: Option<&Piece>| match piece {
            Some(Piece::Text(text)) => text.clone(),
            Some(Piece::Place(_)) | None => String::new(),
        };
        let agree = |one: &str, other: &str, is_edge: fn(&str, &str) -> bool| {
            is_edge(one, other) || is_edge(other, one)
        };
        match (self.as_literal(), other.as_literal()) {
            (Some(one), Some(other)) => one == other,
            (Some(text), None) => other.may_be(&Self::literal(text)),
            (None, Some(text)) => {
                let (first, last) = (edge(self.0.first()), edge(self.0.last()));
                text.strip_prefix(&*first).is_some_and(|rest| rest.ends_with(&*last))
            }
            (None, None) => {
                agree(&edge(self.0.first()), &edge(other.0.first()), |text, start| text.starts_with(start))
                    && agree(&edge(self.0.last()), &edge(other.0.last()), |text, end| text.ends_with(end))
            }
        }
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Place(path) => Some(path),
            Piece::Text(_) => None,
        })
    }

    /// The name with every place filled, or `None` if an optional one finds nothing.
    pub(crate) fn name(&self, scope: &dyn Scope) -> Result<Option<String>, Unresolved> {
        Ok(self.names(scope)?.into_iter().next())
    }

    /// One name for each value that the places find: several if a place is a list (`[*]`), none
    /// if an optional one finds nothing.
    pub(crate) fn names(&self, scope: &dyn Scope) -> Result<Vec<String>, Unresolved> {
        self.texts(scope, Use::Name)
    }

    /// The values of an attribute: as [`Self::names`], and of a list, where it is all but literal text, one for each
    /// element.
    pub(crate) fn attributes(&self, scope: &dyn Scope) -> Result<Vec<String>, Unresolved> {
        // Two lists could have more pairs than there is memory.
        let is_single = self.paths().count() == 1;
        self.texts(scope, if is_single { Use::Attribute } else { Use::Name })
    }

    fn texts(&self, scope: &dyn Scope, r#use: Use) -> Result<Vec<String>, Unresolved> {
        let mut texts = vec![String::new()];
        for piece in &self.0 {
            match piece {
                Piece::Text(literal) => texts.iter_mut().for_each(|text| text.push_str(literal)),
                Piece::Place(path) => {
                    let values = path.find(scope);
                    let values: Vec<_> = values.iter().flat_map(|value| elements(value, r#use)).collect();
                    let may_find_nothing = path.is_optional() || path.has_each();
                    if values.is_empty() && !may_find_nothing {
                        return Err(Unresolved::nothing_at(path));
                    }
                    let is_nothing = |text: &str| may_find_nothing && r#use != Use::Body && text.is_empty();
                    let fills = values
                        .into_iter()
                        .map(|value| as_text(value, r#use).ok_or_else(|| Unresolved::no_text_at(path)))
                        .filter(|text| !text.as_deref().is_ok_and(is_nothing))
                        .collect::<Result<Vec<_>, _>>()?;
                    texts = cross(&texts, &fills);
                }
            }
        }
        Ok(texts)
    }
}

/// Events and frames have lists where they mean lists.
fn no_words(path: &Path) -> Result<(), TemplateError> {
    if path.ends_in_words() { Err(TemplateError::Words(path.to_string())) } else { Ok(()) }
}

/// Splits `{path}` from what follows it. A quoted name in the path may have braces.
fn place(text: &str) -> Option<(Path, &str)> {
    let (path, rest) = Path::split(text.strip_prefix('{')?)?;
    Some((path, rest.strip_prefix('}')?))
}

fn cross(texts: &[String], fills: &[Cow<'_, str>]) -> Vec<String> {
    let pairs = texts.iter().flat_map(|text| fills.iter().map(move |fill| (text, fill)));
    pairs.map(|(text, fill)| format!("{text}{fill}")).collect()
}

/// The value; of a list that is used as an attribute, its elements that are not null.
fn elements(value: &Value, r#use: Use) -> Vec<&Value> {
    match value {
        Value::Array(elements) if r#use == Use::Attribute => {
            elements.iter().filter(|element| !element.is_null()).collect()
        }
        value => vec![value],
    }
}

/// A string, number or boolean as a name of something.
pub(crate) fn as_name(value: &Value) -> Option<Cow<'_, str>> {
    as_text(value, Use::Name)
}

fn as_text(value: &Value, r#use: Use) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) if r#use != Use::Body => Some(Cow::Owned(number::canonical(number))),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A JSON value with places in its strings.
#[derive(Debug, Clone)]
pub(crate) enum Template {
    Literal(Value),
    Place(Path),
    Text(TextTemplate),
    Object(Vec<(String, Template)>),
    Array(Vec<Template>),
}

impl Template {
    pub(crate) fn parse(value: &Value) -> Result<Self, TemplateError> {
        match value {
            Value::String(text) => {
                if let Some(path) = TextTemplate::pieces(text)?.as_place() {
                    no_words(path)?;
                    return Ok(Self::Place(path.clone()));
                }
                let template = TextTemplate::parse(text)?;
                Ok(match template.as_literal() {
                    Some(text) => Self::Literal(Value::String(text.to_owned())),
                    None => Self::Text(template),
                })
            }
            Value::Object(members) => {
                let parse = |(name, value): (&String, &Value)| Ok((name.clone(), Self::parse(value)?));
                members.iter().map(parse).collect::<Result<_, _>>().map(Self::Object)
            }
            Value::Array(elements) => {
                elements.iter().map(Self::parse).collect::<Result<_, _>>().map(Self::Array)
            }
            other => Ok(Self::Literal(other.clone())),
        }
    }

    /// The value with every place filled, or `None` if it is an optional place that finds nothing.
    pub(crate) fn render(&self, scope: &dyn Scope) -> Result<Option<Value>, Unresolved> {
        match self {
            Self::Literal(value) => Ok(Some(value.clone())),
            Self::Place(path) => match path.find_one(scope) {
                Some(value) if path.leaves_out_nulls() => Ok(Some(without_nulls(value.into_owned()))),
                Some(value) => Ok(Some(value.into_owned())),
                None if path.is_optional() => Ok(None),
                None => Err(Unresolved::nothing_at(path)),
            },
            Self::Text(template) => {
                Ok(template.texts(scope, Use::Body)?.into_iter().next().map(Value::String))
            }
            Self::Object(members) => {
                let mut object = Map::with_capacity(members.len());
                for (name, template) in members {
                    if let Some(value) = template.render(scope)? {
                        object.insert(name.clone(), value);
                    }
                }
                Ok(Some(Value::Object(object)))
            }
            Self::Array(elements) => {
                let rendered = elements.iter().filter_map(|element| element.render(scope).transpose());
                rendered.collect::<Result<_, _>>().map(Value::Array).map(Some)
            }
        }
    }

    pub(crate) fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Literal(_) => Vec::new(),
            Self::Place(path) => vec![path],
            Self::Text(text) => text.paths().collect(),
            Self::Object(members) => members.iter().flat_map(|(_, value)| value.paths()).collect(),
            Self::Array(elements) => elements.iter().flat_map(Self::paths).collect(),
        }
    }

    pub(crate) fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// The whole template, if it is one place and nothing else.
    pub(crate) fn as_place(&self) -> Option<&Path> {
        if let Self::Place(path) = self { Some(path) } else { None }
    }
}

/// An object without those of its members that are null; any other value as it is.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(mut members) => {
            members.retain(|_, member| !member.is_null());
            Value::Object(members)
        }
        other => other,
    }
}

/// A place that could not be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unresolved {
    pub(crate) path: Path,
    pub(crate) what: &'static str,
}

impl Unresolved {
    fn nothing_at(path: &Path) -> Self {
        Self { path: path.clone(), what: "there is nothing" }
    }

    pub(crate) fn no_text_at(path: &Path) -> Self {
        Self { path: path.clone(), what: "there is no text, number or boolean" }
    }

    /// The JSON pointer (RFC 6901) into the event's data, if the path leads there.
    pub(crate) fn pointer(&self) -> Option<String> {
        (self.path.root() == "data").then(|| self.path.pointer_inside())
    }
}

/// Text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error(
        "{{{0}}} is no path such as {{data.list[0].name}}, {{data.name?}} or, for any name in quotes, \
         {{data[\"first name\"]}}"
    )]
    Path(String),
    #[error(
        "{{{0}.*?}} leaves out members of an object, which only a whole value in `body` or `data` may do"
    )]
    NoObject(String),
    #[error("{{{0}}} reads words, which only claims in `grants` and `where` may do")]
    Words(String),
    #[error("{0:?} has a brace without its partner (write {{{{ or }}}} for a brace itself)")]
    Brace(String),
}

impl TemplateError {
    /// What is wrong in `text` at `rest`, where a place should be.
    fn of(text: &str, rest: &str) -> Self {
        match rest.strip_prefix('{').and_then(|tail| tail.split_once('}')) {
            Some((path, _)) => Self::Path(path.to_owned()),
            None => Self::Brace(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
