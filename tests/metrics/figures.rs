//! Figures as Prometheus reads them, and the metrics that the documents list.

use std::collections::{BTreeMap, BTreeSet};

use harness::{BOUND, eventually};
use reqwest::header::ACCEPT;

/// The value of each series, which is written as in the text: `name{label="value"}`.
pub(crate) type Figures = BTreeMap<String, f64>;

/// An answer of a listener of metrics.
pub(crate) struct Page {
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
}

impl Page {
    /// Asks `http://127.0.0.1:…` for a page.
    pub(crate) async fn get(address: &str, path: &str, accept: &str) -> Self {
        let request = reqwest::Client::new().get(format!("{address}{path}")).header(ACCEPT, accept);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
        Self { content_type, body: answer.bytes().await.unwrap().to_vec() }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// All figures of these processes, added up.
pub(crate) async fn figures(addresses: &[impl AsRef<str>]) -> Figures {
    let mut all = Figures::new();
    for address in addresses {
        for path in ["/metrics", "/metrics/tenants"] {
            for (series, value) in parse(Page::get(address.as_ref(), path, "text/plain").await.text()) {
                *all.entry(series).or_default() += value;
            }
        }
    }
    all
}

/// Waits until a condition on the figures of these processes holds; the test fails with all of them if it does not.
pub(crate) async fn until(
    what: &str,
    addresses: &[impl AsRef<str>],
    holds: impl Fn(&Figures) -> bool,
) -> Figures {
    eventually(what, BOUND, async || {
        let figures = figures(addresses).await;
        if holds(&figures) { Ok(figures) } else { Err(format!("{figures:#?}")) }
    })
    .await
}

pub(crate) fn parse(text: &str) -> Figures {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a series: {line}"));
        (series.to_owned(), value.parse().unwrap_or_else(|_| panic!("not a number: {line}")))
    });
    series.collect()
}

/// A metric that the documents list.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) labels: BTreeSet<String>,
}

/// Every metric in `deploy/README.md`.
pub(crate) fn listed() -> Vec<Listed> {
    let document =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/README.md")).unwrap();
    let (_, rest) = document.split_once("| metric | kind | labels | meaning |\n").unwrap();
    let rows = rest.lines().skip(1).take_while(|line| line.starts_with('|'));
    let listed = rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let labels = cells[3].split(',').map(|label| label.trim().trim_matches('`').to_owned());
        Listed {
            name: cells[1].to_owned(),
            kind: cells[2].to_owned(),
            labels: labels.filter(|label| !label.is_empty()).collect(),
        }
    });
    listed.collect()
}

/// The name of the metric that a series belongs to, and its labels.
pub(crate) fn taken_apart(series: &str) -> (&str, BTreeMap<&str, &str>) {
    let Some((name, labels)) = series.split_once('{') else { return (series, BTreeMap::new()) };
    let labels = labels.trim_end_matches('}').split("\",").map(|label| {
        let (name, value) = label.split_once("=\"").unwrap();
        (name, value.trim_end_matches('"'))
    });
    (name, labels.collect())
}
