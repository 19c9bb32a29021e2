//! `sequential_integrated_gradients`: integrated gradients of one token at a time.
//!
//! `A_i = (x_i − b_i) ⊙ ∫₀¹ ∂F/∂x_i (x_1, …, b_i + α (x_i − b_i), …, x_t) dα`: token i moves from
//! its baseline to its embedding while all others stay at their embeddings. Source: Enguehard 2023,
//! <https://arxiv.org/abs/2305.15853>. A token that is its own baseline scores 0.
//!
//! In a decoder, only the rows from i on change with token i. They reuse the keys and values of the
//! unchanged pass before it, one pass per point serves every later step, and only row i of its
//! gradient is needed. A moving source token takes a pass of both stacks. Cost: `n_steps` forward
//! passes per token, over the rows from it on, and as many backward passes per token and step.
//!
//! When both sides are attributed, Inseq requires the source to be as long as the prefix; we do
//! not. The convergence delta is relative to all tokens at their baselines at once, as in Inseq.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use whence_schemas::Compat;

use super::method::{HeldPasses, Method, Requirements, Sink};
use super::support::path::{PathEndpoints, total};
use super::support::quadrature::{Node, Rule};
use super::support::tokens::multiply;
use super::support::variants::{Unchanged, Variant};
use crate::Error;
use crate::aggregate::RawScores;
use crate::batch::{Batch, ExplainedStep};
use crate::gradient;
use crate::kernels::{Tensor, host, rows};
use crate::model::{Embedded, Wanted};
use crate::registry::Describe;
use crate::sides::Side;

/// Integrated gradients of one token at a time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct SequentialIntegratedGradients {
    /// Number of points.
    pub n_steps: usize,
    /// How the integral is approximated.
    pub method: Rule,
    /// Multiply by the difference from the baseline.
    pub multiply_by_inputs: bool,
    /// Record the convergence delta of each step.
    pub return_convergence_delta: bool,
}

impl Default for SequentialIntegratedGradients {
    fn default() -> Self {
        Self {
            n_steps: 50,
            method: Rule::GaussLegendre,
            multiply_by_inputs: true,
            return_convergence_delta: false,
        }
    }
}

impl Describe for SequentialIntegratedGradients {
    const NAME: &'static str = "sequential_integrated_gradients";
    const SUMMARY: &'static str =
        "integrated gradients of one token at a time, the others where they are";
}

impl Method for SequentialIntegratedGradients {
    fn attribute(&self, batch: &Batch<'_>, sink: &dyn Sink) -> Result<(), Error> {
        let walk = Walk {
            method: self,
            batch,
            nodes: self.method.points(self.n_steps),
            ends: PathEndpoints::new(batch)?,
            unchanged: Unchanged::new(batch)?,
        };
        let source = match (batch.model.has_encoder(), &walk.ends.input.source) {
            (true, Some(source)) => Some(walk.rows(Side::Source, source)?),
            _ => None,
        };
        let target = if batch.attributes_target() {
            Some(walk.rows(Side::Target, &walk.ends.input.target)?)
        } else {
            None
        };
        let mut totals = Vec::new();
        for (index, step) in walk.ends.steps().iter().enumerate() {
            let scores = |rows: &Option<Vec<StepRows>>| {
                let rows = rows.as_ref().map(|rows| together(rows, index, step));
                rows.transpose()
            };
            let scores = RawScores {
                source: scores(&source)?,
                target: scores(&target)?,
            };
            totals.push(total(&scores)?);
            sink.record(index, scores)?;
        }
        if self.return_convergence_delta {
            walk.ends.record_deltas(&totals, sink)?;
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), String> {
        self.method.validate(self.n_steps)
    }

    fn default_aggregators(&self) -> &'static [&'static str] {
        &["vnorm"]
    }

    fn requirements(&self, _: Compat) -> Requirements<'_> {
        Requirements {
            held_passes: HeldPasses::OnePerLane,
            ..Requirements::GRADIENTS
        }
        .with_deltas(self.return_convergence_delta)
    }
}

/// The scores of one token, for all steps that see it.
struct StepRows {
    instance: usize,
    /// The steps, in order.
    steps: Vec<usize>,
    /// One row per step. `[steps, hidden]`
    rows: Tensor,
}

/// Returns the scores of all tokens that step number `index` sees. `[tokens, hidden]`
fn together(rows: &[StepRows], index: usize, step: &ExplainedStep) -> Result<Tensor, Error> {
    let own = rows
        .iter()
        .filter(|token| token.instance == step.explained.sequence);
    let of_token = |token: &StepRows| {
        let place = token.steps.binary_search(&index).ok()?;
        Some(token.rows.narrow(0, place, 1))
    };
    let rows = own.filter_map(of_token).collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::cat(&rows, 0)?)
}

/// What the paths of all tokens of a batch have in common.
struct Walk<'a> {
    method: &'a SequentialIntegratedGradients,
    batch: &'a Batch<'a>,
    nodes: Vec<Node>,
    ends: PathEndpoints<'a>,
    unchanged: Unchanged<'a>,
}

/// The token that moves.
#[derive(Debug, Clone, Copy)]
struct Walker {
    instance: usize,
    side: Side,
    position: usize,
}

