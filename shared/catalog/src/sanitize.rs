//! Sanitizes a rendered message: what its texts may contain, and which members it may have. Pure.
//!
//! Members are plain text, so what is made of them here is plain text, too: markup is removed, and nothing is encoded.
//! A sanitizer of HTML, such as the crate `ammonia`, makes HTML of it, in which `&` is `&amp;`: a client that shows text
//! as text would show that, and a second pass would change it again. (`ammonia` also brings `cssparser`, whose licence
//! asks for more than attribution.) What begins markup is said in one sentence of the HTML standard, and that is all that
//! is read here.

mod unknown;

use std::borrow::Cow;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::template::{Path, Step};

pub(crate) use self::unknown::KnownMembers;

/// What a text in a message may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextRule {
    /// Anything.
    Raw,
    /// Text without markup.
    Plain,
    /// An address where a browser may go: none that it would run, and no markup.
    Url,
}

impl TextRule {
    /// Where a browser goes instead of an address that it would run.
    const NOWHERE: &str = "about:blank";
    /// The schemes that open something and run nothing. An address without one is relative to the page.
    const SCHEMES: [&str; 4] = ["http", "https", "mailto", "tel"];

    /// Returns the text as the rule permits it; the same text, if it already is. What is returned is permitted: a second
    /// pass changes nothing. It is at most half as long again, or `about:blank`.
    #[must_use]
    pub fn clean(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Raw => Cow::Borrowed(text),
            Self::Plain => without_markup(text),
            Self::Url => match without_markup(text) {
                clean if scheme(&clean).is_none_or(|scheme| Self::SCHEMES.contains(&&*scheme)) => clean,
                _ => Cow::Borrowed(Self::NOWHERE),
            },
        }
    }
}

impl TextRule {
    /// As a catalog has it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Plain => "plain",
            Self::Url => "url",
        }
    }
}

impl FromStr for TextRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = [Self::Raw, Self::Plain, Self::Url].into_iter().find(|rule| rule.as_str() == text);
        known.ok_or_else(|| format!("text {text:?} is none of \"raw\", \"plain\" and \"url\""))
    }
}

/// Returns where markup begins: at a `<` before a letter, `/`, `!` or `?`. Before anything else a `<` is text (HTML
/// standard, "tag open state").
fn markup(text: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = text[from..].find('<').map(|at| from + at) {
        if begins_markup(&text[at + 1..]) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Whether a `<` before this text begins markup.
fn begins_markup(text: &str) -> bool {
    text.starts_with(|next: char| next.is_ascii_alphabetic() || matches!(next, '/' | '!' | '?'))
}

/// Removes markup up to its `>`. A `<` that nothing closes stays, with a space behind it, which makes it text; so does
/// one that would begin markup only because something was removed behind it.
fn without_markup(text: &str) -> Cow<'_, str> {
    let Some(mut at) = markup(text) else { return Cow::Borrowed(text) };
    let last_end = text.rfind('>');
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        push(&mut clean, &rest[..at]);
        let begun = text.len() - rest.len() + at;
        let end = last_end.filter(|end| *end > begun).and_then(|_| text[begun..].find('>'));
        rest = if let Some(length) = end {
            &text[begun + length + 1..]
        } else {
            clean.push_str("< ");
            &text[begun + 1..]
        };
        match markup(rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    push(&mut clean, rest);
    Cow::Owned(clean)
}

fn push(clean: &mut String, piece: &str) {
    if clean.ends_with('<') && begins_markup(piece) {
        clean.push(' ');
    }
    clean.push_str(piece);
}

/// Returns the scheme of an address as a browser reads it: without control characters, and in lower case.
fn scheme(address: &str) -> Option<String> {
    let read: String = address.chars().filter(|character| !character.is_control()).collect();
    let (scheme, _) = read.trim_start().split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    is_scheme.then(|| scheme.to_ascii_lowercase())
}

/// What happens to a message of one type before its schema is checked.
#[derive(Debug, Default)]
pub(crate) struct Sanitizer {
    /// The rule for each text of which none of `members` says something else.
    pub(crate) text: Option<TextRule>,
    /// The rules for texts at, or inside of, these places in the message.
    pub(crate) members: Vec<(Path, TextRule)>,
    /// The members that the message's schema describes, if others are removed.
    pub(crate) known: Option<KnownMembers>,
}

impl Sanitizer {
    /// As JSON, for programs in other languages that do the same; `None` if nothing happens to messages.
    pub(crate) fn to_json(&self) -> Option<Value> {
        let mut json = Map::new();
        if let Some(known) = &self.known {
            json.insert("known".to_owned(), known.to_json());
        }
        if let Some(text) = self.text {
            json.insert("text".to_owned(), text.as_str().into());
        }
        if !self.members.is_empty() {
            let members = self.members.iter().map(|(path, rule)| json!([path.to_json(), rule.as_str()]));
            json.insert("members".to_owned(), members.collect());
        }
        (!json.is_empty()).then_some(Value::Object(json))
    }

    pub(crate) fn apply(&self, message: &mut Value) {
        if let Some(known) = &self.known {
            known.keep(message);
        }
        if self.text.is_some() || !self.members.is_empty() {
            let members: Vec<_> = self.members.iter().map(|(path, rule)| (steps(path), *rule)).collect();
            let rules: Vec<_> = members.iter().map(|(steps, rule)| (steps.as_slice(), *rule)).collect();
            clean(message, self.text.unwrap_or(TextRule::Raw), &rules);
        }
    }
}

fn steps(path: &Path) -> Vec<Step> {
    std::iter::once(Step::Member(path.root().to_owned())).chain(path.steps().iter().cloned()).collect()
}

type Rules<'r> = [(&'r [Step], TextRule)];

/// Cleans a value by `rule`, and what is inside by the `rules` that lead there. Names of members count as text.
fn clean(value: &mut Value, rule: TextRule, rules: &Rules<'_>) {
    let here = rules.iter().find(|(steps, _)| steps.is_empty());
    let rule = here.map_or(rule, |(_, rule)| *rule);
    let inside = |is_next: &dyn Fn(&Step) -> bool| -> Vec<(&[Step], TextRule)> {
        let next = rules.iter().filter_map(|(steps, rule)| Some((steps.split_first()?, *rule)));
        next.filter(|((step, _), _)| is_next(step)).map(|((_, steps), rule)| (steps, rule)).collect()
    };
    match value {
        Value::String(text) => {
            let clean = match rule.clean(text) {
                Cow::Borrowed(same) if same == text => return,
                other => other.into_owned(),
            };
            *text = clean;
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter_mut().enumerate() {
                let rules = inside(&|step| match step {
                    Step::Each => true,
                    Step::Element(other) => *other == index,
                    Step::Member(_) | Step::Words => false,
                });
                clean(element, rule, &rules);
            }
        }
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                let rules = inside(&|step| matches!(step, Step::Member(other) if other == name));
                clean(member, rule, &rules);
            }
            clean_names(members, rule);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Cleans the names of members. Where two become the same, the first counts.
fn clean_names(members: &mut Map<String, Value>, rule: TextRule) {
    let rule = if rule == TextRule::Url { TextRule::Plain } else { rule };
    if members.keys().all(|name| matches!(rule.clean(name), Cow::Borrowed(_))) {
        return;
    }
    for (name, value) in std::mem::take(members) {
        let name = rule.clean(&name).into_owned();
        members.entry(name).or_insert(value);
    }
}
