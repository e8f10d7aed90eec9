//! Paths: which value of an event, a token or a client's frame is meant.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value};
use tidings_model::number;

use super::{Scope, TemplateError};

/// `data.list[0].name`: a name, then members and elements; a `?` at its end makes it optional, a `.*?` those members,
/// too, of the object that it leads to. `["any name"]`, a JSON string in brackets, is a member of whatever name, also
/// as the first. `[words]` at the end of a claim's path says that a text there is a list of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    root: String,
    steps: Vec<Step>,
    need: Need,
}

/// Whether there must be something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    /// `?`: nothing and null are the same.
    Optional,
    /// `.*?`: the same in the value's own members.
    OptionalMembers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Member(String),
    Element(usize),
    /// `[*]`: every element of a list.
    Each,
    /// `[words]`, the last one: a text is a list of the words in it. The value itself stays as it is.
    Words,
}

/// Claims that are a list of words by definition (RFC 6749, section 3.3; `scp` is what some providers call it).
const WORD_CLAIMS: [&str; 2] = ["scope", "scp"];

impl Path {
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let path = Self::split(text)
            .filter(|(path, rest)| rest.is_empty() && !path.leaves_out_nulls() && !path.ends_in_words());
        path.map(|(path, _)| path).ok_or_else(|| TemplateError::Path(text.to_owned()))
    }

    /// The path at the beginning of a text, and what follows it.
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

    /// Whether it is written as a list of words.
    pub(crate) fn ends_in_words(&self) -> bool {
        self.steps.last() == Some(&Step::Words)
    }

    /// Whether a text in this claim is a list of words. A name with a space in it is one name everywhere else: that a
    /// claim is a list is for the catalog to say, since providers also send the only element of a list as a text.
    pub(crate) fn reads_words(&self) -> bool {
        self.ends_in_words() || self.steps.is_empty() && WORD_CLAIMS.contains(&&*self.root)
    }

    /// Whether both lead to the same place, whether or not there must be something.
    pub(crate) fn leads_where(&self, other: &Self) -> bool {
        (&self.root, &self.steps) == (&other.root, &other.steps)
    }

    pub(crate) fn is_optional(&self) -> bool {
        self.need != Need::Required
    }

    /// Whether null members of the object that it leads to are left out.
    pub(crate) fn leaves_out_nulls(&self) -> bool {
        self.need == Need::OptionalMembers
    }

    /// The path inside the value that its root stands for, if it goes on with a member.
    pub(crate) fn inside(&self) -> Option<Self> {
        let (Step::Member(root), steps) = self.steps.split_first()? else { return None };
        Some(Self { root: root.clone(), steps: steps.to_vec(), need: self.need })
    }

    /// The JSON pointer (RFC 6901) to where the path leads.
    pub(crate) fn pointer(&self) -> String {
        format!("/{}{}", escaped(&self.root), self.pointer_inside())
    }

    /// The JSON pointer inside the value that the path's root stands for.
    pub(crate) fn pointer_inside(&self) -> String {
        let token = |step: &Step| match step {
            Step::Member(name) => format!("/{}", escaped(name)),
            Step::Element(index) => format!("/{index}"),
            Step::Each => "/*".to_owned(),
            Step::Words => String::new(),
        };
        self.steps.iter().map(token).collect()
    }

    /// Every value that the path leads to: one at the most, unless it has a `[*]`. Where nothing will do, null is none.
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

    /// Whether the path leads to this value; numbers are the same if their values are.
    pub(crate) fn is(&self, scope: &dyn Scope, expected: &Value) -> bool {
        self.find_one(scope).is_some_and(|found| number::is_same(&found, expected))
    }

    /// Puts `value` where the path leads to in `scope`, if it leads to a place there.
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

    /// Copies what the path leads to, in the same place, and nothing beside it but the other elements of
    /// a list.
    pub(crate) fn keep(&self, from: &Map<String, Value>, to: &mut Map<String, Value>) {
        let members = self.steps.iter().map_while(|step| match step {
            Step::Member(name) => Some(name.as_str()),
            Step::Element(_) | Step::Each | Step::Words => None,
        });
        copy(&self.root, &members.collect::<Vec<_>>(), from, to);
    }
}

/// As catalogs write it, without the `?`.
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
        // Only values made on the fly are owned: texts, which have nothing inside.
        let Cow::Borrowed(value) = *value else { return Vec::new() };
        match self {
            Self::Member(name) => value.get(name).map(Cow::Borrowed).into_iter().collect(),
            Self::Element(index) => value.get(index).map(Cow::Borrowed).into_iter().collect(),
            Self::Each => value.as_array().into_iter().flatten().map(Cow::Borrowed).collect(),
            Self::Words => vec![Cow::Borrowed(value)],
        }
    }
}

/// Whether a character may be in a name without quotes.
fn is_of_names(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-' | '$' | '@' | ':')
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_of_names)
}

/// Takes a name without quotes.
fn plain(text: &str) -> Option<(Step, &str)> {
    let end = text.find(|character| !is_of_names(character)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty()).then(|| (Step::Member(name.to_owned()), rest))
}

/// Takes `[0]`, `[*]`, `[words]` or `["name"]`.
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

/// A name as a JSON pointer has it (RFC 6901, section 3).
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
