//! Paths to values of an event, a token or a client's frame.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use tidings_model::number;

use super::{Scope, TemplateError};

/// A path such as `data.list[0].name`: a name, then members and elements.
///
/// A `?` at the end makes it optional. A `.*?` makes the members of its object optional, too. `["any name"]`, a JSON
/// string in brackets, is a member of any name, also as the first. `[words]` at the end of a claim's path reads a text
/// there as a list of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    root: String,
    steps: Vec<Step>,
    need: Need,
}

/// Whether the value is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    /// `?`: absent and null are the same.
    Optional,
    /// `.*?`: optional, and so are the value's own members.
    OptionalMembers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Member(String),
    Element(usize),
    /// `[*]`: every element of a list.
    Each,
    /// `[words]`, only at the end: a text is a list of words. The value itself stays unchanged.
    Words,
}

/// Claims that are lists of words by definition (RFC 6749, section 3.3). Some providers use `scp`.
const WORD_CLAIMS: [&str; 2] = ["scope", "scp"];

impl Path {
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let path = Self::split(text)
            .filter(|(path, rest)| rest.is_empty() && !path.leaves_out_nulls() && !path.ends_in_words());
        path.map(|(path, _)| path).ok_or_else(|| TemplateError::Path(text.to_owned()))
    }

    /// Splits the path at the beginning of a text from the rest.
    pub(super) fn split(text: &str) -> Option<(Self, &str)> {
        let (root, mut rest) = if text.starts_with('[') { bracketed(text)? } else { plain(text)? };
        let Step::Member(root) = root else { return None };
        let mut steps = Vec::new();
        let (need, rest) = loop {
            if let Some(tail) = rest.strip_prefix(".*?") {
                break (Need::OptionalMembers, tail);
            }
            let (step, tail) = match rest.strip_prefix('.') {
                Some(tail) => plain(tail)?,
                None if rest.starts_with('[') => bracketed(rest)?,
                None => {
                    let optional = rest.strip_prefix('?').map(|tail| (Need::Optional, tail));
                    break optional.unwrap_or((Need::Required, rest));
                }
            };
            if steps.last() == Some(&Step::Words) {
                return None;
            }
            steps.push(step);
            rest = tail;
        };
        Some((Self { root, steps, need }, rest))
    }

    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(crate) fn has_each(&self) -> bool {
        self.steps.contains(&Step::Each)
    }

    /// Returns whether the path is written with `[words]`.
    pub(crate) fn ends_in_words(&self) -> bool {
        self.steps.last() == Some(&Step::Words)
    }

    /// Returns whether a text in this claim is a list of words. In every other claim, text with a space is one name:
    /// the catalog must declare a list, since providers also send a list of one element as text.
    pub(crate) fn reads_words(&self) -> bool {
        self.ends_in_words() || self.steps.is_empty() && WORD_CLAIMS.contains(&&*self.root)
    }

    /// Returns whether both lead to the same place, regardless of `?`.
    pub(crate) fn leads_where(&self, other: &Self) -> bool {
        (&self.root, &self.steps) == (&other.root, &other.steps)
    }

    pub(crate) fn is_optional(&self) -> bool {
        self.need != Need::Required
    }

    /// Returns whether null members of its object are omitted.
    pub(crate) fn leaves_out_nulls(&self) -> bool {
        self.need == Need::OptionalMembers
    }

    /// Returns the path inside the root's value, if it continues with a member.
    pub(crate) fn inside(&self) -> Option<Self> {
        let (Step::Member(root), steps) = self.steps.split_first()? else { return None };
        Some(Self { root: root.clone(), steps: steps.to_vec(), need: self.need })
    }

    /// Returns the JSON pointer (RFC 6901) of the path.
    pub(crate) fn pointer(&self) -> String {
        format!("/{}{}", escaped(&self.root), self.pointer_inside())
    }

    /// Returns the JSON pointer inside the root's value.
    pub(crate) fn pointer_inside(&self) -> String {
        let token = |step: &Step| match step {
            Step::Member(name) => format!("/{}", escaped(name)),
            Step::Element(index) => format!("/{index}"),
            Step::Each => "/*".to_owned(),
            Step::Words => String::new(),
        };
        self.steps.iter().map(token).collect()
    }

    /// Returns all values at the path: at most one without `[*]`. If the path is optional, null counts as absent.
    pub(super) fn find<'s>(&self, scope: &'s dyn Scope) -> Vec<Cow<'s, Value>> {
        let stand_in = || (!self.is_optional()).then(|| scope.stand_in(&self.root)).flatten();
        let root = scope.root(&self.root).or_else(|| stand_in().map(Cow::Owned));
        let mut found: Vec<Cow<'s, Value>> = root.into_iter().collect();
        for step in &self.steps {
            found = found.iter().flat_map(|value| step.take(value)).collect();
        }
        if self.is_optional() || self.has_each() {
            found.retain(|value| !value.is_null());
        }
        found
    }

    pub(crate) fn find_one<'s>(&self, scope: &'s dyn Scope) -> Option<Cow<'s, Value>> {
        self.find(scope).into_iter().next()
    }

    /// Returns whether the path leads to this value. Numbers are compared by value.
    pub(crate) fn is(&self, scope: &dyn Scope, expected: &Value) -> bool {
        self.find_one(scope).is_some_and(|found| number::is_same(&found, expected))
    }

    /// Sets the value at the path in `scope`, if that place exists.
    pub(crate) fn replace(&self, scope: &mut Map<String, Value>, value: Value) {
        let mut place = scope.get_mut(&self.root);
        for step in &self.steps {
            place = place.and_then(|outer| match step {
                Step::Member(name) => outer.get_mut(name),
                Step::Element(index) => outer.get_mut(index),
                Step::Each => None,
                Step::Words => Some(outer),
            });
        }
        if let Some(place) = place {
            *place = value;
        }
    }

    /// Copies the value at the path to the same place in `to`. Of a list all elements are copied.
    pub(crate) fn keep(&self, from: &Map<String, Value>, to: &mut Map<String, Value>) {
        let members = self.steps.iter().map_while(|step| match step {
            Step::Member(name) => Some(name.as_str()),
            Step::Element(_) | Step::Each | Step::Words => None,
        });
        copy(&self.root, &members.collect::<Vec<_>>(), from, to);
    }
}

