//! Templates: how values of an event, a token or a client's frame find their place.
//!
//! A string that is exactly `{path}` becomes the JSON value at that path, unchanged; `{path}`
//! inside other text becomes text. Nothing is evaluated, so no data can become syntax: what is
//! found is placed as a value or as text, and addresses encode it further on.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};

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

/// `data.list[0].name`: a name, then members and elements; a `?` at its end makes it optional.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    root: String,
    steps: Vec<Step>,
    optional: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Member(String),
    Element(usize),
    /// `[*]`: every element of a list.
    Each,
}

impl Path {
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let wrong = || TemplateError::Path(text.to_owned());
        let (body, optional) = text.strip_suffix('?').map_or((text, false), |body| (body, true));
        let mut segments = body.split('.').map(|segment| split_elements(segment).ok_or_else(wrong));
        let (root, elements) = segments.next().ok_or_else(wrong)??;
        let mut steps = elements;
        for segment in segments {
            let (name, elements) = segment?;
            steps.push(Step::Member(name));
            steps.extend(elements);
        }
        Ok(Self { root, steps, optional })
    }

    /// Every value that the path leads to: one at the most, unless it has a `[*]`.
    fn find<'s>(&self, scope: &'s dyn Scope) -> Vec<Cow<'s, Value>> {
        let stand_in = || (!self.optional).then(|| scope.stand_in(&self.root)).flatten();
        let root = scope.root(&self.root).or_else(|| stand_in().map(Cow::Owned));
        let mut found: Vec<Cow<'s, Value>> = root.into_iter().collect();
        for step in &self.steps {
            found = found.iter().flat_map(|value| step.take(value)).collect();
        }
        found
    }

    pub(crate) fn find_one<'s>(&self, scope: &'s dyn Scope) -> Option<Cow<'s, Value>> {
        self.find(scope).into_iter().next()
    }

    /// Puts `value` where the path leads to in `scope`, if it leads to a place there.
    pub(crate) fn replace(&self, scope: &mut Map<String, Value>, value: Value) {
        let mut place = scope.get_mut(&self.root);
        for step in &self.steps {
            place = place.and_then(|outer| match step {
                Step::Member(name) => outer.get_mut(name),
                Step::Element(index) => outer.get_mut(index),
                Step::Each => None,
            });
        }
        if let Some(place) = place {
            *place = value;
        }
    }

    /// The path inside the value that its root stands for, if it goes on with a member.
    pub(crate) fn inside(&self) -> Option<Self> {
        let (Step::Member(root), steps) = self.steps.split_first()? else { return None };
        Some(Self { root: root.clone(), steps: steps.to_vec(), optional: self.optional })
    }

    /// Copies what the path leads to, in the same place, and nothing beside it but the other elements of
    /// a list.
    pub(crate) fn keep(&self, from: &Map<String, Value>, to: &mut Map<String, Value>) {
        let members = self.steps.iter().map_while(|step| match step {
            Step::Member(name) => Some(name.as_str()),
            Step::Element(_) | Step::Each => None,
        });
        copy(&self.root, &members.collect::<Vec<_>>(), from, to);
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(crate) fn has_each(&self) -> bool {
        self.steps.contains(&Step::Each)
    }

    pub(crate) fn is_optional(&self) -> bool {
        self.optional
    }

    /// Whether the path leads to exactly this value.
    pub(crate) fn is(&self, scope: &dyn Scope, expected: &Value) -> bool {
        self.find_one(scope).is_some_and(|found| *found == *expected)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.root)?;
        for step in &self.steps {
            match step {
                Step::Member(name) => write!(formatter, ".{name}")?,
                Step::Element(index) => write!(formatter, "[{index}]")?,
                Step::Each => formatter.write_str("[*]")?,
            }
        }
        Ok(())
    }
}

fn copy(name: &str, members: &[&str], from: &Map<String, Value>, to: &mut Map<String, Value>) {
    match (from.get(name), members.split_first()) {
        (Some(value), None) => {
            to.insert(name.to_owned(), value.clone());
        }
        (Some(Value::Object(from)), Some((name_inside, members))) => {
            let to = to.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(to) = to {
                copy(name_inside, members, from, to);
            }
        }
        (Some(_), Some(_)) | (None, _) => {}
    }
}

