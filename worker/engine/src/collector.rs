//! Collects what a method records per step and per instance, from any thread.

use std::sync::Mutex;

use crate::aggregate::{Pipeline, RawScores, RawSequenceScores, StepScores};
use crate::methods::{MethodScore, Sink};
use crate::{Error, SequenceScores};

/// Aggregates the scores of each step as soon as they arrive, so that raw scores are never kept.
pub(crate) struct Collector<'p> {
    pipeline: &'p Pipeline,
    steps: Mutex<Vec<CollectedStep>>,
    sequences: Mutex<Vec<Vec<SequenceScores>>>,
}

/// What a method recorded of one step.
#[derive(Debug, Clone, Default)]
pub(crate) struct CollectedStep {
    pub(crate) scores: Option<StepScores>,
    /// The method's own scores, in the order they were recorded.
    pub(crate) of_method: Vec<(MethodScore, f64)>,
}

impl CollectedStep {
    /// Returns the value of one of the method's own scores, if it was recorded.
    pub(crate) fn value_of(&self, score: MethodScore) -> Option<f64> {
        let mut recorded = self.of_method.iter();
        recorded.find_map(|(known, value)| (*known == score).then_some(*value))
    }
}

impl<'p> Collector<'p> {
    /// Returns a collector for `steps` steps of `instances` instances.
    pub(crate) fn new(pipeline: &'p Pipeline, steps: usize, instances: usize) -> Self {
        Self {
            sequences: Mutex::new(vec![Vec::new(); instances]),
            pipeline,
            steps: Mutex::new(vec![CollectedStep::default(); steps]),
        }
    }

    /// Returns everything that was recorded: one entry per step, and per instance its sequence
    /// scores sorted by name.
    pub(crate) fn into_parts(self) -> (Vec<CollectedStep>, Vec<Vec<SequenceScores>>) {
        const UNPOISONED: &str = "no thread panicked while it held the scores";
        let mut sequences = self.sequences.into_inner().expect(UNPOISONED);
        for of_instance in &mut sequences {
            // Methods may record from several threads, so the order of arrival is not reproducible.
            of_instance.sort_by(|a, b| a.name.cmp(&b.name));
        }
        (self.steps.into_inner().expect(UNPOISONED), sequences)
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

    fn record_step_score(&self, step: usize, score: MethodScore, value: f64) -> Result<(), Error> {
        self.steps
            .lock()
            .expect("no thread panicked while it held the scores")[step]
            .of_method
            .push((score, value));
        Ok(())
    }

    fn record_sequence(&self, instance: usize, raw: RawSequenceScores) -> Result<(), Error> {
        let scores = self.pipeline.apply_to_sequence(&raw)?;
        self.sequences
            .lock()
            .expect("no thread panicked while it held the scores")[instance]
            .push(scores);
        Ok(())
    }
}
