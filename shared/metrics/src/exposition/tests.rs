use std::time::{Duration, SystemTime};

use super::*;
use crate::histogram::Histogram;
use crate::snapshot::Page;

crate::declare! {
    ALL {
        LOAVES: Counter "bakery_loaves_total" ["flour"] "Loaves that were baked.",
        HEAT: Counter "bakery_heat_seconds_total" [] "Time, in seconds.",
        FLOUR: Gauge "bakery_flour_bytes" [] "Flour, in bytes.",
        BAKING: Histogram "bakery_baking_seconds" ["oven"] "How long loaves take.",
    }
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::new(Page::Process, SystemTime::UNIX_EPOCH);
    let baking = Histogram::default();
    baking.observe(Duration::from_millis(2), 3);
    baking.observe(Duration::from_secs(400), 1);
    snapshot.count(ALL[0], &["rye"], 7);
    snapshot.count(&LOAVES, &["a\"b\\c\nd"], 1);
    snapshot.number(&HEAT, &[], 1.5);
    snapshot.count(&FLOUR, &[], u64::MAX);
    snapshot.histogram(&BAKING, &["left"], &baking);
    snapshot
}

fn text(format: Format) -> String {
    String::from_utf8(expose(snapshot(), format).body).unwrap()
}

#[test]
fn prometheus_reads_its_text() {
    let text = text(Format::Text);
    for line in [
        "# HELP bakery_baking_seconds How long loaves take.",
        "# TYPE bakery_baking_seconds histogram",
        r#"bakery_baking_seconds_sum{oven="left"} 400.006"#,
        r#"bakery_baking_seconds_count{oven="left"} 4"#,
        r#"bakery_baking_seconds_bucket{oven="left",le="0.001"} 0"#,
        r#"bakery_baking_seconds_bucket{oven="left",le="0.0025"} 3"#,
        r#"bakery_baking_seconds_bucket{oven="left",le="300"} 3"#,
        r#"bakery_baking_seconds_bucket{oven="left",le="+Inf"} 4"#,
        "# TYPE bakery_loaves_total counter",
        r#"bakery_loaves_total{flour="rye"} 7"#,
        r#"bakery_loaves_total{flour="a\"b\\c\nd"} 1"#,
        "bakery_heat_seconds_total 1.5",
        "bakery_flour_bytes 9223372036854775807",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
}

#[test]
fn openmetrics_names_units_and_has_an_end() {
    let text = text(Format::OpenMetrics);
    for line in [
        "# TYPE bakery_loaves counter",
        r#"bakery_loaves_total{flour="rye"} 7"#,
        "# UNIT bakery_heat_seconds seconds",
        "# UNIT bakery_flour_bytes bytes",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn the_client_chooses_the_format() {
    let protobuf =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    for (accept, format) in [
        ("", Format::Text),
        ("*/*", Format::Text),
        ("text/plain", Format::Text),
        ("application/openmetrics-text; version=1.0.0", Format::OpenMetrics),
        ("text/plain;q=0.5, application/openmetrics-text;q=0.9", Format::OpenMetrics),
        ("text/plain;q=0.9, application/openmetrics-text;q=0.5", Format::Text),
        ("text/plain, application/openmetrics-text", Format::OpenMetrics),
        ("application/openmetrics-text;q=0, text/plain;q=0.1", Format::Text),
        ("application/vnd.google.protobuf;q=1", Format::Text),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text),
    ] {
        assert_eq!(Format::accepted(accept), format, "{accept}");
    }
    let prometheus = format!("{protobuf};q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1");
    assert_eq!(Format::accepted(&prometheus), Format::Protobuf);
    let without_native = format!("application/openmetrics-text;version=1.0.0;q=0.6,{protobuf};q=0.5");
    assert_eq!(Format::accepted(&without_native), Format::OpenMetrics);
}
