//! Prometheus's protobuf: `metrics.proto` of `io.prometheus.client`, as far as it is written here.
//!
//! The library's own encoder would have the compiler of protobuf built with every build; these are a few messages whose
//! numbers never change.

use prost::Message as _;

use crate::histogram::{Distribution, SCHEMA, ZERO_THRESHOLD};
use crate::metric::{Kind, Metric as Declared};
use crate::snapshot::{Family, Snapshot, Value};

/// Every metric, each with its length before it.
pub(super) fn encode(snapshot: &Snapshot) -> Vec<u8> {
    snapshot.families().flat_map(|family| message(family).encode_length_delimited_to_vec()).collect()
}

fn message(family: &Family) -> MetricFamily {
    let metric = family.metric;
    let (name, help) = (metric.name().to_owned(), metric.help().to_owned());
    let kind = match metric.kind() {
        Kind::Counter => 0,
        Kind::Gauge => 1,
        Kind::Histogram => 4,
    };
    let series = family.series.iter().map(|(values, value)| series(metric, values, value)).collect();
    MetricFamily { name, help, kind, series, unit: metric.unit().unwrap_or_default().to_owned() }
}

fn series(metric: &Declared, values: &[String], value: &Value) -> Metric {
    let pairs = metric.labels().iter().zip(values);
    let labels = pairs.map(|(name, value)| LabelPair { name: (*name).to_owned(), value: value.clone() });
    let mut series = Metric { labels: labels.collect(), ..Metric::default() };
    #[expect(clippy::cast_precision_loss, reason = "Prometheus has no other numbers")]
    let number = match value {
        Value::Count(count) => *count as f64,
        Value::Number(number) => *number,
        Value::Distribution(distribution) => {
            series.histogram = Some(histogram(distribution));
            return series;
        }
    };
    match metric.kind() {
        Kind::Counter => series.counter = Some(Number { value: number }),
        Kind::Gauge | Kind::Histogram => series.gauge = Some(Number { value: number }),
    }
    series
}

fn histogram(distribution: &Distribution) -> Histogram {
    let (first, counts) = distribution.filled();
    // Prometheus refuses a histogram whose native buckets do not add up to the count.
    let count = distribution.zero + counts.iter().sum::<u64>();
    let mut cumulative = 0;
    let buckets = distribution.classic().filter(|(bound, _)| bound.is_finite());
    let buckets = buckets.map(|(upper_bound, own)| {
        cumulative += own;
        Bucket { cumulative_count: count.min(cumulative), upper_bound }
    });
    let signed = |count: &u64| i64::try_from(*count).unwrap_or(i64::MAX);
    let before = [0].into_iter().chain(counts.iter().map(signed));
    let deltas = counts.iter().map(signed).zip(before).map(|(count, before)| count - before);
    let spans = (!counts.is_empty()).then(|| BucketSpan { offset: first, length: length(counts) });
    Histogram {
        sample_count: count,
        sample_sum: distribution.sum,
        buckets: buckets.collect(),
        schema: SCHEMA,
        zero_threshold: ZERO_THRESHOLD,
        zero_count: distribution.zero,
        positive_spans: spans.into_iter().collect(),
        positive_deltas: deltas.collect(),
    }
}

fn length(counts: &[u64]) -> u32 {
    u32::try_from(counts.len()).unwrap_or(u32::MAX)
}

#[derive(Clone, PartialEq, prost::Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    series: Vec<Metric>,
    #[prost(string, tag = "5")]
    unit: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A `Gauge` or a `Counter`.
#[derive(Clone, PartialEq, prost::Message)]
struct Number {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    sample_count: u64,
    #[prost(double, tag = "2")]
    sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    buckets: Vec<Bucket>,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_deltas: Vec<i64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Bucket {
    #[prost(uint64, tag = "1")]
    cumulative_count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::histogram::Histogram as Observed;
    use crate::snapshot::Page;

    crate::declare! {
        ALL {
            BAKING: Histogram "bakery_baking_seconds" ["oven"] "How long loaves take.",
            LOAVES: Counter "bakery_loaves_total" [] "Loaves.",
        }
    }

    #[test]
    fn native_buckets_add_up_beside_classic_ones() {
        let mut snapshot = Snapshot::new(Page::Process, SystemTime::UNIX_EPOCH);
        let baking = Observed::default();
        for (milliseconds, count) in [(0, 1), (1_000, 2), (1_050, 4), (4_000, 3)] {
            baking.observe(Duration::from_millis(milliseconds), count);
        }
        snapshot.histogram(ALL[0], &["left"], &baking);
        snapshot.count(&LOAVES, &[], 9);
        let encoded = encode(&snapshot);
        let mut bytes = &encoded[..];
        let families = [0, 1].map(|_| MetricFamily::decode_length_delimited(&mut bytes).unwrap());
        assert!(bytes.is_empty());
        let [baking, loaves] = families;
        assert_eq!((&*baking.name, baking.kind, &*baking.unit), ("bakery_baking_seconds", 4, "seconds"));
        assert_eq!(
            baking.series[0].labels,
            [LabelPair { name: "oven".to_owned(), value: "left".to_owned() }]
        );
        let histogram = baking.series[0].histogram.clone().unwrap();
        assert_eq!((histogram.sample_count, histogram.zero_count, histogram.schema), (10, 1, 3));
        // 2^0 s, then up to 2^(1/8) s, and 2^2 s at 16 buckets from the first.
        let spans = vec![BucketSpan { offset: 0, length: 17 }];
        assert_eq!(histogram.positive_spans, spans);
        let mut deltas = vec![0; 17];
        (deltas[0], deltas[1], deltas[2], deltas[16]) = (2, 2, -4, 3);
        assert_eq!(histogram.positive_deltas, deltas);
        let at_one_second = histogram.buckets.iter().find(|bucket| bucket.upper_bound >= 1.0).unwrap();
        assert_eq!(at_one_second.cumulative_count, 3);
        assert_eq!(loaves.series[0].counter, Some(Number { value: 9.0 }));
        assert_eq!(loaves.name, "bakery_loaves_total");
    }
}
