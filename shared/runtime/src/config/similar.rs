//! Finds what a name was meant to be.

/// Returns the candidate that `name` most likely misspells, if any.
pub fn most_similar(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(name, &candidate), candidate))
        .filter(|(distance, _)| *distance <= 3 && distance * 2 < name.len())
        .min()
        .map(|(_, candidate)| candidate)
}
