//! The figures of one moment, added up over all that count them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::histogram::{Distribution, Histogram};
use crate::metric::Metric;

/// Tenants on the page of tenants. Each has a series for every metric and label, which Prometheus keeps.
const MOST_TENANTS: usize = 100;

/// A part of the process that has figures.
pub trait Source: Send + Sync {
    /// Adds its figures. Called rarely, from any thread; it may look at much, but waits for nothing.
    fn collect(&self, snapshot: &mut Snapshot);
}

/// Which figures are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// Of the process as a whole.
    Process,
    /// Of each tenant, as far as they are among the busiest.
    Tenants,
}

/// The figures of one moment.
#[derive(Debug)]
pub struct Snapshot {
    page: Page,
    began: SystemTime,
    families: BTreeMap<&'static str, Family>,
}

/// All series of one metric.
#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) metric: &'static Metric,
    /// By the values of the labels.
    pub(crate) series: BTreeMap<Box<[String]>, Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Count(u64),
    Number(f64),
    Distribution(Box<Distribution>),
}

impl Snapshot {
    pub(crate) fn new(page: Page, began: SystemTime) -> Self {
        Self { page, began, families: BTreeMap::new() }
    }

    /// Whether figures of single tenants are asked for, and no others.
    #[must_use]
    pub fn is_of_tenants(&self) -> bool {
        self.page == Page::Tenants
    }

    /// Adds a whole number to the series with these values of the metric's labels.
    pub fn count(&mut self, metric: &'static Metric, labels: &[&str], value: u64) {
        self.add(metric, labels, Value::Count(value));
    }

    /// Adds a number with a fraction.
    pub fn number(&mut self, metric: &'static Metric, labels: &[&str], value: f64) {
        self.add(metric, labels, Value::Number(value));
    }

    /// Adds a distribution.
    pub fn histogram(&mut self, metric: &'static Metric, labels: &[&str], histogram: &Histogram) {
        self.add(metric, labels, Value::Distribution(Box::new(histogram.read())));
    }

    fn add(&mut self, metric: &'static Metric, labels: &[&str], value: Value) {
        debug_assert_eq!(metric.labels().len(), labels.len(), "{}", metric.name());
        if metric.is_of_tenants() != self.is_of_tenants() {
            return;
        }
        let family =
            self.families.entry(metric.name()).or_insert_with(|| Family { metric, series: BTreeMap::new() });
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        match family.series.get_mut::<Box<[String]>>(&labels) {
            Some(known) => known.merge(&value),
            None => drop(family.series.insert(labels, value)),
        }
    }

    /// The present value of a series: a number, or how many a distribution has.
    #[must_use]
    pub fn value(&self, metric: &Metric, labels: &[&str]) -> Option<f64> {
        let labels: Box<[String]> = labels.iter().map(|label| (*label).to_owned()).collect();
        self.families.get(metric.name())?.series.get(&labels).map(Value::weight)
    }

    pub(crate) fn families(&self) -> impl Iterator<Item = &Family> {
        self.families.values()
    }

    /// Since when counters have been rising.
    pub(crate) fn began(&self) -> SystemTime {
        self.began
    }

    /// Leaves out all tenants but those whose figures add up to most. A tenant that is left out has no series, so that
    /// none of them ever falls; on its return it continues with all that it has counted.
    pub(crate) fn keep_the_busiest(&mut self) {
        if !self.is_of_tenants() {
            return;
        }
        let mut weights: BTreeMap<&str, f64> = BTreeMap::new();
        for (labels, value) in self.families.values().flat_map(|family| &family.series) {
            if let Some(tenant) = labels.first() {
                *weights.entry(tenant).or_default() += value.weight();
            }
        }
        let mut ranked: Vec<_> = weights.into_iter().collect();
        ranked.sort_by(|(one, less), (other, more)| more.total_cmp(less).then_with(|| one.cmp(other)));
        let kept: BTreeSet<String> =
            ranked.into_iter().take(MOST_TENANTS).map(|(tenant, _)| tenant.to_owned()).collect();
        for family in self.families.values_mut() {
            family.series.retain(|labels, _| labels.first().is_some_and(|tenant| kept.contains(tenant)));
        }
    }
}

impl Value {
    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(own), Self::Count(more)) => *own = own.saturating_add(*more),
            (Self::Number(own), Self::Number(more)) => *own += more,
            (Self::Distribution(own), Self::Distribution(more)) => own.merge(more),
            _ => debug_assert!(false, "a metric is counted in one way"),
        }
    }

    fn weight(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an order and a test need no more")]
        match self {
            Self::Count(count) => *count as f64,
            Self::Number(number) => *number,
            Self::Distribution(distribution) => distribution.count() as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::declare! {
        ALL {
            LOAVES: Counter "bakery_loaves_total" ["flour"] "Loaves.",
            SOLD: Counter "bakery_tenant_sold_total" ["tenant", "flour"] "Sold.",
        }
    }

    #[test]
    fn equal_labels_are_added_up() {
        let mut snapshot = Snapshot::new(Page::Process, SystemTime::UNIX_EPOCH);
        for count in [1, 2] {
            snapshot.count(&LOAVES, &["rye"], count);
        }
        snapshot.count(&LOAVES, &["oat"], 5);
        snapshot.count(&SOLD, &["ops", "rye"], 1);
        let found = [&["rye"][..], &["oat"]].map(|labels| snapshot.value(ALL[0], labels));
        assert_eq!(found, [Some(3.0), Some(5.0)]);
        assert_eq!(snapshot.value(&SOLD, &["ops", "rye"]), None, "tenants have a page of their own");
    }

    #[test]
    fn the_busiest_tenants_are_kept() {
        let mut snapshot = Snapshot::new(Page::Tenants, SystemTime::UNIX_EPOCH);
        snapshot.count(&LOAVES, &["rye"], 1);
        for number in 0..1_000 {
            let tenant = format!("t{number}");
            snapshot.count(&SOLD, &[&tenant, "rye"], number);
            snapshot.count(&SOLD, &[&tenant, "oat"], 0);
        }
        snapshot.keep_the_busiest();
        assert_eq!(snapshot.families().map(|family| family.series.len()).sum::<usize>(), 2 * MOST_TENANTS);
        assert_eq!(snapshot.value(&SOLD, &["t999", "oat"]), Some(0.0));
        assert_eq!(snapshot.value(&SOLD, &["t899", "rye"]), None);
    }
}
