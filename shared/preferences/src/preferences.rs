//! What one user has set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidings_model::json::present;
use tidings_model::{ChannelKind, serialize_optional_time};
use time::OffsetDateTime;

use crate::{Category, QuietHours};

/// What one user has set. The default is a user who has set nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    /// Which channels are on or off in which categories. What is not here is as the catalog says.
    pub categories: BTreeMap<Category, BTreeMap<ChannelKind, bool>>,
    /// When messages wait.
    #[serde(deserialize_with = "present")]
    pub quiet_hours: Option<QuietHours>,
    /// Until when nothing is sent.
    #[serde(
        serialize_with = "serialize_optional_time",
        deserialize_with = "time::serde::rfc3339::option::deserialize"
    )]
    pub muted_until: Option<OffsetDateTime>,
}

impl Preferences {
    /// The maximum number of categories.
    pub const MAX_CATEGORIES: usize = 128;

    /// Switches a channel on or off in a category.
    pub fn switch(&mut self, category: Category, channel: ChannelKind, is_on: bool) {
        self.categories.entry(category).or_default().insert(channel, is_on);
    }

    /// Whether the user has switched this on or off; `None` if neither.
    #[must_use]
    pub fn is_on(&self, category: &str, channel: ChannelKind) -> Option<bool> {
        self.categories.get(category)?.get(&channel).copied()
    }

    /// Whether the user has set nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Checks that there are not too many categories to keep.
    pub fn check(&self) -> Result<(), TooManyCategories> {
        let count = self.categories.len();
        if count <= Self::MAX_CATEGORIES { Ok(()) } else { Err(TooManyCategories(count)) }
    }
}

/// More categories than are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} categories are more than {max}", max = Preferences::MAX_CATEGORIES)]
pub struct TooManyCategories(usize);
