//! Templates as JSON, for programs in other languages that render them as this crate does.

use serde_json::{Map, Value, json};

use super::path::{Path, Step};
use super::{Piece, Template, TextTemplate};

impl Path {
    /// Where the path leads, how it is written, and whether a value is needed.
    pub(crate) fn to_json(&self) -> Value {
        let step = |step: &Step| match step {
            Step::Member(name) => Some(Value::from(name.as_str())),
            Step::Element(index) => Some(Value::from(*index)),
            Step::Each => Some(Value::Null),
            // Only claims have words, and no producer has claims.
            Step::Words => None,
        };
        let mut members = Map::new();
        members.insert("path".to_owned(), self.to_string().into());
        members.insert("root".to_owned(), self.root().into());
        members.insert("steps".to_owned(), self.steps().iter().filter_map(step).collect());
        if self.root() == "data" {
            members.insert("pointer".to_owned(), self.pointer_inside().into());
        }
        if self.is_optional() {
            members.insert("optional".to_owned(), true.into());
        }
        if self.leaves_out_nulls() {
            members.insert("without_nulls".to_owned(), true.into());
        }
        Value::Object(members)
    }
}

impl TextTemplate {
    /// Its pieces: texts as they are, and paths.
    pub(crate) fn to_json(&self) -> Value {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => Value::from(text.as_str()),
            Piece::Place(path) => path.to_json(),
        };
        self.0.iter().map(piece).collect()
    }
}

impl Template {
    /// What it is of, as the only member of an object.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Literal(value) => json!({ "value": value }),
            Self::Place(path) => json!({ "place": path.to_json() }),
            Self::Text(text) => json!({ "text": text.to_json() }),
            Self::Object(members) => {
                let members = members.iter().map(|(name, member)| json!([name, member.to_json()]));
                json!({ "object": members.collect::<Vec<_>>() })
            }
            Self::Array(elements) => {
                json!({ "array": elements.iter().map(Self::to_json).collect::<Vec<_>>() })
            }
        }
    }
}
