//! Error texts for names that do not exist. Pure.

use std::collections::BTreeSet;

use tidings_runtime::config::most_similar;

/// The number of names that an error lists.
const LISTED: usize = 20;

/// The error for a name that does not exist, with the existing ones.
pub(crate) fn missing<'n>(what: &str, name: &str, existing: impl IntoIterator<Item = &'n str>) -> String {
    let existing: BTreeSet<_> = existing.into_iter().collect();
    let hint = did_you_mean(name, existing.iter().copied());
    let mut names: Vec<_> = existing.iter().take(LISTED).copied().collect();
    let more = existing.len().saturating_sub(LISTED);
    let rest = format!("{more} more");
    if more > 0 {
        names.push(&rest);
    }
    let there_are =
        if names.is_empty() { "there is none".to_owned() } else { format!("there are {}", names.join(", ")) };
    format!("{what}{hint}; {there_are}")
}

/// A question about the most similar name; empty, if none is similar.
pub(crate) fn did_you_mean<'n>(name: &str, existing: impl Iterator<Item = &'n str>) -> String {
    let likely = most_similar(name, existing.map(str::to_owned));
    likely.map(|likely| format!("; did you mean {likely:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<_> = (10..40).map(|n| n.to_string()).collect();
        let error = missing("no", "x", names.iter().map(String::as_str));
        assert!(error.ends_with("28, 29, 10 more"), "{error}");
    }
}
