//! Cross-attention with its weights: the decoder's rows attend to the encoder's output.

use crate::error::Result;

use super::linear::Linear;
use super::mixing::{HeadsRead, Mixing};
use super::row_context::RowContext;
use super::{Cotangents, EncoderOutput};
use crate::Error;
use crate::kernels::attention::{AttentionTrace, Columns, Projections};
use crate::kernels::{Tensor, rows};
use crate::model::dropout::Masks;
use crate::model::spec::AttentionSpec;
use crate::model::weights::Checkpoint;

/// Attention of the decoder's rows to the encoder's output.
#[derive(Debug)]
pub(in crate::model) struct CrossAttention {
    query: Linear,
    /// Key and value projections, stacked into one map.
    keys_and_values: Linear,
    pub(super) mixing: Mixing,
}

/// Cotangents of the encoder's output, summed over the cross-attentions pulled through so far.
#[derive(Debug, Default)]
pub(in crate::model) struct MemoryCotangents {
    /// Rows of the whole source, for each explained token. `[cotangent source rows, hidden]`
    pub(in crate::model) rows: Option<Tensor>,
}

impl CrossAttention {
    /// Reads the attention's weights.
    pub(super) fn load(
        spec: &AttentionSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let (width, kv_width) = (spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim);
        Ok(Self {
            query: Linear::load(&[(&spec.query, width)], hidden, checkpoint)?,
            keys_and_values: Linear::load(
                &[(&spec.key, kv_width), (&spec.value, kv_width)],
                hidden,
                checkpoint,
            )?,
            mixing: Mixing::load(spec, hidden, checkpoint)?,
        })
    }

    /// Attends from each row to the source of its sequence. With `past`, the source's keys and
    /// values are taken from an earlier pass. `[rows, hidden]`
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rows: &RowContext<'_>,
        (memory, past): (&EncoderOutput, Option<&AttentionTrace>),
        masks: &mut Masks<'_>,
    ) -> Result<(Tensor, AttentionTrace)> {
        let queries = Columns {
            rows: self.query.forward(x)?,
            column: 0,
        };
        let (keys, values, key_rows) = if let Some(past) = past {
            let key_rows: Vec<_> = past
                .sequences
                .iter()
                .map(|sequence| sequence.keys.clone())
                .collect();
            (past.keys.clone(), past.values.clone(), key_rows)
        } else {
            let projected = self.keys_and_values.forward(&memory.rows)?;
            let (_, kv_width) = self.mixing.widths();
            let [keys, values] = [0, kv_width].map(|column| Columns {
                rows: projected.clone(),
                column,
            });
            (keys, values, memory.sequences.iter().collect())
        };
        let read = HeadsRead {
            projections: Projections {
                queries,
                keys,
                values,
            },
            key_rows,
            bias: None,
        };
        self.mixing.forward(read, rows, masks)
    }

    /// Pulls cotangents back to the decoder's rows, and adds those of the encoder's output to
    /// `memory`.
    pub(super) fn vjp(
        &self,
        saved: &AttentionTrace,
        dy: &Cotangents,
        memory: &mut MemoryCotangents,
    ) -> Result<Cotangents> {
        let pulled = self.mixing.vjp(saved, dy)?;
        let source = self.keys_and_values.vjp(&pulled.keys_and_values)?;
        memory.rows = Some(match memory.rows.take() {
            None => source,
            Some(sum) => rows::add(&sum, &source)?,
        });
        Ok(dy.with_rows(self.query.vjp(&pulled.queries)?))
    }
}
