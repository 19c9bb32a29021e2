//! Scores of a stack's tokens for each other, as `attention` and `value_zeroing` record them.
//!
//! Inseq calls them `sequence_scores`. In the encoder, all tokens attend to each other, whatever is
//! explained. In the decoder, the row that predicts a token attends to the prefix. If the prefix is
//! attributed, that is the step's own score; if not, it is recorded here. For the decoder, Inseq
//! cuts out a square with as many tokens as there are steps. That equals what is recorded here if
//! the first token is explained too; otherwise Inseq's square is the wrong one.

use whence_schemas::Compat;

use crate::Error;
use crate::aggregate::RawSequenceScores;
use crate::batch::{Batch, ExplainedStep};
use crate::kernels::Tensor;
use crate::kernels::attention::QueryRow;
use crate::methods::method::{Sink, wrong_parameters};
use crate::model::Transformer;
use crate::sides::Side;

impl QueryRow {
    /// Returns the row that predicts the token of `step`, attending to the prefix.
    pub(in crate::methods) fn at_prefix(step: &ExplainedStep) -> Self {
        Self {
            sequence: step.explained.sequence,
            position: step.explained.position,
            tokens: step.explained.position + 1,
        }
    }

    /// Returns the row that predicts the token of `step`, attending to the source.
    pub(in crate::methods) fn at_source(step: &ExplainedStep) -> Self {
        Self {
            tokens: step.source_rows,
            ..Self::at_prefix(step)
        }
    }
}

/// Which stacks have their self scores recorded. `None` follows Inseq under `compat` and records
/// nothing otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::methods) struct SelfScores {
    /// The encoder's.
    pub(in crate::methods) encoder: Option<bool>,
    /// The decoder's, in models with an encoder if the prefix is not attributed.
    pub(in crate::methods) decoder: Option<bool>,
}

impl SelfScores {
    /// Returns whether any may be recorded.
    pub(in crate::methods) fn any(self, compat: Compat) -> bool {
        [self.encoder, self.decoder]
            .iter()
            .any(|given| given.unwrap_or(compat == Compat::Inseq071))
    }

    /// Fails if the scores of an encoder are requested but `model` has none; `method` is named in
    /// the error.
    pub(in crate::methods) fn check(self, model: &Transformer, method: &str) -> Result<(), Error> {
        if self.encoder != Some(true) || model.has_encoder() {
            return Ok(());
        }
        let reason = "`output_encoder_self_scores` needs a model with an encoder, and this one has \
                      none; leave it out, its tokens' scores for each other are those of the steps";
        Err(wrong_parameters(method, reason.to_owned()))
    }

    /// Computes the requested self scores and records them in `sink`, under the name `name(side)`.
    /// `scores(side, rows)` returns the scores of the query rows, one tensor `[tokens, …]` per row.
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

/// Returns the query rows of a stack, instance after instance.
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
