//! Parses `text` and `unknown`: how messages are sanitized.

use serde_json::Value;

use super::Problems;
use crate::file::TextFile;
use crate::sanitize::{KnownMembers, Sanitizer, TextRule};
use crate::template::{Path, Step, Template};

/// What the catalog says of all messages.
#[derive(Default)]
pub(super) struct Defaults {
    text: Option<TextRule>,
    drops_unknown: bool,
}

/// What is known of a message before its schema is.
pub(super) struct Sanitizing {
    text: Option<TextRule>,
    members: Vec<(Path, TextRule)>,
    pub(super) drops_unknown: bool,
}

impl Sanitizing {
    pub(super) fn with_schema(self, schema: Option<&Value>) -> Sanitizer {
        let Self { text, members, .. } = self;
        Sanitizer { text, members, known: schema.map(KnownMembers::of_schema) }
    }
}

impl Problems {
    pub(super) fn sanitizing(&mut self, text: Option<&str>, unknown: Option<&str>) -> Defaults {
        let text = text.and_then(|text| self.take("text", text.parse()));
        let drops_unknown = self.drops_unknown("unknown", unknown).unwrap_or_default();
        Defaults { text, drops_unknown }
    }

    pub(super) fn sanitizer(
        &mut self,
        place: &str,
        (text, unknown): (Option<TextFile>, Option<&str>),
        body: Option<&Template>,
        defaults: &Defaults,
    ) -> Sanitizing {
        let drops_unknown = self.drops_unknown(place, unknown).unwrap_or(defaults.drops_unknown);
        let mut sanitizing = Sanitizing { text: defaults.text, members: Vec::new(), drops_unknown };
        match text {
            None => {}
            Some(TextFile::All(rule)) => sanitizing.text = self.take(place, rule.parse()),
            Some(TextFile::Members(members)) => {
                for (path, rule) in members {
                    let path = self.take(place, Path::parse(&path));
                    let rule = self.take(place, rule.parse());
                    if let Some(path) =
                        path.as_ref().filter(|path| body.is_some_and(|body| !leads(body, path)))
                    {
                        self.add(place, format!("{{{path}}} in `text` leads to no member of `body`"));
                    }
                    sanitizing.members.extend(path.zip(rule));
                }
            }
        }
        sanitizing
    }

    fn drops_unknown(&mut self, place: &str, text: Option<&str>) -> Option<bool> {
        match text? {
            "keep" => Some(false),
            "drop" => Some(true),
            other => {
                self.add(place, format!("unknown {other:?} is none of \"keep\" and \"drop\""));
                None
            }
        }
    }
}

/// Whether a message of this template may have a value at the path.
fn leads(body: &Template, path: &Path) -> bool {
    let root = Step::Member(path.root().to_owned());
    let mut template = body;
    for step in std::iter::once(&root).chain(path.steps()) {
        template = match (template, step) {
            (Template::Object(members), Step::Member(name)) => {
                match members.iter().find(|(member, _)| member == name) {
                    Some((_, member)) => member,
                    None => return false,
                }
            }
            (Template::Array(elements), Step::Element(index)) => match elements.get(*index) {
                Some(element) => element,
                None => return false,
            },
            // What the event's data has there is not known.
            (Template::Place(_), _) | (Template::Array(_), Step::Each) => return true,
            _ => return false,
        };
    }
    true
}
