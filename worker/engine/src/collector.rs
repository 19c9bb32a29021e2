//! What a method records, step by step, from any thread.

use std::sync::Mutex;

use crate::Error;
use crate::aggregate::{Pipeline, RawScores, StepScores};
use crate::methods::Sink;

/// Aggregates steps as they come.
pub(crate) struct Collector<'p> {
    pipeline: &'p Pipeline,
    steps: Mutex<Vec<CollectedStep>>,
}

/// What a method recorded of one step.
#[derive(Debug, Clone, Default)]
pub(crate) struct CollectedStep {
    pub(crate) scores: Option<StepScores>,
    pub(crate) delta: Option<f64>,
}

impl<'p> Collector<'p> {
    pub(crate) fn new(pipeline: &'p Pipeline, steps: usize) -> Self {
        Self {
            pipeline,
            steps: Mutex::new(vec![CollectedStep::default(); steps]),
        }
    }

    pub(crate) fn into_steps(self) -> Vec<CollectedStep> {
        self.steps
            .into_inner()
            .expect("no thread panicked while it held the scores")
    }
}

impl Sink for Collector<'_> {
    fn record(&self, step: usize, raw: RawScores) -> Result<(), Error> {
        let scores = self.pipeline.apply(&raw)?;
        self.steps
            .lock()
            .expect("no thread panicked while it held the scores")[step]
            .scores = Some(scores);
        Ok(())
    }

    fn record_delta(&self, step: usize, delta: f64) -> Result<(), Error> {
        self.steps
            .lock()
            .expect("no thread panicked while it held the scores")[step]
            .delta = Some(delta);
        Ok(())
    }
}
