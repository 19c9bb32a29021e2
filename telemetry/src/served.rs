//! Makes the calls that a server answers a part of their callers' traces.

use std::task::{Context, Poll};

use tonic::codegen::http::Request;
use tower::{Layer, Service};
use tracing::instrument::{Instrument, Instrumented};
use tracing::{Span, debug_span};

use crate::propagation;

/// Gives each call that belongs to a trace a span. Calls that repeat all the time, such as heartbeats,
/// belong to none.
#[derive(Debug, Clone, Copy)]
pub struct ServedCalls;

impl<S> Layer<S> for ServedCalls {
    type Service = Served<S>;

    fn layer(&self, inner: S) -> Served<S> {
        Served { inner }
    }
}

/// A service behind [`ServedCalls`].
#[derive(Debug, Clone)]
pub struct Served<S> {
    inner: S,
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for Served<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = span_of(&request);
        let call = span.in_scope(|| self.inner.call(request));
        call.instrument(span)
    }
}

/// Returns the span of a call, or none if the call belongs to no trace.
fn span_of<B>(request: &Request<B>) -> Span {
    if !propagation::is_traced(request.headers()) {
        return Span::none();
    }
    let call = request.uri().path();
    let name = call.rsplit('/').next().unwrap_or(call);
    let span = debug_span!("call", otel.name = name, otel.kind = "server", call);
    propagation::follow_headers(&span, request.headers());
    span
}
