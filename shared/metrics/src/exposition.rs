//! The formats that Prometheus reads: its text, OpenMetrics's text, and its protobuf, the only one with native histograms.

mod protobuf;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::metric::{Kind, Metric};
use crate::snapshot::{Snapshot, Value};

/// A format of the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus's text, version 0.0.4.
    Text,
    /// OpenMetrics's text, version 1.0.0.
    OpenMetrics,
    /// Prometheus's protobuf, each metric with its length before it.
    Protobuf,
}

impl Format {
    /// The format that a header `Accept` prefers (RFC 9110, section 12.5.1): of those that it likes equally well, the one
    /// that says more. Text for anything else.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let known = accept.split(',').filter_map(|range| Some((Self::named(range)?, quality(range))));
        let wanted = known.filter(|(_, quality)| *quality > 0);
        // The first of the best ones is kept.
        wanted
            .fold(None, |best: Option<(Self, u32)>, (format, quality)| {
                let rank = |(format, quality): (Self, u32)| (quality, format as u8);
                best.filter(|best| rank(*best) >= rank((format, quality))).or(Some((format, quality)))
            })
            .map_or(Self::Text, |(format, _)| format)
    }

    fn named(range: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let has = |wanted: &str| parts.clone().any(|part| part.replace(' ', "") == wanted);
        match &*name {
            "text/plain" => Some(Self::Text),
            "application/openmetrics-text" => Some(Self::OpenMetrics),
            "application/vnd.google.protobuf"
                if has("proto=io.prometheus.client.MetricFamily") && has("encoding=delimited") =>
            {
                Some(Self::Protobuf)
            }
            _ => None,
        }
    }

    /// The value of the header `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// The quality of a range in thousandths; 1000 where it names none.
fn quality(range: &str) -> u32 {
    let named = range.split(';').filter_map(|part| part.trim().strip_prefix("q="));
    let quality = named.map(|quality| quality.trim().parse::<f64>().unwrap_or(0.0)).next().unwrap_or(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 1000")]
    let thousandths = (quality.clamp(0.0, 1.0) * 1000.0) as u32;
    thousandths
}

/// Figures in a format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposition {
    /// The value of the header `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// Writes a snapshot in a format.
#[must_use]
pub fn expose(snapshot: Snapshot, format: Format) -> Exposition {
    let body = match format {
        Format::Protobuf => protobuf::encode(&snapshot),
        Format::Text => write(snapshot, prometheus_text::encode),
        Format::OpenMetrics => write(snapshot, text::encode),
    };
    Exposition { content_type: format.content_type(), body }
}

fn write(snapshot: Snapshot, encode: fn(&mut String, &Registry) -> fmt::Result) -> Vec<u8> {
    let (mut registry, mut text) = (Registry::default(), String::new());
    registry.register_collector(Box::new(Families(snapshot)));
    // Writing into a string cannot fail.
    let _ = encode(&mut text, &registry);
    text.into_bytes()
}

/// A snapshot as the library reads it.
#[derive(Debug)]
struct Families(Snapshot);

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.0.families() {
            let metric = family.metric;
            let unit = unit(metric);
            let (stem, kind) = (metric.stem(), kind(metric.kind()));
            let mut encoder = encoder.encode_descriptor(stem, metric.help(), unit.as_ref(), kind)?;
            for (values, value) in &family.series {
                if values.is_empty() {
                    encode_value(&mut encoder, metric.kind(), value)?;
                    continue;
                }
                let labels = metric.labels().iter().copied().zip(values.iter().map(String::as_str));
                let labels: Vec<(&str, &str)> = labels.collect();
                encode_value(&mut encoder.encode_family(&labels)?, metric.kind(), value)?;
            }
        }
        Ok(())
    }
}

fn unit(metric: &Metric) -> Option<Unit> {
    match metric.unit()? {
        "seconds" => Some(Unit::Seconds),
        "bytes" => Some(Unit::Bytes),
        other => Some(Unit::Other(other.to_owned())),
    }
}

fn kind(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    }
}

fn encode_value(encoder: &mut MetricEncoder<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Count(count)) => encoder.encode_counter::<NoLabelSet, _, u64>(count, None),
        (Kind::Counter, Value::Number(number)) => encoder.encode_counter::<NoLabelSet, _, u64>(number, None),
        // The library refuses what a signed number cannot say.
        (_, Value::Count(count)) => encoder.encode_gauge(&i64::try_from(*count).unwrap_or(i64::MAX)),
        (_, Value::Number(number)) => encoder.encode_gauge(number),
        (_, Value::Distribution(distribution)) => {
            let buckets: Vec<_> = distribution.classic().collect();
            encoder.encode_histogram::<NoLabelSet>(distribution.sum, distribution.count(), &buckets, None)
        }
    }
}

#[cfg(test)]
mod tests;
