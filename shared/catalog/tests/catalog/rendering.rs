//! Whatever a catalog's templates are and whatever an event's data is: what is rendered is what a naive reader
//! of both would have written, and what becomes part of a subject stays a part.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tidings_catalog::{Catalog, Reason};
use tidings_model::EnvelopeSubject;

use crate::support::{any_json, any_text, catalog, event};

/// A template as its author means it.
#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Yes(bool),
    Number(i32),
    /// A place alone.
    Place(Place),
    /// Text, a place, and text.
    Mixed(String, Place, String),
    List(Vec<Part>),
    Object(Vec<(String, Part)>),
}

/// A member of the event's data.
#[derive(Clone, Debug)]
struct Place {
    name: &'static str,
    optional: bool,
}

impl Place {
    fn template(&self) -> String {
        format!("{{data.{}{}}}", self.name, if self.optional { "?" } else { "" })
    }

    fn find(&self, data: &Value) -> Result<Option<Value>, Missing> {
        match data.get(self.name) {
            None if !self.optional => Err(Missing),
            // What may be missing may be null, too.
            Some(Value::Null) if self.optional => Ok(None),
            found => Ok(found.cloned()),
        }
    }
}

/// Nothing, or nothing that fits, where something must be.
#[derive(Clone, Copy, Debug)]
struct Missing;

impl Part {
    /// As it stands in a catalog.
    fn template(&self) -> toml::Value {
        let escaped = |text: &str| text.replace('{', "{{").replace('}', "}}");
        match self {
            Self::Text(text) => escaped(text).into(),
            Self::Yes(yes) => (*yes).into(),
            Self::Number(number) => (*number).into(),
            Self::Place(place) => place.template().into(),
            Self::Mixed(before, place, after) => {
                format!("{}{}{}", escaped(before), place.template(), escaped(after)).into()
            }
            Self::List(parts) => parts.iter().map(Self::template).collect::<Vec<_>>().into(),
            Self::Object(members) => {
                let members = members.iter().map(|(name, part)| (name.clone(), part.template()));
                members.collect::<toml::Table>().into()
            }
        }
    }

    /// What it must become.
    fn rendered(&self, data: &Value) -> Result<Option<Value>, Missing> {
        Ok(Some(match self {
            Self::Text(text) => text.as_str().into(),
            Self::Yes(yes) => (*yes).into(),
            Self::Number(number) => (*number).into(),
            Self::Place(place) => return place.find(data),
            Self::Mixed(before, place, after) => match place.find(data)? {
                None => return Ok(None),
                Some(Value::Null | Value::Array(_) | Value::Object(_)) => return Err(Missing),
                Some(Value::String(text)) => format!("{before}{text}{after}").into(),
                // As the producer spelled it.
                Some(value) => format!("{before}{value}{after}").into(),
            },
            Self::List(parts) => {
                let parts: Vec<_> = parts.iter().map(|part| part.rendered(data)).collect::<Result<_, _>>()?;
                parts.into_iter().flatten().collect()
            }
            Self::Object(members) => {
                let mut object = Map::new();
                for (name, part) in members {
                    object.extend(part.rendered(data)?.map(|value| (name.clone(), value)));
                }
                object.into()
            }
        }))
    }
}

fn any_place() -> impl Strategy<Value = Place> {
    (prop::sample::select(vec!["a", "b", "c"]), prop::bool::weighted(0.7))
        .prop_map(|(name, optional)| Place { name, optional })
}

fn any_members(part: impl Strategy<Value = Part>) -> impl Strategy<Value = Vec<(String, Part)>> {
    // Each name once.
    prop::collection::btree_map(any_text(), part, 0..4).prop_map(|members| members.into_iter().collect())
}

fn any_part() -> impl Strategy<Value = Part> {
    let leaf = prop_oneof![
        any_text().prop_map(Part::Text),
        any::<bool>().prop_map(Part::Yes),
        any::<i32>().prop_map(Part::Number),
        any_place().prop_map(Part::Place),
        (any_text(), any_place(), any_text())
            // Without any text around it, a place is alone.
            .prop_map(|(before, place, after)| Part::Mixed(format!("<{before}"), place, after)),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Part::List),
            any_members(inner).prop_map(Part::Object),
        ]
    })
}

