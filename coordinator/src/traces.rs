//! The traces in which jobs were submitted, so that the attempts at their slots belong to them.
//!
//! They are kept in memory alone: after a restart an attempt begins a trace of its own, in which it is
//! found by its job.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use tracing::info_span;
use whence_schemas::{JobId, WorkerId};
use whence_telemetry::propagation;

use crate::assignment::AttemptAt;

/// The trace of each job that was submitted in one.
#[derive(Debug, Default)]
pub(crate) struct Traces(Mutex<BTreeMap<JobId, String>>);

impl Traces {
    /// Records that the current span submitted `job`.
    pub(crate) fn submitted(&self, job: &JobId) {
        let trace = propagation::traceparent();
        if !trace.is_empty() {
            self.lock().entry(job.clone()).or_insert(trace);
        }
    }

    /// Records that an attempt was leased. Returns the trace that its worker continues; empty if there
    /// are no traces.
    pub(crate) fn leased(&self, at: &AttemptAt, worker: &WorkerId) -> String {
        let AttemptAt { job, slot, attempt } = at;
        let span = info_span!(parent: None, "lease", %job, %slot, %attempt, %worker);
        if let Some(trace) = self.lock().get(job) {
            propagation::follow(&span, trace);
        }
        span.in_scope(propagation::traceparent)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, String>> {
        self.0.lock().expect("no holder panics")
    }
}
