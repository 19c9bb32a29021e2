//! Starts the logs and the traces of a process.

use std::time::Duration;

use opentelemetry::global;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::format::LogFormat;
use crate::otlp::{self, TelemetryError};

/// How long the end of a process waits for the collector to take the last spans.
const LAST_SENT_WITHIN: Duration = Duration::from_secs(1);

/// What is logged, and under which name traces are sent.
#[derive(Debug)]
pub struct Settings<W> {
    /// Name of the service in traces, such as `whence-worker`.
    pub service: &'static str,
    /// What is logged unless `RUST_LOG` says otherwise, such as `info`.
    pub level: &'static str,
    /// Where logs go.
    pub writer: W,
    /// Whether text is in color.
    pub is_colored: bool,
}

/// The running exporter of traces, if there is one. Sends what is left when it is dropped.
#[derive(Debug)]
#[must_use = "traces are sent until this is dropped"]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Drop for Telemetry {
    fn drop(&mut self) {
        if let Some(provider) = &self.0 {
            // What a collector that does not answer loses is not worth a message.
            let _ = provider.shutdown_with_timeout(LAST_SENT_WITHIN);
        }
    }
}

/// Starts logging, and sending traces if the environment names a collector. Called once per process,
/// within the runtime.
///
/// Fails if a variable asks for what does not exist.
pub fn start<W>(settings: Settings<W>) -> Result<Telemetry, TelemetryError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let format = LogFormat::from_environment().map_err(TelemetryError::Format)?;
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let provider = otlp::provider(settings.service, &set)?;
    let traces = provider.as_ref().map(|provider| {
        global::set_text_map_propagator(TraceContextPropagator::new());
        let tracer = provider.tracer("whence");
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        // Of the libraries' spans, those of the exporter itself would be sent for ever.
        let ours = Targets::new().with_target("whence", tracing::Level::DEBUG);
        layer.with_filter(ours)
    });
    tracing_subscriber::registry()
        .with(logs(settings, format))
        .with(traces)
        .init();
    Ok(Telemetry(provider))
}

/// Returns the layer that writes the logs.
fn logs<W>(settings: Settings<W>, format: LogFormat) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| settings.level.into());
    match format {
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_writer(settings.writer)
            .with_ansi(settings.is_colored)
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => json(settings.writer).with_filter(filter).boxed(),
    }
}

/// Returns a layer that writes one JSON object per event, with the fields of the spans around it.
fn json<W>(writer: W) -> impl Layer<Registry> + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(true)
        .with_writer(writer)
}