/// Members that are often there.
fn any_data() -> impl Strategy<Value = Value> {
    let value = || prop_oneof![3 => any_text().prop_map(Value::from).boxed(), 2 => any_json().boxed()];
    let member = |name| prop::option::weighted(0.8, value()).prop_map(move |value| (name, value));
    (member("a"), member("b"), member("c")).prop_map(|(a, b, c)| {
        let members = [a, b, c].into_iter();
        members.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Map<_, _>>().into()
    })
}

fn catalog_of(body: &toml::Value) -> Catalog {
    let message = [
        ("name", "m".into()),
        ("events", vec!["a.b"].into()),
        ("schema", "any.json".into()),
        ("to", "all".into()),
        ("body", body.clone()),
    ];
    let message: toml::Table =
        message.map(|(name, value): (_, toml::Value)| (name.to_owned(), value)).into_iter().collect();
    let catalog = [("grants", toml::Value::Array(vec!["all".into()])), ("message", vec![message].into())];
    let text: toml::Table = catalog.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    crate::support::catalog(&text.to_string())
}

proptest! {
    #[test]
    fn what_is_rendered_is_what_the_template_says(members in any_members(any_part()), data in any_data()) {
        let body = Part::Object(members);
        let event = event("a.b", data.clone());
        let projected = catalog_of(&body.template()).project(&event);
        // By a catalog that was read anew, as another process would.
        prop_assert_eq!(&projected, &catalog_of(&body.template()).project(&event));
        match (body.rendered(&data), projected) {
            (Ok(expected), Ok(envelopes)) => {
                prop_assert_eq!(envelopes.len(), 1);
                let found: Value = serde_json::from_slice(&envelopes[0].body).unwrap();
                prop_assert_eq!(Some(found), expected);
            }
            (Err(Missing), Err(rejection)) => prop_assert_eq!(rejection.reason, Reason::MissingValue),
            (expected, found) => prop_assert!(false, "{:?} became {:?}", expected, found),
        }
    }

    /// Two that differ in anything never meet on one subject, and none has a wildcard for another's.
    #[test]
    fn what_differs_has_different_subjects(one in any_ids(), other in any_ids()) {
        let catalog = catalog(
            "grants = ['user:{sub}']\n[[message]]\nname = 'm'\nevents = ['a.b']\nschema = 'any.json'\nto = 'user:{data.id}'\n\
             class = 'latest'\nkey = '{data.key}'\nbody = {}",
        );
        let subject = |(id, key): &(String, String)| {
            let envelopes = catalog.project(&event("a.b", json!({ "id": id, "key": key }))).unwrap();
            envelopes[0].subject.written_in(tidings_model::Place::default())
        };
        let (first, second) = (subject(&one), subject(&other));
        prop_assert_eq!(first == second, one == other, "{} and {}", first, second);
        for (subject, (id, key)) in [(first, one), (second, other)] {
            let is_literal = |byte: u8| byte.is_ascii_graphic() && !b"*>".contains(&byte);
            prop_assert!(subject.bytes().all(is_literal), "{}", subject);
            prop_assert_eq!(subject.split('.').filter(|token| !token.is_empty()).count(), 7, "{}", &subject);
            let (parsed, _) = EnvelopeSubject::parse(&subject).unwrap();
            prop_assert_eq!(parsed.address.id(), Some(id.as_str()));
            prop_assert_eq!(parsed.key, Some(key));
        }
    }
}

/// What may be an id and what may be a key, often nearly the same for two of them.
fn any_ids() -> impl Strategy<Value = (String, String)> {
    let text = || {
        prop_oneof![
            "\\PC{1,20}",
            prop::collection::vec(any::<char>(), 1..20).prop_map(|chars| chars.into_iter().collect()),
            "[.*>=_ \t\r\n\u{0}-]{1,3}",
            "=[0-9A-F]{2}",
            Just("-".to_owned()),
            Just("=".to_owned()),
        ]
    };
    (text(), text())
}
