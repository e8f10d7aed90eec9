//! Patterns of event names: which events a producer may publish.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::EventName;
use crate::event::is_part;

/// Stands for every entity, every action, or every event.
const ANY: &str = "*";

/// `incident.created`, `incident.*`, `*.created`, or `*`, which matches every event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventPattern {
    /// `None` matches every entity.
    entity: Option<String>,
    /// `None` matches every action.
    action: Option<String>,
}

impl EventPattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Result<Self, EventPatternError> {
        if text == ANY {
            return Ok(Self { entity: None, action: None });
        }
        let wrong = || EventPatternError(text.chars().take(64).collect());
        let (entity, action) = text.split_once('.').ok_or_else(wrong)?;
        let part = |part: &str| match part {
            ANY => Ok(None),
            part if is_part(part) => Ok(Some(part.to_owned())),
            _ => Err(wrong()),
        };
        Ok(Self { entity: part(entity)?, action: part(action)? })
    }

    /// Returns whether this event matches.
    #[must_use]
    pub fn matches(&self, name: &EventName) -> bool {
        let fits = |part: &Option<String>, given: &str| part.as_deref().is_none_or(|part| part == given);
        fits(&self.entity, &name.entity) && fits(&self.action, &name.action)
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.entity, &self.action) {
            (None, None) => formatter.write_str(ANY),
            (entity, action) => {
                let part = |part: &Option<String>| part.clone().unwrap_or_else(|| ANY.to_owned());
                write!(formatter, "{}.{}", part(entity), part(action))
            }
        }
    }
}

impl TryFrom<String> for EventPattern {
    type Error = EventPatternError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<EventPattern> for String {
    fn from(pattern: EventPattern) -> Self {
        pattern.to_string()
    }
}

/// Text that is not a pattern of event names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} matches no event; expected an event such as incident.created, or incident.*, *.created, *")]
pub struct EventPatternError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_what_it_says() {
        let check = |pattern: &str, matching: &[&str], others: &[&str]| {
            let parsed = EventPattern::parse(pattern).unwrap();
            for (names, expected) in [(matching, true), (others, false)] {
                for name in names {
                    let name = EventName::parse(name).unwrap();
                    assert_eq!(parsed.matches(&name), expected, "{pattern} {name}");
                }
            }
            assert_eq!(EventPattern::parse(&parsed.to_string()), Ok(parsed));
        };
        check("incident.created", &["incident.created"], &["incident.updated", "task.created"]);
        check("incident.*", &["incident.created", "incident.updated"], &["incidents.created"]);
        check("*.created", &["incident.created", "task.created"], &["task.updated"]);
        for all in ["*", "*.*"] {
            check(all, &["incident.created", "task.updated"], &[]);
        }
    }

    #[test]
    fn anything_else_is_no_pattern() {
        let long = format!("{}.a", "a".repeat(65));
        for bad in [
            "",
            ".",
            "incident",
            "incident.",
            ".created",
            "a.b.c",
            "a.**",
            "in*.created",
            ">",
            "a b.c",
            &long,
        ] {
            assert!(EventPattern::parse(bad).is_err(), "{bad:?}");
        }
    }
}
