//! Attention with its weights, over the stack's own rows or over the encoder's output.

use candle_core::Tensor;

use crate::error::Result;

use super::linear::Linear;
use super::{Cotangents, Memory};
use crate::Error;
use crate::kernels::attention::{self, Attended, Columns, Heads, SeedQueries};
use crate::kernels::rotary::{Direction, Rotation};
use crate::kernels::rows;
use crate::model::sequences::Sequences;
use crate::model::spec::AttentionSpec;
use crate::model::weights::Checkpoint;

/// The rows a self-attention meets.
pub(in crate::model) struct Rows<'a> {
    pub(in crate::model) sequences: &'a Sequences,
    /// Position of each row in its sequence, those of an earlier pass counted.
    pub(in crate::model) positions: &'a [usize],
    pub(in crate::model) rotation: Option<&'a Rotation>,
}

/// Attention over the stack's own rows.
#[derive(Debug)]
pub(in crate::model) struct SelfAttention {
    heads: Heads,
    /// Query, key and value projection, stacked.
    project: Linear,
    output: Linear,
}

impl SelfAttention {
    /// Reads the attention's weights.
    pub(super) fn load(
        spec: &AttentionSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let (width, kv_width) = (spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim);
        let parts = [
            (&spec.query, width),
            (&spec.key, kv_width),
            (&spec.value, kv_width),
        ];
        Ok(Self {
            heads: heads(spec),
            project: Linear::load(&parts, hidden, checkpoint)?,
            output: Linear::load(&[(&spec.output, hidden)], width, checkpoint)?,
        })
    }

    /// Attends from each row to the rows of its sequence. With `past`, what an earlier pass over the
    /// beginnings of the same sequences kept, those are attended to as well. `[rows, hidden]`
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rows: &Rows<'_>,
        past: Option<&Attended>,
    ) -> Result<(Tensor, Attended)> {
        let mut projected = self.project.forward(x)?;
        if let Some(rotation) = rows.rotation {
            let turned = self.heads.queries + self.heads.keys;
            projected = rotation.apply(&projected, turned, rows.positions, Direction::Forward)?;
        }
        let (width, kv_width) = self.widths();
        let queries = Columns {
            rows: projected.clone(),
            column: 0,
        };
        let (keys, first_key, key_sequences) = match past {
            None => (projected, width, rows.sequences.clone()),
            Some(past) => {
                let new = projected.narrow(1, width, 2 * kv_width)?.contiguous()?;
                let (keys, sequences) = append(past, &new, rows.sequences, kv_width)?;
                (keys, 0, sequences)
            }
        };
        let (sequences, _) =
            attention::lay_out(self.heads, rows.sequences.iter().zip(key_sequences.iter()));
        let values = Columns {
            rows: keys.clone(),
            column: first_key + kv_width,
        };
        let keys = Columns {
            rows: keys,
            column: first_key,
        };
        let (mixed, saved) = attention::forward(self.heads, queries, keys, values, sequences)?;
        Ok((self.output.forward(&mixed)?, saved))
    }

    /// Pulls cotangents back; seeds come back with rows for every position they depend on.
    pub(super) fn vjp(
        &self,
        saved: &Attended,
        dy: &Cotangents,
        rows: &Rows<'_>,
    ) -> Result<Cotangents> {
        let dmixed = self.output.vjp(&dy.rows)?;
        let pulled = attention::vjp(saved, &dy.seeds, &dmixed)?;
        let wider = self.seeds_of_keys(saved, &dy.seeds);
        let (mut dq, mut dkv) = (pulled.queries, pulled.keys_and_values);
        let keys = Cotangents::new(wider, rows.sequences, dkv.clone());
        if let Some(rotation) = rows.rotation {
            let positions = |saved_rows: &[usize]| -> Vec<_> {
                saved_rows.iter().map(|&r| rows.positions[r]).collect()
            };
            dq = rotation.apply(
                &dq,
                self.heads.queries,
                &positions(&dy.saved_rows),
                Direction::Backward,
            )?;
            dkv = rotation.apply(
                &dkv,
                self.heads.keys,
                &positions(&keys.saved_rows),
                Direction::Backward,
            )?;
        }
        let (width, kv_width) = self.widths();
        let through_keys = keys.with_rows(self.project.vjp_of(&dkv, width..width + 2 * kv_width)?);
        let through_queries = dy.with_rows(self.project.vjp_of(&dq, 0..width)?);
        through_keys.add(&through_queries)
    }

    fn seeds_of_keys(&self, saved: &Attended, seeds: &[SeedQueries]) -> Vec<SeedQueries> {
        let widen = |seed: &SeedQueries| {
            let keys = attention::num_key_rows(self.heads, &saved.sequences[seed.sequence], seed);
            SeedQueries {
                sequence: seed.sequence,
                positions: 0..keys,
            }
        };
        seeds.iter().map(widen).collect()
    }

    fn widths(&self) -> (usize, usize) {
        (
            self.heads.queries * self.heads.dim,
            self.heads.keys * self.heads.dim,
        )
    }
}

