//! The expert of a mixture that every row uses, with its weights.
//!
//! Its output is added to that of the mixture, in some models after multiplication by a factor
//! between 0 and 1 that depends on the row: `y = σ(g·x) f(x)`. With `s = σ(g·x)` and the cotangent
//! `dy`: `dx = s Jᵀ dy + g s (1 − s) (f·dy)`.

use crate::error::Result;

use super::Cotangents;
use super::feed_forward::{FeedForward, Slopes};
use super::linear::Linear;
use crate::Error;
use crate::kernels::{Tensor, host, mixture, rows};
use crate::model::spec::{Activation, SharedExpertSpec};
use crate::model::weights::Checkpoint;

/// The shared expert with its weights.
#[derive(Debug)]
pub(super) struct SharedExpert {
    network: FeedForward,
    gate: Option<Linear>,
}

/// What the backward pass needs of the forward pass.
#[derive(Debug, Clone)]
pub(super) struct SharedTrace {
    slopes: Slopes,
    gated: Option<Gated>,
}

/// The factor of each row, and what it multiplies.
#[derive(Debug, Clone)]
struct Gated {
    factors: Vec<f64>,
    /// `[rows, hidden]`
    outputs: Tensor,
}

impl SharedExpert {
    /// Reads the weights of the network and its gate.
    pub(super) fn load(
        spec: &SharedExpertSpec,
        hidden: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let gate = spec.gate.as_ref();
        Ok(Self {
            network: FeedForward::load(&spec.network, hidden, checkpoint)?,
            gate: gate
                .map(|gate| Linear::load(&[(gate, 1)], hidden, checkpoint))
                .transpose()?,
        })
    }

    /// Returns what is added to the output of the mixture. `[rows, hidden]`
    pub(super) fn forward(&self, x: &Tensor) -> Result<(Tensor, SharedTrace)> {
        let (outputs, slopes) = self.network.forward(x)?;
        let Some(gate) = &self.gate else {
            let trace = SharedTrace {
                slopes,
                gated: None,
            };
            return Ok((outputs, trace));
        };
        let logits = host::download(&gate.forward(x)?)?;
        let factors: Vec<f64> = logits.into_iter().map(sigmoid).collect();
        let y = rows::scale_each(&outputs, &factors)?;
        let gated = Some(Gated { factors, outputs });
        Ok((y, SharedTrace { slopes, gated }))
    }

    /// Returns the network's nonlinearity.
    pub(super) fn activation(&self) -> Activation {
        self.network.activation()
    }

    /// Applies the rescale rule to the network if `reach` includes its nonlinearity. The factors
    /// stay unchanged. `[rows, hidden]` each
    pub(super) fn rescale(
        &self,
        trace: &mut SharedTrace,
        x: &Tensor,
        reference: &Tensor,
        reach: &dyn Fn(Activation) -> bool,
    ) -> Result<()> {
        if reach(self.network.activation()) {
            trace.slopes = self.network.secants(x, reference)?;
        }
        Ok(())
    }

    /// Pulls cotangents back to the input. `[cotangent rows, hidden]`
    pub(super) fn vjp(&self, saved: &SharedTrace, dy: &Cotangents) -> Result<Tensor> {
        let (Some(gate), Some(gated)) = (&self.gate, &saved.gated) else {
            return self.network.vjp_at(&saved.slopes, &dy.rows, &dy.saved_rows);
        };
        let factors: Vec<f64> = dy
            .saved_rows
            .iter()
            .map(|&row| gated.factors[row])
            .collect();
        let products = mixture::dot_rows(&dy.rows, &gated.outputs, &dy.saved_rows)?;
        let of_logit = |(s, product): (&f64, f64)| s * (1.0 - s) * product;
        let dlogits: Vec<f64> = factors.iter().zip(products).map(of_logit).collect();
        let shape = (dlogits.len(), 1);
        let dlogits = host::upload_as(dlogits, shape, dy.rows.dtype())?;
        let dy_scaled = rows::scale_each(&dy.rows, &factors)?;
        let through_network = self
            .network
            .vjp_at(&saved.slopes, &dy_scaled, &dy.saved_rows)?;
        rows::add(&through_network, &gate.vjp(&dlogits)?)
    }
}

fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}
