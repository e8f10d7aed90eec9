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

const TRACE_PARENT: &str = "traceparent";

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

/// Makes `span` a child of the span that a `traceparent` names, as [`continue_trace`] does.
pub fn continue_parent(span: &Span, parent: &str) {
    continue_trace(span, only(parent));
}

/// Calls `insert` with the headers that make `span` the parent. Their names are lower-case.
pub fn inject(span: &Span, insert: impl FnMut(&str, String)) {
    if span.is_disabled() {
        return;
    }
    TraceContextPropagator::new().inject_context(&span.context(), &mut Insert(insert));
}

/// The `traceparent` of a span that is sampled; `None` of any other, and if tracing is disabled.
#[must_use]
pub fn sampled_parent(span: &Span) -> Option<String> {
    let mut parent = None;
    inject(span, |name, value| {
        if name == TRACE_PARENT {
            parent = Some(value);
        }
    });
    parent.filter(|parent| is_sampled(parent))
}

/// Whether a `traceparent` says that its trace is sampled (W3C Trace Context, section 3.2.2.5).
#[must_use]
pub fn is_sampled(parent: &str) -> bool {
    let flags = parent.split('-').nth(3).and_then(|flags| u8::from_str_radix(flags, 16).ok());
    flags.is_some_and(|flags| flags & 1 == 1)
}

/// A number as spans take it: OpenTelemetry has signed ones alone, and others would become text.
pub fn number(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Links `span` to the span that a `traceparent` names, which may be of another trace.
pub fn link(span: &Span, parent: &str) {
    if span.is_disabled() {
        return;
    }
    let linked = TraceContextPropagator::new().extract(&Lookup(only(parent), PhantomData));
    span.add_link(linked.span().span_context().clone());
}

/// Headers that have a `traceparent` and nothing else.
fn only<'parent>(parent: &'parent str) -> impl Fn(&str) -> Option<&'parent str> {
    move |name| (name == TRACE_PARENT).then_some(parent)
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
