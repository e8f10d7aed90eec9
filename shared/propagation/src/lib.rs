//! Propagates traces across processes: it reads W3C Trace Context (`traceparent`, `tracestate`) from headers of any
//! kind and writes it there.
//!
//! Two closures represent a header map, one for lookup and one for insertion, so that this crate needs no types of NATS
//! or HTTP. If tracing is disabled, both functions do nothing.

use std::marker::PhantomData;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of spans that only traces need. No log line is inside such a span, so the span is not created unless
/// tracing is enabled, and costs nothing otherwise.
pub const TRACES_ONLY: &str = "tidings::traces";

/// Makes `span` a child of the span in the headers. Without a valid `traceparent` it stays unchanged.
///
/// Call it before the span is first entered: its parent is fixed then.
///
/// `lookup` returns a header's value by its lower-case name.
pub fn continue_trace<'headers>(span: &Span, lookup: impl Fn(&str) -> Option<&'headers str>) {
    if span.is_disabled() {
        return;
    }
    let parent = TraceContextPropagator::new().extract(&Lookup(lookup, PhantomData));
    if parent.span().span_context().is_valid() {
        // It fails only if tracing is disabled, or if the span was entered before.
        let _ = span.set_parent(parent);
    }
}

/// Calls `insert` with the headers that make `span` the parent. Their names are lower-case.
pub fn inject(span: &Span, insert: impl FnMut(&str, String)) {
    if span.is_disabled() {
        return;
    }
    TraceContextPropagator::new().inject_context(&span.context(), &mut Insert(insert));
}

struct Lookup<'headers, F>(F, PhantomData<&'headers str>);

impl<'headers, F: Fn(&str) -> Option<&'headers str>> Extractor for Lookup<'headers, F> {
    fn get(&self, key: &str) -> Option<&str> {
        (self.0)(key)
    }

    /// Trace Context looks its headers up by name.
    fn keys(&self) -> Vec<&str> {
        Vec::new()
    }
}

struct Insert<F>(F);

impl<F: FnMut(&str, String)> Injector for Insert<F> {
    fn set(&mut self, key: &str, value: String) {
        (self.0)(key, value);
    }
}
