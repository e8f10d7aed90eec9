//! Names of categories: what users switch on and off. A catalog puts each of its messages into one.

use std::borrow::Borrow;
use std::fmt;

use serde::{Deserialize, Serialize};
use tidings_model::subject;

/// The name of a category.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Category(String);

impl Category {
    /// The maximum length in characters.
    pub const MAX_LENGTH: usize = 64;

    /// Reads a name: 1 to [`Category::MAX_LENGTH`] characters of `A-Z a-z 0-9 _ -`, as messages and slots have them.
    pub fn parse(text: &str) -> Result<Self, CategoryError> {
        let is_name = !text.is_empty() && text.len() <= Self::MAX_LENGTH && subject::encode(text) == text;
        if is_name { Ok(Self(text.to_owned())) } else { Err(CategoryError(text.chars().take(100).collect())) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Category {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Category {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for Category {
    type Error = CategoryError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Category> for String {
    fn from(category: Category) -> Self {
        category.0
    }
}

/// A text that names no category.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a category of 1 to {max} characters of A-Z a-z 0-9 _ -", max = Category::MAX_LENGTH)]
pub struct CategoryError(String);
