//! Attributes of envelopes, which subscriptions can filter on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The attributes of an envelope by name.
pub type Attributes = BTreeMap<String, Attribute>;

/// The values of an attribute. A filter matches one of them. In JSON it is a string, or a list of strings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Attribute {
    /// The only value.
    One(String),
    /// All of them.
    Several(Vec<String>),
}

impl Attribute {
    /// Creates an attribute with each value once, in order. Returns `None` if there is no value.
    #[must_use]
    pub fn new(mut values: Vec<String>) -> Option<Self> {
        match values.len() {
            0 | 1 => values.pop().map(Self::One),
            _ => {
                let mut unique = Vec::with_capacity(values.len());
                for value in values {
                    if !unique.contains(&value) {
                        unique.push(value);
                    }
                }
                Some(if unique.len() == 1 { Self::One(unique.pop()?) } else { Self::Several(unique) })
            }
        }
    }

    /// All values.
    #[must_use]
    pub fn values(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Several(values) => values,
        }
    }
}

impl From<String> for Attribute {
    fn from(value: String) -> Self {
        Self::One(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_a_string_and_several_are_a_list() {
        for (values, json) in
            [(&["a"][..], r#""a""#), (&["b", "a", "b"], r#"["b","a"]"#), (&["a", "a"], r#""a""#)]
        {
            let attribute = Attribute::new(values.iter().map(|value| (*value).to_owned()).collect()).unwrap();
            assert_eq!(serde_json::to_string(&attribute).unwrap(), json);
            assert_eq!(serde_json::from_str::<Attribute>(json).unwrap(), attribute);
        }
        assert_eq!(Attribute::new(Vec::new()), None);
        assert!(serde_json::from_str::<Attribute>("[1]").is_err());
    }
}
