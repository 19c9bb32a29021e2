//! A mixture of feed-forward networks with its weights.
//!
//! The router gives each row a score for every expert; the row takes the few with the largest and
//! mixes their outputs with the softmax of those scores. (That is the softmax over all experts,
//! cut to the chosen ones and scaled to sum to 1.) As autograd does, the vector–Jacobian product
//! follows the mixing weights and the chosen experts; which experts are chosen is locally constant.
//!
//! With `y = Σ wₑ fₑ(x)` and cotangent dy: `dx = Σ wₑ Jₑᵀ dy + Rᵀ ds`, where R is the router's
//! weight and `dsₑ = wₑ (fₑ·dy − y·dy)`.

use candle_core::Tensor;

use crate::error::Result;

use super::Cotangents;
use super::feed_forward::{FeedForward, Slopes};
use super::linear::Linear;
use crate::Error;
use crate::kernels::mixture::{self, Choice};
use crate::kernels::rows;
use crate::model::spec::ExpertsSpec;
use crate::model::weights::Checkpoint;

/// A mixture of feed-forward networks with its weights.
#[derive(Debug)]
pub(in crate::model) struct Experts {
    router: Linear,
    networks: Vec<FeedForward>,
    num_chosen: usize,
}

/// What the backward pass needs of a mixture's forward pass.
#[derive(Debug, Clone)]
pub(in crate::model) struct Mixed {
    /// What each row chose.
    choice: Choice,
    /// One entry an expert.
    outputs: Vec<ExpertOutputs>,
}

/// What an expert made of the rows that chose it.
#[derive(Debug, Clone)]
struct ExpertOutputs {
    /// The rows, ascending.
    rows: Vec<usize>,
    /// `[rows, hidden]`
    outputs: Tensor,
    slopes: Slopes,
}

impl Experts {
    /// Reads the weights of router and networks.
    pub(super) fn load(
        spec: &ExpertsSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let networks = spec
            .experts
            .iter()
            .map(|expert| FeedForward::load(expert, hidden, checkpoint));
        Ok(Self {
            router: Linear::load(&[(&spec.router, spec.experts.len())], hidden, checkpoint)?,
            networks: networks.collect::<Result<_, _>>()?,
            num_chosen: spec.num_chosen,
        })
    }

    /// Applies to each row the networks it chooses. `[rows, hidden]`
    pub(super) fn forward(&self, x: &Tensor) -> Result<(Tensor, Mixed)> {
        let choice = mixture::choose(&self.router.forward(x)?, self.num_chosen)?;
        let mut outputs = Vec::with_capacity(self.networks.len());
        for (index, expert) in self.networks.iter().enumerate() {
            let rows = choice.rows_of(index);
            let (output, slopes) = expert.forward(&rows::gather(x, &rows)?)?;
            outputs.push(ExpertOutputs {
                rows,
                outputs: output,
                slopes,
            });
        }
        let mut y = x.zeros_like()?;
        for (index, expert) in outputs.iter().enumerate() {
            let weights = choice.weights_of(index, &expert.rows);
            let weighted = mixture::scale_rows(&expert.outputs, &weights)?;
            y = rows::add_at(&y, &weighted, &expert.rows)?;
        }
        Ok((y, Mixed { choice, outputs }))
    }

    /// Pulls cotangents back through the chosen networks and the router.
    pub(super) fn vjp(&self, saved: &Mixed, dy: &Cotangents) -> Result<Cotangents> {
        let (num_rows, num_experts) = (dy.saved_rows.len(), self.networks.len());
        let mut dweights = vec![0.0; num_rows * num_experts];
        let mut dx = dy.rows.zeros_like()?;
        for (index, (expert, outputs)) in self.networks.iter().zip(&saved.outputs).enumerate() {
            // Cotangent rows whose forward row chose this expert, and where that stands in it.
            let (own, places): (Vec<_>, Vec<_>) = dy
                .saved_rows
                .iter()
                .enumerate()
                .filter_map(|(row, saved_row)| {
                    Some((row, outputs.rows.binary_search(saved_row).ok()?))
                })
                .unzip();
            let dy_own = rows::gather(&dy.rows, &own)?;
            let products = mixture::dot_rows(&dy_own, &outputs.outputs, &places)?;
            for (&row, product) in own.iter().zip(products) {
                dweights[row * num_experts + index] = product;
            }
            let forward_rows: Vec<_> = own.iter().map(|&row| dy.saved_rows[row]).collect();
            let weights = saved.choice.weights_of(index, &forward_rows);
            let dy_own = mixture::scale_rows(&dy_own, &weights)?;
            let dx_own = expert.vjp_at(&outputs.slopes, &dy_own, &places)?;
            dx = rows::add_at(&dx, &dx_own, &own)?;
        }
        let dscores = saved.choice.vjp(&dweights, &dy.saved_rows, dx.dtype())?;
        Ok(dy.with_rows(rows::add(&dx, &self.router.vjp(&dscores)?)?))
    }
}