impl Walk<'_> {
    /// Returns the scores of every token of a side, in order.
    fn rows(&self, side: Side, inputs: &Embedded) -> Result<Vec<StepRows>, Error> {
        let walkers: Vec<_> = (0..self.batch.instances.len())
            .flat_map(|instance| {
                let positions = 0..inputs.sequences.rows(instance).len();
                positions.map(move |position| Walker {
                    instance,
                    side,
                    position,
                })
            })
            .collect();
        walkers
            .into_par_iter()
            .map(|walker| self.token_rows(walker, inputs))
            .collect()
    }

    /// Returns the scores of one token.
    fn token_rows(&self, walker: Walker, inputs: &Embedded) -> Result<StepRows, Error> {
        let sees = |step: &ExplainedStep| {
            step.explained.sequence == walker.instance
                && (walker.side == Side::Source || step.explained.position >= walker.position)
        };
        let steps = self.ends.steps().iter().enumerate();
        let steps: Vec<_> = steps
            .filter(|(_, step)| sees(step))
            .map(|(index, _)| index)
            .collect();
        let instance = &self.batch.instances[walker.instance];
        let (ids, baseline) = match walker.side {
            Side::Source => (&instance.source, &instance.source_baseline),
            Side::Target => (&instance.target, &instance.target_baseline),
        };
        let hidden = inputs.rows.dim(1)?;
        let stays = ids[walker.position] == baseline[walker.position];
        // A token that is its own baseline has a zero factor in every score, so no pass is needed.
        let rows = if stays && self.method.multiply_by_inputs || steps.is_empty() {
            let shape = (steps.len(), hidden);
            host::zeros(shape, inputs.rows.dtype())?
        } else {
            self.integral(walker, &steps)?
        };
        Ok(StepRows {
            instance: walker.instance,
            steps,
            rows,
        })
    }

    /// Returns the integral of the token's gradient for each of `steps`. `[steps, hidden]`
    fn integral(&self, walker: Walker, steps: &[usize]) -> Result<Tensor, Error> {
        let at_once = self
            .unchanged
            .variants_at_once(&self.variant(walker, 0.0, steps)?);
        let mut sum: Option<Tensor> = None;
        for nodes in self.nodes.chunks(at_once) {
            let variants = nodes
                .iter()
                .map(|node| self.variant(walker, node.alpha, steps));
            let variants = variants.collect::<Result<Vec<_>, _>>()?;
            let gradients = self.gradients(walker, &variants)?;
            for (node, rows) in nodes.iter().zip(gradients) {
                sum = Some(rows::add_scaled(sum.as_ref(), &rows, node.weight)?);
            }
        }
        let Some(mut sum) = sum else {
            return Err(candle_core::Error::Msg("an integral without points".to_owned()).into());
        };
        if walker.side == Side::Target && self.batch.decoder_factor != 1.0 {
            sum = rows::scale(&sum, self.batch.decoder_factor)?;
        }
        if self.method.multiply_by_inputs {
            let [input, baseline] = self.token(walker)?;
            let distance = rows::subtract(&input, &baseline)?;
            let every_step = vec![0; sum.dim(0)?].into();
            return multiply(&rows::gather(&distance, &every_step)?, &sum);
        }
        Ok(sum)
    }

    /// Returns the moving token's row of each step's gradient, one tensor per variant.
    /// `[steps, hidden]`
    fn gradients(&self, walker: Walker, variants: &[Variant]) -> Result<Vec<Tensor>, Error> {
        let model = self.batch.model;
        let (pass, steps) = self.unchanged.pass(variants)?;
        let dhidden = gradient::at_hidden(self.batch, &pass, &steps, self.batch.function)?;
        let earlier = self.unchanged.earlier(&variants[0]);
        let mut rows = Vec::with_capacity(steps.len());
        for chunk in gradient::chunks(&steps, self.batch.sizes) {
            let dhidden = dhidden.select_steps(chunk.clone())?;
            let wanted = match walker.side {
                Side::Source => Wanted::Source,
                Side::Target => Wanted::Target,
            };
            let gradients = gradient::at_embeddings(model, &pass, &steps[chunk], &dhidden, wanted)?;
            for gradient in gradients {
                let (side, row) = match walker.side {
                    Side::Source => (gradient.source, walker.position),
                    Side::Target => (gradient.target, walker.position - earlier),
                };
                rows.extend(side.map(|side| side.narrow(0, row, 1)));
            }
        }
        let rows = rows.into_iter().collect::<Result<Vec<_>, _>>()?;
        let of_variant = rows.chunks(rows.len() / variants.len());
        let of_variant = of_variant.map(|rows| Ok(Tensor::cat(rows, 0)?));
        of_variant.collect()
    }

    /// Returns the instance with the token moved to `alpha` on its path: 0 is the baseline, 1 the
    /// embedding.
    fn variant(&self, walker: Walker, alpha: f64, steps: &[usize]) -> Result<Variant, Error> {
        let [input, baseline] = self.token(walker)?;
        let mut moving = rows::at_share_of_way(&baseline, &input, alpha)?;
        if walker.side == Side::Target && self.batch.decoder_factor != 1.0 {
            moving = rows::scale(&moving, self.batch.decoder_factor)?;
        }
        let place = (walker.side, walker.position);
        Ok(Variant {
            instance: walker.instance,
            change: self.unchanged.with_rows(walker.instance, place, &moving)?,
            steps: steps.to_vec(),
        })
    }

    /// Returns the token's embedding and its baseline's. `[1, hidden]` each.
    fn token(&self, walker: Walker) -> Result<[Tensor; 2], Error> {
        let row = |inputs: &crate::model::Inputs| -> Result<Tensor, Error> {
            let embedded = match (walker.side, &inputs.source) {
                (Side::Source, Some(source)) => source,
                _ => &inputs.target,
            };
            let first = embedded.sequences.rows(walker.instance).start;
            Ok(embedded.rows.narrow(0, first + walker.position, 1)?)
        };
        Ok([row(&self.ends.input)?, row(&self.ends.baseline)?])
    }
}