/// Returns keys and values side by side, each sequence's earlier ones before its new ones.
fn append(
    past: &Attended,
    new: &Tensor,
    new_rows: &Sequences,
    kv_width: usize,
) -> Result<(Tensor, Sequences)> {
    let earlier = past
        .keys
        .rows
        .narrow(1, past.keys.column, 2 * kv_width)?
        .contiguous()?;
    let num_earlier = earlier.dim(0)?;
    let all = Tensor::cat(&[&earlier, new], 0)?;
    let order: Vec<usize> = (past.sequences.iter().zip(new_rows.iter()))
        .flat_map(|(earlier, new)| {
            earlier
                .keys
                .clone()
                .chain(new.start + num_earlier..new.end + num_earlier)
        })
        .collect();
    let lengths = past
        .sequences
        .iter()
        .zip(new_rows.lengths())
        .map(|(earlier, new)| earlier.keys.len() + new);
    Ok((rows::gather(&all, &order)?, Sequences::of_lengths(lengths)))
}

/// Attention over the encoder's output.
#[derive(Debug)]
pub(in crate::model) struct CrossAttention {
    heads: Heads,
    query: Linear,
    /// Key and value projection, stacked.
    keys_and_values: Linear,
    output: Linear,
}

/// Cotangents of the encoder's output, summed over the cross-attentions met so far.
#[derive(Debug, Default)]
pub(in crate::model) struct MemoryCotangents {
    /// For each seed the rows of its whole source. `[seed source rows, hidden]`
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
            heads: heads(spec),
            query: Linear::load(&[(&spec.query, width)], hidden, checkpoint)?,
            keys_and_values: Linear::load(
                &[(&spec.key, kv_width), (&spec.value, kv_width)],
                hidden,
                checkpoint,
            )?,
            output: Linear::load(&[(&spec.output, hidden)], width, checkpoint)?,
        })
    }

    /// Attends from each row to the source of its sequence. `past` spares projecting the source
    /// again. `[rows, hidden]`
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rows: &Rows<'_>,
        memory: &Memory,
        past: Option<&Attended>,
    ) -> Result<(Tensor, Attended)> {
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
            let values = Columns {
                rows: projected.clone(),
                column: self.heads.keys * self.heads.dim,
            };
            (
                Columns {
                    rows: projected,
                    column: 0,
                },
                values,
                memory.sequences.iter().collect(),
            )
        };
        let (sequences, _) = attention::lay_out(self.heads, rows.sequences.iter().zip(key_rows));
        let (mixed, saved) = attention::forward(self.heads, queries, keys, values, sequences)?;
        Ok((self.output.forward(&mixed)?, saved))
    }

    /// Pulls cotangents back to the decoder's rows, and adds those of the encoder's to `memory`.
    pub(super) fn vjp(
        &self,
        saved: &Attended,
        dy: &Cotangents,
        memory: &mut MemoryCotangents,
    ) -> Result<Cotangents> {
        let dmixed = self.output.vjp(&dy.rows)?;
        let pulled = attention::vjp(saved, &dy.seeds, &dmixed)?;
        let source = self.keys_and_values.vjp(&pulled.keys_and_values)?;
        memory.rows = Some(match memory.rows.take() {
            None => source,
            Some(sum) => rows::add(&sum, &source)?,
        });
        Ok(dy.with_rows(self.query.vjp(&pulled.queries)?))
    }
}

fn heads(spec: &AttentionSpec) -> Heads {
    let AttentionSpec {
        heads: queries,
        kv_heads: keys,
        head_dim: dim,
        scale,
        causal,
        ..
    } = *spec;
    Heads {
        queries,
        keys,
        dim,
        scale,
        causal,
    }
}
