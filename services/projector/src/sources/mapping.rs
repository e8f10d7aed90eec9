//! Maps a message of a source to the name of an event. Pure.
//!
//! `event = "{subject.2}.{body.type}"` takes the second token of the subject and a member of the body; `{header.NAME}` takes
//! a header. What comes out may be translated by `events`, and is then `<entity>.<action>`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;
use tidings_model::{EventName, json};

/// How much of a value an error shows, in characters.
const LONGEST_SHOWN: usize = 128;

/// How a message's event is named.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    template: String,
    parts: Vec<Part>,
    names: BTreeMap<String, EventName>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    /// A token of the subject, counted from 1.
    Token(usize),
    Header(String),
    /// A member of the body, by its path.
    Body(Vec<String>),
}

impl Mapping {
    /// Parses the template, and what its results are translated to.
    pub fn parse(template: &str, names: &BTreeMap<String, String>) -> Result<Self, MappingError> {
        let parts = parts_of(template).ok_or_else(|| MappingError::Template(template.to_owned()))?;
        let names = names.iter().map(|(result, name)| match EventName::parse(name) {
            Some(parsed) => Ok((result.clone(), parsed)),
            None => Err(MappingError::Name { result: result.clone(), name: name.clone() }),
        });
        Ok(Self { template: template.to_owned(), parts, names: names.collect::<Result<_, _>>()? })
    }

    /// The names that are known without a message: what results are translated to, and the template if it is only text.
    #[must_use]
    pub fn known_names(&self) -> Vec<EventName> {
        let constant = match self.parts.as_slice() {
            [Part::Text(text)] if self.names.is_empty() => EventName::parse(text),
            _ => None,
        };
        self.names.values().cloned().chain(constant).collect()
    }

    /// The name of a message's event.
    pub fn name<'m>(
        &self,
        subject: &str,
        header: impl Fn(&str) -> Option<&'m str>,
        payload: &[u8],
    ) -> Result<EventName, Unmapped> {
        let (mut result, mut body) = (String::new(), None);
        for part in &self.parts {
            match part {
                Part::Text(text) => result.push_str(text),
                Part::Token(number) => {
                    let token = subject.split('.').nth(number - 1);
                    result.push_str(
                        token.ok_or_else(|| self.missing(&format!("token {number} of the subject")))?,
                    );
                }
                Part::Header(name) => {
                    result.push_str(header(name).ok_or_else(|| self.missing(&format!("header {name}")))?);
                }
                Part::Body(path) => {
                    let body = match &body {
                        Some(body) => body,
                        None => body.insert(json::parse(payload).map_err(|error| {
                            Unmapped(format!(
                                "the body is not JSON, of which `event = {:?}` needs a member: {error}",
                                self.template
                            ))
                        })?),
                    };
                    let value = path.iter().try_fold(body, |value: &Value, member| value.get(member));
                    let missing =
                        || self.missing(&format!("text or number at `{}` of the body", path.join(".")));
                    match value.ok_or_else(missing)? {
                        Value::String(text) => result.push_str(text),
                        Value::Number(number) => {
                            let _ = write!(result, "{number}");
                        }
                        _ => return Err(missing()),
                    }
                }
            }
        }
        let named = self.names.get(&result).cloned().or_else(|| EventName::parse(&result));
        named.ok_or_else(|| {
            let shown: String = result.chars().filter(|one| !one.is_control()).take(LONGEST_SHOWN).collect();
            Unmapped(format!(
                "`event = {:?}` gives {shown:?}, expected <entity>.<action>, or a key of `events`",
                self.template
            ))
        })
    }

    fn missing(&self, what: &str) -> Unmapped {
        Unmapped(format!("the message has no {what}, which `event = {:?}` needs", self.template))
    }
}

fn parts_of(template: &str) -> Option<Vec<Part>> {
    let (mut parts, mut rest) = (Vec::new(), template);
    while let Some((text, after)) = rest.split_once('{') {
        let (place, after) = after.split_once('}')?;
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        parts.push(part_of(place)?);
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    let is_text = |part: &Part| matches!(part, Part::Text(text) if text.contains('}'));
    (!parts.is_empty() && !parts.iter().any(is_text)).then_some(parts)
}

fn part_of(place: &str) -> Option<Part> {
    let (kind, rest) = place.split_once('.')?;
    match kind {
        "subject" => rest.parse().ok().filter(|number| *number > 0).map(Part::Token),
        "header" => (!rest.is_empty()).then(|| Part::Header(rest.to_owned())),
        "body" => {
            let path: Vec<String> = rest.split('.').map(str::to_owned).collect();
            path.iter().all(|member| !member.is_empty()).then_some(Part::Body(path))
        }
        _ => None,
    }
}

/// A mapping cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The template is not one.
    #[error(
        "`event` is {0:?}, expected text with places such as {{subject.2}} (the second token of the subject), {{header.NAME}} \
         and {{body.type}}"
    )]
    Template(String),
    /// A result is translated to something else than a name.
    #[error(
        "`events` translates {result:?} to {name:?}, expected <entity>.<action> of a-z, A-Z, 0-9, _ and -"
    )]
    Name {
        /// What is translated.
        result: String,
        /// What it is translated to.
        name: String,
    },
}

