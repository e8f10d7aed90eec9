//! The queries of alert rules and dashboard: each names metrics that running processes serve, and labels that these have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::figures::{Figures, taken_apart};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/helm/tidings/files/");
/// Labels that Prometheus and histograms add.
const ADDED: [&str; 3] = ["instance", "job", "le"];

/// Fails the test on a query that names what these figures do not have.
pub(crate) fn check(figures: &Figures) {
    let mut there: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for series in figures.keys() {
        let (name, labels) = taken_apart(series);
        there.entry(name).or_default().extend(labels.keys());
    }
    for (place, query) in of_alerts().into_iter().chain(of_dashboard()) {
        let query = without_texts(&query);
        let names: Vec<&str> = words(&query).filter(|word| is_metric(word)).collect();
        assert!(!names.is_empty(), "{place} asks for no metric: {query}");
        let mut known: BTreeSet<&str> = ADDED.into();
        for name in names {
            let labels = there.get(name).unwrap_or_else(|| panic!("{place}: there is no metric {name}"));
            known.extend(labels);
        }
        for label in labels(&query) {
            assert!(known.contains(label), "{place}: {label} is a label of no metric in {query}");
        }
    }
}

fn is_metric(word: &str) -> bool {
    word.starts_with("tidings_") || word.starts_with("process_")
}

/// The queries of all rules, by the name of the alert.
fn of_alerts() -> Vec<(String, String)> {
    let text = fs::read_to_string(format!("{FILES}alerts.yaml")).unwrap();
    let (mut alert, mut found, mut lines) = (String::new(), Vec::new(), text.lines().peekable());
    while let Some(line) = lines.next() {
        if let Some(name) = line.trim().strip_prefix("- alert: ") {
            name.clone_into(&mut alert);
        } else if let Some(query) = line.trim().strip_prefix("expr: ") {
            let mut query = query.replace(">-", "");
            while let Some(more) = lines.next_if(|line| line.starts_with("          ")) {
                query.push_str(more);
            }
            found.push((alert.clone(), query));
        }
    }
    assert_eq!(found.len(), text.matches("expr:").count());
    found
}

/// The queries of all panels, by the panel's title.
fn of_dashboard() -> Vec<(String, String)> {
    let text = fs::read_to_string(format!("{FILES}dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap().to_owned();
            found.push((panel["title"].as_str().unwrap().to_owned(), query));
        }
    }
    found
}

/// A query with its quoted texts emptied.
fn without_texts(query: &str) -> String {
    query.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The labels in braces, and those that are grouped by.
fn labels(query: &str) -> Vec<&str> {
    let within = |open: &str, close| {
        query.split(open).skip(1).filter_map(move |rest| Some(rest.split_once(close)?.0)).collect::<Vec<_>>()
    };
    let grouped = ["by (", "on (", "group_left ("].into_iter().flat_map(|open| within(open, ')'));
    grouped.chain(within("{", '}')).flat_map(words).collect()
}
