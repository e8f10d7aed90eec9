//! Filters of subscriptions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tidings_model::{Attribute, Attributes};

/// For each attribute, the allowed values; an envelope must have one of them. Values are compared as text.
///
/// Filters that the client wrote in different orders are equal, so a gateway evaluates one filter once for all
/// connections that share it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(BTreeMap<String, BTreeSet<String>>);

impl Filter {
    /// Returns whether the filter constrains nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The constrained attributes.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns whether an envelope with these attributes passes, as [`passes`] does.
    #[must_use]
    pub fn matches(&self, attributes: &Attributes) -> bool {
        passes(&self.0, attributes)
    }
}

/// Returns whether an envelope with these attributes passes a filter with these values. Each attribute of the filter that the
/// envelope has must have one of the filter's values. If the envelope has several values of an attribute, one of them suffices.
///
/// An attribute that the envelope lacks does not exclude it. The ops contract subscribes to incidents, tasks and alerts with
/// `environment` and `squad` at once, but an incident has only a squad and an alert only an environment. If an absent attribute
/// excluded an envelope, that subscription would never receive anything.
#[must_use]
pub fn passes(filter: &BTreeMap<String, BTreeSet<String>>, attributes: &Attributes) -> bool {
    let has_one = |values: &BTreeSet<String>, attribute: &Attribute| {
        attribute.values().iter().any(|value| values.contains(value))
    };
    filter
        .iter()
        .all(|(name, values)| attributes.get(name).is_none_or(|attribute| has_one(values, attribute)))
}

impl From<BTreeMap<String, BTreeSet<String>>> for Filter {
    fn from(attributes: BTreeMap<String, BTreeSet<String>>) -> Self {
        Self(attributes)
    }
}

impl From<Filter> for BTreeMap<String, BTreeSet<String>> {
    fn from(filter: Filter) -> Self {
        filter.0
    }
}

impl FromIterator<(String, BTreeSet<String>)> for Filter {
    fn from_iter<I: IntoIterator<Item = (String, BTreeSet<String>)>>(attributes: I) -> Self {
        Self(attributes.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &str, attributes: &str, expected: bool) {
        let filter: Filter = serde_json::from_str(filter).unwrap();
        let attributes: Attributes = serde_json::from_str(attributes).unwrap();
        assert_eq!(filter.matches(&attributes), expected, "{filter:?} on {attributes:?}");
    }

    #[test]
    fn every_shared_attribute_must_have_one_of_the_values() {
        let both = r#"{"environment":["production","staging"],"squad":["platform"]}"#;
        check(both, r#"{"environment":"production","squad":"platform"}"#, true);
        check(both, r#"{"environment":"staging","squad":"platform"}"#, true);
        check(both, r#"{"environment":"dev","squad":"platform"}"#, false);
        check(both, r#"{"environment":"production","squad":"security"}"#, false);
    }

    #[test]
    fn what_only_one_side_names_does_not_constrain() {
        let both = r#"{"environment":["production"],"squad":["platform"]}"#;
        check(both, r#"{"squad":"platform"}"#, true);
        check(both, r#"{"environment":"production"}"#, true);
        check(both, r#"{"environment":"dev"}"#, false);
        check(both, "{}", true);
        check("{}", r#"{"environment":"dev"}"#, true);
    }

    #[test]
    fn one_of_several_values_is_enough() {
        let platform = r#"{"squad":["platform","network"]}"#;
        check(platform, r#"{"squad":["security","platform"]}"#, true);
        check(platform, r#"{"squad":["security","sales"]}"#, false);
        check(platform, r#"{"squad":[]}"#, false);
        check(r#"{"squad":["platform"],"env":["dev"]}"#, r#"{"squad":["platform"],"env":["prod"]}"#, false);
    }

    #[test]
    fn no_value_matches_no_attribute() {
        check(r#"{"squad":[]}"#, r#"{"squad":"platform"}"#, false);
        check(r#"{"squad":[]}"#, "{}", true);
    }
}