/// Why a message has no event's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unmapped(String);

impl Unmapped {
    /// The reason, and what to do about it.
    #[must_use]
    pub fn advice(&self, source: &str) -> String {
        format!(
            "{}; correct the source {source} in the projectors' configuration, send them SIGHUP, then retry the event",
            self.0
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(template: &str, names: &[(&str, &str)], subject: &str, payload: &str) -> Result<String, String> {
        let names = names.iter().map(|(result, name)| ((*result).to_owned(), (*name).to_owned())).collect();
        let mapping = Mapping::parse(template, &names).map_err(|error| error.to_string())?;
        let header = |name: &str| name.eq_ignore_ascii_case("ce-type").then_some("com.example.order.paid");
        let named = mapping.name(subject, header, payload.as_bytes());
        named.map(|name| name.to_string()).map_err(|unmapped| unmapped.to_string())
    }

    #[test]
    fn a_name_comes_from_subject_header_or_body() {
        let paid =
            [("com.example.order.paid", "order.paid"), ("OrderPaid", "order.paid"), ("7", "order.paid")];
        let body = r#"{"type":"OrderPaid","meta":{"kind":7,"none":null},"a.b":1}"#;
        for (template, names, expected) in [
            ("{subject.1}.{subject.3}", &[][..], "orders.created"),
            ("order.{subject.3}", &[], "order.created"),
            ("{subject.2}", &[("eu", "order.created")], "order.created"),
            ("order.{body.type}", &[], "order.OrderPaid"),
            ("{body.type}", &paid, "order.paid"),
            ("{body.meta.kind}", &paid, "order.paid"),
            ("{header.Ce-Type}", &paid, "order.paid"),
            ("order.changed", &[], "order.changed"),
        ] {
            assert_eq!(
                name(template, names, "orders.eu.created", body).as_deref(),
                Ok(expected),
                "{template}"
            );
        }
    }

    #[test]
    fn a_message_without_one_says_why() {
        for (template, payload, expected) in [
            (
                "{subject.4}.{subject.1}",
                "{}",
                "has no token 4 of the subject, which `event = \"{subject.4}.{subject.1}\"` needs",
            ),
            ("{subject.1}", "{}", "gives \"orders\", expected <entity>.<action>, or a key of `events`"),
            ("{header.kind}", "{}", "has no header kind"),
            ("{body.type}", "{}", "has no text or number at `type` of the body"),
            ("{body.type.x}", r#"{"type":"a"}"#, "at `type.x` of the body"),
            ("{body.type}", r#"{"type":{}}"#, "at `type` of the body"),
            ("{body.type}", "no", "the body is not JSON"),
        ] {
            let unmapped = name(template, &[], "orders.eu.created", payload).unwrap_err();
            assert!(unmapped.contains(expected), "{template}: {unmapped}");
        }
    }

    #[test]
    fn a_template_that_is_none_is_refused() {
        for template in [
            "",
            "{",
            "a}",
            "{subject}",
            "{subject.0}",
            "{subject.x}",
            "{body.}",
            "{body.a..b}",
            "{data.x}",
            "{}",
        ] {
            let error = name(template, &[], "a", "").unwrap_err();
            assert!(error.starts_with("`event` is "), "{template}: {error}");
        }
        let error = name("a.b", &[("x", "order")], "a", "").unwrap_err();
        assert!(error.starts_with("`events` translates \"x\" to \"order\""), "{error}");
    }

    proptest! {
        #[test]
        fn any_message_is_mapped_or_says_why(template in ".{0,20}", subject in ".*", payload in ".*") {
            if let Err(reason) = name(&template, &[], &subject, &payload) {
                prop_assert!(!reason.is_empty());
            }
            let named = name("{subject.1}.{subject.2}", &[], &subject, &payload);
            prop_assert!(named.is_err() || subject.starts_with(&named.unwrap()));
        }
    }
}
