//! `dummy`: no attribution at all, for jobs that only want step scores.
//!
//! Cost: none; the step scores take one forward pass for the batch.

use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::method::{Method, Requirements, Sink};
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::Batch;
use crate::registry::Describe;

/// Attributes nothing.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Dummy {}

impl Describe for Dummy {
    const NAME: &'static str = "dummy";
    const SUMMARY: &'static str = "no attribution: step scores only";
}

impl Method for Dummy {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let nothing = |step| {
            let scores = RawScores {
                source: None,
                target: None,
            };
            sink.record(step, scores)
        };
        (0..batch.steps().len()).try_for_each(nothing)
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &[]
    }

    fn requirements(&self, _: Compat) -> Requirements<'_> {
        Requirements::PASSES
    }
}
