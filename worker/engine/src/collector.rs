//! What a method records, step by step and sequence by sequence, from any thread.

use std::sync::Mutex;

use crate::aggregate::{Pipeline, RawScores, RawSequenceScores, StepScores};
use crate::methods::Sink;
use crate::{Error, SequenceScores};

/// Aggregates steps as they come.
pub(crate) struct Collector<'p> {
    pipeline: &'p Pipeline,
    steps: Mutex<Vec<CollectedStep>>,
    sequences: Mutex<Vec<Vec<SequenceScores>>>,
}

/// What a method recorded of one step.
#[derive(Debug, Clone, Default)]
pub(crate) struct CollectedStep {
    pub(crate) scores: Option<StepScores>,
    pub(crate) delta: Option<f64>,
}

impl<'p> Collector<'p> {
    /// Returns a collector for so many `steps` of so many `instances`.
    pub(crate) fn new(pipeline: &'p Pipeline, steps: usize, instances: usize) -> Self {
        Self {
            sequences: Mutex::new(vec![Vec::new(); instances]),
            pipeline,
            steps: Mutex::new(vec![CollectedStep::default(); steps]),
        }
    }

    /// Returns what was recorded: of every step, and of every instance, by name.
    pub(crate) fn into_parts(self) -> (Vec<CollectedStep>, Vec<Vec<SequenceScores>>) {
        const UNPOISONED: &str = "no thread panicked while it held the scores";
        let mut sequences = self.sequences.into_inner().expect(UNPOISONED);
        for of_instance in &mut sequences {
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

    fn record_delta(&self, step: usize, delta: f64) -> Result<(), Error> {
        self.steps
            .lock()
            .expect("no thread panicked while it held the scores")[step]
            .delta = Some(delta);
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
