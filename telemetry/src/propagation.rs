//! Carries the trace of a call from one process to the next, in the header `traceparent` (W3C Trace
//! Context).
//!
//! Without an exporter, no span belongs to a trace. Then nothing is sent along, and what comes along is
//! ignored.

use std::collections::HashMap;

use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::{Context, global};
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};
use tonic::metadata::MetadataMap;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The header, and the name of the field in messages.
const TRACEPARENT: &str = "traceparent";

/// Adds the current span to the headers of a call.
pub fn inject(metadata: &mut MetadataMap) {
    struct Headers<'m>(&'m mut MetadataMap);

    impl Injector for Headers<'_> {
        fn set(&mut self, key: &str, value: String) {
            let name = HeaderName::try_from(key);
            let value = HeaderValue::try_from(value);
            if let (Ok(name), Ok(value)) = (name, value) {
                self.0.as_mut().insert(name, value);
            }
        }
    }

    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Headers(metadata));
    });
}

/// Returns whether a call with these headers belongs to a trace.
pub fn is_traced(headers: &HeaderMap) -> bool {
    headers.contains_key(TRACEPARENT)
}

/// Makes `span` a part of the trace that the headers of a call name, if they name one.
pub fn follow_headers(span: &Span, headers: &HeaderMap) {
    struct Headers<'h>(&'h HeaderMap);

    impl Extractor for Headers<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(HeaderName::as_str).collect()
        }
    }

    follow_extracted(span, &Headers(headers));
}

/// Returns the current span in the form of the header, for a message. Empty if it belongs to no trace.
pub fn traceparent() -> String {
    let mut carried = HashMap::new();
    let context = Span::current().context();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut carried));
    carried.remove(TRACEPARENT).unwrap_or_default()
}

/// Makes `span` a part of the trace that `traceparent` names. Ignores what is no such header.
pub fn follow(span: &Span, traceparent: &str) {
    let carried = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    follow_extracted(span, &carried);
}

fn follow_extracted(span: &Span, carried: &dyn Extractor) {
    use opentelemetry::trace::TraceContextExt;

    let parent: Context = global::get_text_map_propagator(|propagator| propagator.extract(carried));
    if parent.span().span_context().is_valid() {
        // Fails only without an exporter, where there is no trace to follow.
        let _ = span.set_parent(parent);
    }
}
