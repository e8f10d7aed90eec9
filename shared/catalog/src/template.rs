//! Templates: they insert values of an event, a token or a client's frame into texts and JSON.
//!
//! A string that is exactly `{path}` becomes the JSON value at that path, unchanged. `{path}` inside other text becomes
//! text. Nothing is evaluated, so data cannot become syntax: a value is inserted as a value or as text, and addresses
//! encode it later.
//!
//! At an optional placeholder, `null` counts as absent, since Go, Java and Python write absent values so. In a text
//! that *names* something (an address, a key, an attribute, a claim), empty text counts as absent, too, and all
//! spellings of a number become one. In a message's body every value stays as it is.

mod json;
mod path;

use std::borrow::Cow;

use serde_json::{Map, Value};
use tidings_model::number;

pub(crate) use self::path::{Path, Step, escaped};

/// The values that paths start from.
pub(crate) trait Scope {
    /// Returns the value for a path's first name.
    fn root(&self, name: &str) -> Option<Cow<'_, Value>>;

    /// Returns the default of a required value that is absent.
    fn stand_in(&self, _name: &str) -> Option<Value> {
        None
    }
}

impl Scope for Map<String, Value> {
    fn root(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.get(name).map(Cow::Borrowed)
    }
}

/// The use of a template's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Use {
    /// It identifies something: an address or a claim.
    Name,
    /// It identifies what a message is the newest of. An optional placeholder that is absent is empty text.
    Key,
    /// A filter compares it. It is like a name, but each element of a list counts by itself.
    Attribute,
    /// Clients read it in a message's body.
    Body,
    /// People read it. An optional placeholder that is absent is empty text.
    Prose,
}

/// Text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextTemplate(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Place(Path),
}

impl TextTemplate {
    /// Parses text in which `{path}` is a placeholder, `{{` a `{` and `}}` a `}`.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = Self::of_claims(text)?;
        template.paths().try_for_each(no_words)?;
        Ok(template)
    }

    /// Parses text that claims fill. Its paths may end in `[words]`.
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

    /// Returns a template of literal text, without placeholders.
    pub(crate) fn literal(text: &str) -> Self {
        Self(vec![Piece::Text(text.to_owned())])
    }

    /// Returns the path if the template is a single placeholder.
    pub(crate) fn as_place(&self) -> Option<&Path> {
        match self.0.as_slice() {
            [Piece::Place(path)] => Some(path),
            _ => None,
        }
    }

    /// Returns the text if the template has no placeholders.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns whether the two may become the same text, judged by the text around their placeholders.
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

    /// Fills every placeholder. Returns `None` if an optional one is absent.
    pub(crate) fn name(&self, scope: &dyn Scope) -> Result<Option<String>, Unresolved> {
        Ok(self.names(scope)?.into_iter().next())
    }

    /// Fills every placeholder. One that is absent counts as empty text: no environment is another key than each of them.
    pub(crate) fn key(&self, scope: &dyn Scope) -> Result<Option<String>, Unresolved> {
        Ok(self.texts(scope, Use::Key)?.into_iter().next())
    }

    /// Fills every placeholder, for people; an optional one that is absent with empty text.
    pub(crate) fn prose(&self, scope: &dyn Scope) -> Result<String, Unresolved> {
        Ok(self.texts(scope, Use::Prose)?.into_iter().next().unwrap_or_default())
    }

    /// Returns one name for each value of the placeholders: several if a path has `[*]`, none if an optional one is absent.
    pub(crate) fn names(&self, scope: &dyn Scope) -> Result<Vec<String>, Unresolved> {
        self.texts(scope, Use::Name)
    }

    /// Returns the values of an attribute. They are [`Self::names`], but if the template is a single placeholder
    /// without other text, each element of a list becomes a value.
    pub(crate) fn attributes(&self, scope: &dyn Scope) -> Result<Vec<String>, Unresolved> {
        // The pairs of two lists could need more memory than there is.
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
                    let is_void = fills.is_empty() && matches!(r#use, Use::Key | Use::Prose);
                    let fills = if is_void { vec![Cow::Borrowed("")] } else { fills };
                    texts = cross(&texts, &fills);
                }
            }
        }
        Ok(texts)
    }
}

/// Refuses `[words]`: events and frames use lists instead.
fn no_words(path: &Path) -> Result<(), TemplateError> {
    if path.ends_in_words() { Err(TemplateError::Words(path.to_string())) } else { Ok(()) }
}

/// Splits `{path}` from the text after it. A quoted name in the path may contain braces.
fn place(text: &str) -> Option<(Path, &str)> {
    let (path, rest) = Path::split(text.strip_prefix('{')?)?;
    Some((path, rest.strip_prefix('}')?))
}

fn cross(texts: &[String], fills: &[Cow<'_, str>]) -> Vec<String> {
    let pairs = texts.iter().flat_map(|text| fills.iter().map(move |fill| (text, fill)));
    pairs.map(|(text, fill)| format!("{text}{fill}")).collect()
}

/// Returns the value. For a list that is used as an attribute, returns its elements that are not null.
fn elements(value: &Value, r#use: Use) -> Vec<&Value> {
    match value {
        Value::Array(elements) if r#use == Use::Attribute => {
            elements.iter().filter(|element| !element.is_null()).collect()
        }
        value => vec![value],
    }
}

/// Returns a string, number or boolean as a name.
pub(crate) fn as_name(value: &Value) -> Option<Cow<'_, str>> {
    as_text(value, Use::Name)
}

fn as_text(value: &Value, r#use: Use) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) if r#use < Use::Body => Some(Cow::Owned(number::canonical(number))),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A JSON value with placeholders in its strings.
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

    /// Fills every placeholder. Returns `None` if the whole value is an optional placeholder that is absent.
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

    /// Returns the path if the template is a single placeholder.
    pub(crate) fn as_place(&self) -> Option<&Path> {
        if let Self::Place(path) = self { Some(path) } else { None }
    }
}

/// Removes the null members of an object. Returns other values unchanged.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(mut members) => {
            members.retain(|_, member| !member.is_null());
            Value::Object(members)
        }
        other => other,
    }
}

/// A placeholder without a value.
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

    /// Returns the JSON pointer (RFC 6901) into the event's data, if the path leads there.
    pub(crate) fn pointer(&self) -> Option<String> {
        (self.path.root() == "data").then(|| self.path.pointer_inside())
    }
}

/// Why text is not a template.
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
    /// Returns the error for `text` with an invalid placeholder at `rest`.
    fn of(text: &str, rest: &str) -> Self {
        match rest.strip_prefix('{').and_then(|tail| tail.split_once('}')) {
            Some((path, _)) => Self::Path(path.to_owned()),
            None => Self::Brace(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