/// Splits `list[0][*]` into its name and its elements.
fn split_elements(segment: &str) -> Option<(String, Vec<Step>)> {
    let (name, mut rest) = segment.split_at(segment.find('[').unwrap_or(segment.len()));
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | ':');
    if name.is_empty() || !name.chars().all(allowed) {
        return None;
    }
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (inside, tail) = rest.strip_prefix('[')?.split_once(']')?;
        steps.push(if inside == "*" { Step::Each } else { Step::Element(inside.parse().ok()?) });
        rest = tail;
    }
    Some((name.to_owned(), steps))
}

impl Step {
    fn take<'s>(&self, value: &Cow<'s, Value>) -> Vec<Cow<'s, Value>> {
        // Only values made on the fly are owned: texts, which have nothing inside.
        let Cow::Borrowed(value) = *value else { return Vec::new() };
        match self {
            Self::Member(name) => value.get(name).map(Cow::Borrowed).into_iter().collect(),
            Self::Element(index) => value.get(index).map(Cow::Borrowed).into_iter().collect(),
            Self::Each => value.as_array().into_iter().flatten().map(Cow::Borrowed).collect(),
        }
    }
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
            let inside = rest.strip_prefix('{').and_then(|tail| tail.split_once('}'));
            let (path, tail) = inside.ok_or_else(|| TemplateError::Brace(text.to_owned()))?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Place(Path::parse(path)?));
            rest = tail;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self(pieces))
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

    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Place(path) => Some(path),
            Piece::Text(_) => None,
        })
    }

    /// The text with every place filled, or `None` if an optional one finds nothing.
    pub(crate) fn text(&self, scope: &dyn Scope) -> Result<Option<String>, Unresolved> {
        Ok(self.texts(scope)?.into_iter().next())
    }

    /// One text for each value that the places find: several if a place is a list (`[*]`), none
    /// if an optional one finds nothing.
    pub(crate) fn texts(&self, scope: &dyn Scope) -> Result<Vec<String>, Unresolved> {
        let mut texts = vec![String::new()];
        for piece in &self.0 {
            match piece {
                Piece::Text(literal) => texts.iter_mut().for_each(|text| text.push_str(literal)),
                Piece::Place(path) => {
                    let values = path.find(scope);
                    if values.is_empty() && !path.optional && !path.has_each() {
                        return Err(Unresolved::nothing_at(path));
                    }
                    let fills = values
                        .iter()
                        .map(|value| as_text(value).ok_or_else(|| Unresolved::no_text_at(path)))
                        .collect::<Result<Vec<_>, _>>()?;
                    texts = cross(&texts, &fills);
                }
            }
        }
        Ok(texts)
    }
}

fn cross(texts: &[String], fills: &[Cow<'_, str>]) -> Vec<String> {
    let pairs = texts.iter().flat_map(|text| fills.iter().map(move |fill| (text, fill)));
    pairs.map(|(text, fill)| format!("{text}{fill}")).collect()
}

/// A string, number or boolean as text.
pub(crate) fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
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
                let template = TextTemplate::parse(text)?;
                if let Some(path) = template.as_place() {
                    return Ok(Self::Place(path.clone()));
                }
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
                Some(value) => Ok(Some(value.into_owned())),
                None if path.optional => Ok(None),
                None => Err(Unresolved::nothing_at(path)),
            },
            Self::Text(template) => Ok(template.text(scope)?.map(Value::String)),
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

impl Path {
    pub(crate) fn root_name(&self) -> &str {
        &self.root
    }
}

/// The JSON pointer (RFC 6901) of a path, or of what follows its root.
pub(crate) fn to_pointer(path: &str) -> String {
    path.replace('[', ".").replace(']', "").replace('.', "/")
}

/// A place that could not be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unresolved {
    /// The path as the catalog has it.
    pub(crate) path: String,
    pub(crate) what: &'static str,
}

impl Unresolved {
    fn nothing_at(path: &Path) -> Self {
        Self { path: path.to_string(), what: "there is nothing" }
    }

    pub(crate) fn no_text_at(path: &Path) -> Self {
        Self { path: path.to_string(), what: "there is no text, number or boolean" }
    }

    /// The JSON pointer (RFC 6901) into the event's data, if the path leads there.
    pub(crate) fn pointer(&self) -> Option<String> {
        self.path.strip_prefix("data").map(to_pointer)
    }
}

/// Text that is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("{{{0}}} is no path such as {{data.list[0].name}} or {{data.name?}}")]
    Path(String),
    #[error("{0:?} has a brace without its partner (write {{{{ or }}}} for a brace itself)")]
    Brace(String),
}

#[cfg(test)]
mod tests;
