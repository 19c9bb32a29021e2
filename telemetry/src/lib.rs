//! What every program says about itself: logs on standard error, and traces over OTLP.
//!
//! [`start`] sets up both, once per process. [`propagation`] carries the trace of a call from one
//! process to the next, so that submitting, leasing, attributing and committing are one trace.
//!
//! What must stay true: nothing is sent anywhere unless an `OTEL_…` variable names an endpoint, and a
//! collector that does not answer never slows or ends the work. It holds up the end of a process by a
//! second at most.

mod format;
mod otlp;
pub mod propagation;
mod served;
mod start;

pub use format::LogFormat;
pub use otlp::TelemetryError;
pub use served::{Served, ServedCalls};
pub use start::{Settings, Telemetry, start};
