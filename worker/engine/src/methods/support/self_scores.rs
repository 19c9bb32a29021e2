//! Tokens that look at tokens of their own stack: what `attention` and `value_zeroing` record of them.
//!
//! Inseq calls it `sequence_scores`. The encoder's tokens look at each other whatever is explained;
//! in the decoder, the row that predicts a token looks at the prefix, which is the step's own score
//! where the prefix is attributed, and recorded here where it is not. Inseq cuts a square of as many
//! tokens as there are steps out of the decoder's, which is what is recorded here where the first
//! token is explained too, and otherwise the wrong one.

use candle_core::Tensor;
use whence_schemas::Compat;

use crate::Error;
use crate::aggregate::RawSequenceScores;
use crate::batch::{Batch, ExplainedStep};
use crate::kernels::attention::QueryRow;
use crate::methods::method::{Sink, wrong_parameters};
use crate::model::Transformer;
use crate::sides::Side;

impl QueryRow {
    /// Returns the row that predicts the token of `step`, looking at the prefix.
    pub(in crate::methods) fn at_prefix(step: &ExplainedStep) -> Self {
        Self {
            sequence: step.explained.sequence,
            position: step.explained.position,
            tokens: step.explained.position + 1,
        }
    }

    /// Returns the row that predicts the token of `step`, looking at the source.
    pub(in crate::methods) fn at_source(step: &ExplainedStep) -> Self {
        Self {
            tokens: step.source_rows,
            ..Self::at_prefix(step)
        }
    }
}

/// Which stacks' self scores are recorded; as Inseq does, under `compat`, where it is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::methods) struct SelfScores {
    /// Of the encoder.
    pub(in crate::methods) encoder: Option<bool>,
    /// Of the decoder, in models with an encoder and where the prefix is not attributed.
    pub(in crate::methods) decoder: Option<bool>,
}

impl SelfScores {
    /// Returns whether any are recorded.
    pub(in crate::methods) fn any(self, compat: Compat) -> bool {
        [self.encoder, self.decoder]
            .iter()
            .any(|given| given.unwrap_or(compat == Compat::Inseq071))
    }

    /// Fails if `method` is asked for scores of an encoder that `model` does not have.
    pub(in crate::methods) fn check(self, model: &Transformer, method: &str) -> Result<(), Error> {
        if self.encoder != Some(true) || model.has_encoder() {
            return Ok(());
        }
        let reason = "`output_encoder_self_scores` needs a model with an encoder, and this one has \
                      none; leave it out, its tokens' scores for each other are those of the steps";
        Err(wrong_parameters(method, reason.to_owned()))
    }

    /// Hands the self scores that are wanted to `sink`: those that `scores(side, rows)` returns for
    /// the rows that look, `[tokens, …]` each, under the name `name(side)`.
    pub(in crate::methods) fn record(
        self,
        batch: &Batch<'_>,
        sink: &dyn Sink,
        name: impl Fn(Side) -> &'static str,
        scores: impl Fn(Side, &[QueryRow]) -> Result<Vec<Tensor>, Error>,
    ) -> Result<(), Error> {
        let by_default = batch.function.compat == Compat::Inseq071;
        let wanted = |given: Option<bool>| given.unwrap_or(by_default) && batch.model.has_encoder();
        let mut sides = Vec::new();
        if wanted(self.encoder) {
            sides.push(Side::Source);
        }
        if wanted(self.decoder) && !batch.attributes_target() {
            sides.push(Side::Target);
        }
        for side in sides {
            let rows = query_rows(batch, side);
            let mut scores = scores(side, &rows)?.into_iter();
            for rows in rows.chunk_by(|a, b| a.sequence == b.sequence) {
                let instance = rows[0].sequence;
                let columns = scores.by_ref().take(rows.len()).collect();
                let name = name(side);
                sink.record_sequence(
                    instance,
                    RawSequenceScores {
                        name,
                        side,
                        columns,
                    },
                )?;
            }
        }
        Ok(())
    }
}

/// Returns the rows that look at their own stack, instance after instance.
fn query_rows(batch: &Batch<'_>, side: Side) -> Vec<QueryRow> {
    match side {
        Side::Source => {
            let lengths = batch.instances.iter().map(|instance| instance.source.len());
            let of_instance = |(sequence, tokens)| {
                (0..tokens).map(move |position| QueryRow {
                    sequence,
                    position,
                    tokens,
                })
            };
            lengths.enumerate().flat_map(of_instance).collect()
        }
        Side::Target => {
            let steps = batch.steps();
            steps.iter().map(QueryRow::at_prefix).collect()
        }
    }
}