/// Formats the path as in catalogs, without the `?`.
impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(&self.root) {
            formatter.write_str(&self.root)?;
        } else {
            write!(formatter, "[{}]", Value::from(self.root.as_str()))?;
        }
        for step in &self.steps {
            match step {
                Step::Member(name) if is_plain(name) => write!(formatter, ".{name}")?,
                Step::Member(name) => write!(formatter, "[{}]", Value::from(name.as_str()))?,
                Step::Element(index) => write!(formatter, "[{index}]")?,
                Step::Each => formatter.write_str("[*]")?,
                Step::Words => formatter.write_str("[words]")?,
            }
        }
        Ok(())
    }
}

impl Step {
    fn take<'s>(&self, value: &Cow<'s, Value>) -> Vec<Cow<'s, Value>> {
        // Only computed values are owned. They are texts, which have no members.
        let Cow::Borrowed(value) = *value else { return Vec::new() };
        match self {
            Self::Member(name) => value.get(name).map(Cow::Borrowed).into_iter().collect(),
            Self::Element(index) => value.get(index).map(Cow::Borrowed).into_iter().collect(),
            Self::Each => value.as_array().into_iter().flatten().map(Cow::Borrowed).collect(),
            Self::Words => vec![Cow::Borrowed(value)],
        }
    }
}

/// Returns whether a character may be part of an unquoted name.
fn is_of_names(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '$' | '@' | ':')
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_of_names)
}

/// Parses an unquoted name.
fn plain(text: &str) -> Option<(Step, &str)> {
    let end = text.find(|character| !is_of_names(character)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty()).then(|| (Step::Member(name.to_owned()), rest))
}

/// Parses `[0]`, `[*]`, `[words]` or `["name"]`.
fn bracketed(text: &str) -> Option<(Step, &str)> {
    let inside = text.strip_prefix('[')?;
    if inside.starts_with('"') {
        #[expect(clippy::disallowed_methods, reason = "texts alone are read, and nothing nests")]
        let mut names = serde_json::Deserializer::from_str(inside).into_iter::<String>();
        let name = names.next()?.ok()?;
        let rest = inside.get(names.byte_offset()..)?.strip_prefix(']')?;
        return Some((Step::Member(name), rest));
    }
    let (inside, rest) = inside.split_once(']')?;
    let step = match inside {
        "*" => Step::Each,
        "words" => Step::Words,
        index => Step::Element(index.parse().ok()?),
    };
    Some((step, rest))
}

/// Escapes a name for a JSON pointer (RFC 6901, section 3).
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
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
