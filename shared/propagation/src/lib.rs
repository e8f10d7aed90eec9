//! Traces across processes: W3C Trace Context (`traceparent`, `tracestate`) in and out of headers of any kind.
//!
//! A header map is two closures here, one that looks a name up and one that inserts, so that neither NATS nor HTTP
//! types are needed. Without tracing, both functions do nothing.

use std::marker::PhantomData;

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of spans that only traces are about. No log line stands in one, so nothing is made of them, at no cost,
/// unless something is traced.
pub const TRACES_ONLY: &str = "tidings::traces";

/// Makes `span` a child of the span that the headers name; without a valid `traceparent` it stays as it is.
///
/// Call it before the span is first entered: from then on its parent is fixed.
///
/// `lookup` gets a header's value by its lower-case name.
pub fn continue_trace<'headers>(span: &Span, lookup: impl Fn(&str) -> Option<&'headers str>) {
    if span.is_disabled() {
        return;
    }
    let parent = TraceContextPropagator::new().extract(&Lookup(lookup, PhantomData));
    if parent.span().span_context().is_valid() {
        // It fails only where nothing is traced, or where the span was entered before.
        let _ = span.set_parent(parent);
    }
}

/// Hands the headers that name `span` as parent to `insert`, with lower-case names.
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

    /// Trace Context asks for its headers by name.
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
