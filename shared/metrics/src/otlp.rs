//! A snapshot as OpenTelemetry's collectors receive it: `ExportMetricsServiceRequest` in protobuf.
//!
//! The messages are made here, without instruments of the SDK: those would count everything a second time, and none of
//! them can be given a distribution that was counted elsewhere. Figures are cumulative, so a request that is lost loses
//! nothing.

use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use crate::histogram::{Distribution, SCHEMA, ZERO_THRESHOLD};
use crate::metric::{Kind, Metric as Declared};
use crate::snapshot::{Family, Snapshot, Value};

/// A request with these figures, of the process that these attributes describe.
#[must_use]
pub fn to_otlp(snapshots: &[Snapshot], resource: &[(String, String)], now: SystemTime) -> Vec<u8> {
    let attributes = resource.iter().map(|(name, value)| attribute(name, value)).collect();
    let metrics = snapshots.iter().flat_map(|snapshot| {
        let times = Times { start: nanoseconds(snapshot.began()), now: nanoseconds(now) };
        snapshot.families().map(move |family| message(family, times))
    });
    let scope = InstrumentationScope {
        name: "tidings".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let metrics = ScopeMetrics { scope: Some(scope), metrics: metrics.collect(), ..ScopeMetrics::default() };
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_metrics: vec![metrics],
            ..ResourceMetrics::default()
        }],
    };
    request.encode_to_vec()
}

/// In nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Times {
    start: u64,
    now: u64,
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn message(family: &Family, times: Times) -> Metric {
    let declared = family.metric;
    let numbers =
        || family.series.iter().filter_map(|(values, value)| number(declared, values, value, times));
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match declared.kind() {
        Kind::Gauge => metric::Data::Gauge(Gauge { data_points: numbers().collect() }),
        Kind::Counter => metric::Data::Sum(Sum {
            data_points: numbers().collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        Kind::Histogram => metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: family
                .series
                .iter()
                .filter_map(|(values, value)| distribution(declared, values, value, times))
                .collect(),
            aggregation_temporality: cumulative,
        }),
    };
    Metric {
        name: name(declared),
        description: declared.help().to_owned(),
        unit: unit(declared).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

/// The name in OpenTelemetry's form, without unit and `_total`, which a collector appends for Prometheus:
/// `tidings_gateway_sent_bytes_total` is `tidings.gateway.sent`, in bytes.
fn name(declared: &Declared) -> String {
    let dots = if declared.stem().starts_with("tidings_") { 2 } else { 1 };
    declared.stem().replacen('_', ".", dots)
}

/// In UCUM.
fn unit(declared: &Declared) -> &'static str {
    match declared.unit() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

fn attribute(name: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: name.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn attributes(declared: &Declared, values: &[String]) -> Vec<KeyValue> {
    declared.labels().iter().zip(values).map(|(name, value)| attribute(name, value)).collect()
}

fn number(declared: &Declared, values: &[String], value: &Value, times: Times) -> Option<NumberDataPoint> {
    let value = match value {
        Value::Count(count) => number_data_point::Value::AsInt(i64::try_from(*count).unwrap_or(i64::MAX)),
        Value::Number(number) => number_data_point::Value::AsDouble(*number),
        Value::Distribution(_) => return None,
    };
    Some(NumberDataPoint {
        attributes: attributes(declared, values),
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

fn distribution(
    declared: &Declared,
    values: &[String],
    value: &Value,
    times: Times,
) -> Option<ExponentialHistogramDataPoint> {
    let Value::Distribution(found) = value else { return None };
    let Distribution { sum, zero, .. } = **found;
    let (first, counts) = found.filled();
    Some(ExponentialHistogramDataPoint {
        attributes: attributes(declared, values),
        start_time_unix_nano: times.start,
        time_unix_nano: times.now,
        count: zero + counts.iter().sum::<u64>(),
        sum: Some(sum),
        scale: SCHEMA,
        zero_count: zero,
        zero_threshold: ZERO_THRESHOLD,
        // Prometheus numbers buckets by their upper bounds, OpenTelemetry by their lower ones.
        positive: Some(Buckets { offset: first - 1, bucket_counts: counts.to_vec() }),
        ..ExponentialHistogramDataPoint::default()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::histogram::Histogram;
    use crate::snapshot::Page;

    crate::declare! {
        ALL {
            SENT: Counter "tidings_bakery_sent_bytes_total" ["oven"] "Sent.",
            BAKING: Histogram "tidings_bakery_baking_seconds" [] "How long loaves take.",
            OPEN: Gauge "process_open_fds" [] "Open.",
        }
    }

    #[test]
    fn a_collector_finds_names_units_and_buckets() {
        let mut snapshot = Snapshot::new(Page::Process, SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        let baking = Histogram::default();
        baking.observe(Duration::from_secs(1), 2);
        snapshot.count(ALL[0], &["left"], 7);
        snapshot.histogram(&BAKING, &[], &baking);
        snapshot.count(&OPEN, &[], 3);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        let request = to_otlp(&[snapshot], &[("service.name".to_owned(), "bakery".to_owned())], now);
        let mut request = ExportMetricsServiceRequest::decode(&request[..]).unwrap();
        let resource = request.resource_metrics.pop().unwrap();
        assert_eq!(resource.resource.unwrap().attributes, [attribute("service.name", "bakery")]);
        let metrics = &resource.scope_metrics[0].metrics;
        let named: Vec<_> = metrics.iter().map(|metric| (&*metric.name, &*metric.unit)).collect();
        assert_eq!(
            named,
            [("process.open_fds", ""), ("tidings.bakery.baking", "s"), ("tidings.bakery.sent", "By")]
        );
        let Some(metric::Data::Sum(sent)) = &metrics[2].data else { panic!("{metrics:?}") };
        assert!(sent.is_monotonic);
        assert_eq!(sent.data_points[0].value, Some(number_data_point::Value::AsInt(7)));
        assert_eq!(sent.data_points[0].start_time_unix_nano, 1_000_000_000);
        assert_eq!(sent.data_points[0].time_unix_nano, 9_000_000_000);
        let Some(metric::Data::ExponentialHistogram(baking)) = &metrics[1].data else {
            panic!("{metrics:?}")
        };
        let point = &baking.data_points[0];
        assert_eq!((point.count, point.scale, point.sum), (2, 3, Some(2.0)));
        // Above 2^(-1/8), up to and with 1.
        assert_eq!(point.positive, Some(Buckets { offset: -1, bucket_counts: vec![2] }));
    }
}
