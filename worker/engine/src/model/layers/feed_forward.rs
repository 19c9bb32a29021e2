//! A feed-forward network with its weights.

use crate::error::Result;

use super::Cotangents;
use super::linear::Linear;
use super::row_context::RowContext;
use crate::Error;
use crate::kernels::{RowIndex, Tensor, activation, rows};
use crate::model::dropout::Masks;
use crate::model::spec::{Activation, FeedForwardSpec, Gate};
use crate::model::weights::Checkpoint;

/// A feed-forward network with its weights.
#[derive(Debug)]
pub(in crate::model) struct FeedForward {
    /// Projection into the hidden layer; gate and up projections, stacked, if there is a gate.
    up: Linear,
    down: Linear,
    activation: Activation,
    is_gated: bool,
}

/// The derivatives of the inner values with respect to the up projection's outputs.
/// `[rows, inner]`, twice as wide if there is a gate
#[derive(Debug, Clone)]
pub(in crate::model) struct Slopes(Tensor);

impl FeedForward {
    /// Reads the network's weights.
    pub(super) fn load(
        spec: &FeedForwardSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let up = match &spec.gate {
            Gate::Plain { up } => Linear::load(&[(up, spec.inner)], hidden, checkpoint)?,
            Gate::Gated { gate, up } => {
                Linear::load(&[(gate, spec.inner), (up, spec.inner)], hidden, checkpoint)?
            }
        };
        let down = Linear::load(&[(&spec.down, hidden)], spec.inner, checkpoint)?;
        let is_gated = matches!(spec.gate, Gate::Gated { .. });
        Ok(Self {
            up,
            down,
            activation: spec.activation,
            is_gated,
        })
    }

    /// Applies the network to each row. `[rows, hidden]`
    pub(super) fn forward(&self, x: &Tensor) -> Result<(Tensor, Slopes)> {
        let (inner, slopes) = self.inner(x)?;
        Ok((self.down.forward(&inner)?, Slopes(slopes)))
    }

    /// As [`Self::forward`], with dropout masks on the inner values. `[rows, hidden]`
    pub(super) fn forward_masked(
        &self,
        x: &Tensor,
        RowContext { sequences, .. }: &RowContext<'_>,
        masks: &mut Masks<'_>,
    ) -> Result<(Tensor, Slopes)> {
        let (inner, slopes) = self.inner(x)?;
        let rate = masks.rates.activation;
        let Some(mask) = masks.draw_for_rows(&inner, sequences, rate)? else {
            return Ok((self.down.forward(&inner)?, Slopes(slopes)));
        };
        // The mask of an inner value scales both of its slopes: that of the gate and that of the
        // gated value.
        let of_slopes = if self.is_gated {
            Tensor::cat(&[&mask, &mask], 1)?
        } else {
            mask.clone()
        };
        let y = self.down.forward(&rows::multiply(&inner, &mask)?)?;
        Ok((y, Slopes(rows::multiply(&slopes, &of_slopes)?)))
    }

    /// Returns the inner values and their slopes. `[rows, inner]`
    fn inner(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let z = self.up.forward(x)?;
        if self.is_gated {
            activation::gated(&z, self.activation)
        } else {
            activation::plain(&z, self.activation)
        }
    }

    /// Returns the network's nonlinearity.
    pub(super) fn activation(&self) -> Activation {
        self.activation
    }

    /// Returns slopes for the rescale rule: those of the line from the values for `reference` to
    /// the values for `x`. `[rows, hidden]` each.
    pub(super) fn secants(&self, x: &Tensor, reference: &Tensor) -> Result<Slopes> {
        let (z, reference) = (self.up.forward(x)?, self.up.forward(reference)?);
        let secants = activation::secants(&z, &reference, self.activation, self.is_gated)?;
        Ok(Slopes(secants))
    }

    /// Pulls cotangents of the network's output back to its input.
    pub(super) fn vjp(&self, saved: &Slopes, dy: &Cotangents) -> Result<Cotangents> {
        Ok(dy.with_rows(self.vjp_at(saved, &dy.rows, &dy.saved_rows)?))
    }

    /// As [`Self::vjp`], for plain rows: row `i` belongs to row `saved_rows[i]` of the forward
    /// pass.
    /// `[cotangent rows, hidden]`
    pub(super) fn vjp_at(
        &self,
        saved: &Slopes,
        dy: &Tensor,
        saved_rows: &RowIndex,
    ) -> Result<Tensor> {
        let inner = self.down.vjp(dy)?;
        let dz = activation::vjp(&inner, &saved.0, saved_rows)?;
        self.up.vjp(&dz)
    }
}
