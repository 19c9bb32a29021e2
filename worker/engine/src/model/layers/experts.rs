//! A mixture of experts with its weights.
//!
//! The router gives each row a logit for every expert. The row uses the few experts that rank
//! highest and mixes their outputs with weights that come from the logits (`kernels::mixture`). An
//! expert that all rows share may be added. As in autograd, the vector–Jacobian product goes through
//! the mixing weights and the chosen experts; the choice itself is locally constant.
//!
//! With `y = Σ wₑ fₑ(x)` and the cotangent `dy`: `dx = Σ wₑ Jₑᵀ dy + Rᵀ dz`, where `R` is the
//! router's weight and `dz` are the cotangents of the logits, which follow from `dwₑ = fₑ·dy`.

use crate::error::Result;

use super::Cotangents;
use super::feed_forward::{FeedForward, Slopes};
use super::linear::Linear;
use super::shared_expert::{SharedExpert, SharedTrace};
use crate::Error;
use crate::kernels::mixture::{self, ExpertChoice};
use crate::kernels::routing::Routing;
use crate::kernels::{RowIndex, Tensor, host, rows};
use crate::model::spec::{Activation, ExpertsSpec};
use crate::model::weights::Checkpoint;

/// A mixture of feed-forward networks with its weights.
#[derive(Debug)]
pub(in crate::model) struct Experts {
    router: Linear,
    networks: Vec<FeedForward>,
    routing: Routing,
    shared: Option<Box<SharedExpert>>,
}

/// What the backward pass needs of a mixture's forward pass.
#[derive(Debug, Clone)]
pub(in crate::model) struct Mixed {
    /// The experts that each row chose, and their mixing weights.
    choice: ExpertChoice,
    /// One entry per expert.
    outputs: Vec<ExpertOutputs>,
    shared: Option<SharedTrace>,
}

/// The output of one expert for the rows that chose it.
#[derive(Debug, Clone)]
struct ExpertOutputs {
    /// Indices of the rows, ascending.
    rows: RowIndex,
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
        let mut correction = None;
        if let Some(spec) = &spec.correction {
            let tensor = checkpoint.tensor(&spec.name, &spec.shape)?;
            correction = Some(host::download(&tensor.into())?);
        }
        let shared = spec.shared.as_ref();
        Ok(Self {
            router: Linear::load(&[(&spec.router, spec.experts.len())], hidden, checkpoint)?,
            networks: networks.collect::<Result<_, _>>()?,
            routing: Routing {
                spec: spec.routing,
                num_chosen: spec.num_chosen,
                correction,
            },
            shared: shared
                .map(|shared| SharedExpert::load(shared, hidden, checkpoint).map(Box::new))
                .transpose()?,
        })
    }

    /// Applies to each row the experts that it chooses. `[rows, hidden]`
    pub(super) fn forward(&self, x: &Tensor) -> Result<(Tensor, Mixed)> {
        let choice = mixture::choose(&self.router.forward(x)?, &self.routing)?;
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
            let weighted = rows::scale_each(&expert.outputs, &weights)?;
            y = rows::add_at(&y, &weighted, &expert.rows)?;
        }
        let mut shared = None;
        if let Some(expert) = &self.shared {
            let (output, trace) = expert.forward(x)?;
            (y, shared) = (rows::add(&y, &output)?, Some(trace));
        }
        let mixed = Mixed {
            choice,
            outputs,
            shared,
        };
        Ok((y, mixed))
    }

    /// Applies the rescale rule inside the experts: the slope of every nonlinearity that `reach`
    /// includes becomes that of the line from its value for a row of `reference` to its value for
    /// the same row of `x`. The choice of experts and the mixing weights stay unchanged.
    /// `[rows, hidden]` each
    pub(super) fn rescale(
        &self,
        mixed: &mut Mixed,
        x: &Tensor,
        reference: &Tensor,
        reach: &dyn Fn(Activation) -> bool,
    ) -> Result<()> {
        for (expert, outputs) in self.networks.iter().zip(&mut mixed.outputs) {
            if reach(expert.activation()) {
                let [x, reference] = [x, reference].map(|all| rows::gather(all, &outputs.rows));
                outputs.slopes = expert.secants(&x?, &reference?)?;
            }
        }
        if let (Some(expert), Some(trace)) = (&self.shared, &mut mixed.shared) {
            expert.rescale(trace, x, reference, reach)?;
        }
        Ok(())
    }

    /// Returns the nonlinearity of each expert.
    pub(super) fn activations(&self) -> impl Iterator<Item = Activation> {
        let shared = self.shared.as_deref().map(SharedExpert::activation);
        let networks = self.networks.iter().map(FeedForward::activation);
        networks.chain(shared)
    }

    /// Pulls cotangents back through the chosen experts, the router and the shared expert.
    pub(super) fn vjp(&self, saved: &Mixed, dy: &Cotangents) -> Result<Cotangents> {
        let (num_rows, num_experts) = (dy.saved_rows.len(), self.networks.len());
        let mut dweights = vec![0.0; num_rows * num_experts];
        let mut dx = dy.rows.zeros_like()?;
        for (index, (expert, outputs)) in self.networks.iter().zip(&saved.outputs).enumerate() {
            let (own, places) = outputs.cotangent_rows(&dy.saved_rows);
            let dy_own = rows::gather(&dy.rows, &own)?;
            // `fₑ·dy` of the formula at the top of this file, for the router's cotangents.
            let products = mixture::dot_rows(&dy_own, &outputs.outputs, &places)?;
            for (&row, product) in own.iter().zip(products) {
                dweights[row * num_experts + index] = product;
            }
            let forward_rows: Vec<_> = own.iter().map(|&row| dy.saved_rows[row]).collect();
            let weights = saved.choice.weights_of(index, &forward_rows);
            let dy_own = rows::scale_each(&dy_own, &weights)?;
            let dx_own = expert.vjp_at(&outputs.slopes, &dy_own, &places)?;
            dx = rows::add_at(&dx, &dx_own, &own)?;
        }
        let dlogits = saved.choice.vjp(&dweights, &dy.saved_rows, dx.dtype())?;
        dx = rows::add(&dx, &self.router.vjp(&dlogits)?)?;
        if let (Some(expert), Some(trace)) = (&self.shared, &saved.shared) {
            dx = rows::add(&dx, &expert.vjp(trace, dy)?)?;
        }
        Ok(dy.with_rows(dx))
    }
}

impl ExpertOutputs {
    /// Returns the cotangent rows whose forward row chose this expert, and the index of that
    /// forward row among the expert's rows. Cotangent row `i` belongs to forward row
    /// `saved_rows[i]`.
    fn cotangent_rows(&self, saved_rows: &RowIndex) -> (RowIndex, RowIndex) {
        let rows = saved_rows.iter().enumerate();
        let chosen = rows
            .filter_map(|(row, saved_row)| Some((row, self.rows.binary_search(saved_row).ok()?)));
        let (own, places): (Vec<_>, Vec<_>) = chosen.unzip();
        (RowIndex::from(own), RowIndex::from(places))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::{DType, Device};

    use super::*;
    use crate::kernels::attention::ExplainedQueries;
    use crate::model::sequences::Sequences;
    use crate::model::spec::{FeedForwardSpec, Gate, LinearSpec, RoutingSpec};

    const HIDDEN: usize = 3;
    const INNER: usize = 4;

    /// Returns two ungated experts. A row uses one of them, so its mixing weight is 1.
    fn one_of_two() -> Experts {
        let noise = |shape: (usize, usize), phase: f64| {
            let values = (0..shape.0 * shape.1).map(|i| (i as f64 * 1.7 + phase).sin());
            candle_core::Tensor::from_vec(values.collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
        };
        let mut tensors = HashMap::from([("router.weight".to_owned(), noise((2, HIDDEN), 0.3))]);
        let experts = [0, 1].map(|index| {
            let (up, down) = (format!("up{index}"), format!("down{index}"));
            tensors.insert(
                format!("{up}.weight"),
                noise((INNER, HIDDEN), f64::from(index)),
            );
            tensors.insert(
                format!("{down}.weight"),
                noise((HIDDEN, INNER), 2.0 + f64::from(index)),
            );
            FeedForwardSpec {
                inner: INNER,
                activation: Activation::Silu,
                gate: Gate::Plain {
                    up: LinearSpec::new(up, false),
                },
                down: LinearSpec::new(down, false),
            }
        });
        let spec = ExpertsSpec {
            router: LinearSpec::new("router", false),
            experts: experts.to_vec(),
            num_chosen: 1,
            routing: RoutingSpec::softmax(true),
            correction: None,
            shared: None,
        };
        let folder = tempfile::tempdir().unwrap();
        candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
        let checkpoint = Checkpoint::open(folder.path(), DType::F64).unwrap();
        Experts::load(&spec, HIDDEN, &checkpoint).unwrap()
    }

    #[test]
    fn a_rescaled_expert_leads_from_the_reference_to_the_value() {
        let experts = one_of_two();
        let rows = |values: &[f64]| host::upload(values.to_vec(), (2, HIDDEN));
        let x = rows(&[1.0, -0.5, 2.0, -1.0, 0.5, -2.0]).unwrap();
        let reference = rows::scale(&x, 0.4).unwrap();
        let (y, mut mixed) = experts.forward(&x).unwrap();
        let (y0, of_reference) = experts.forward(&reference).unwrap();
        for expert in 0..2 {
            assert_eq!(
                *mixed.choice.rows_of(expert),
                *of_reference.choice.rows_of(expert)
            );
            assert_eq!(mixed.choice.rows_of(expert).len(), 1);
        }
        experts
            .rescale(&mut mixed, &x, &reference, &|_| true)
            .unwrap();
        let dy = rows(&[0.2, -1.0, 0.7, 1.1, 0.4, -0.6]).unwrap();
        let whole = ExplainedQueries {
            sequence: 0,
            positions: 0..2,
        };
        let cotangents = Cotangents::new(vec![whole], &Sequences::from_lengths([2]), dy.clone());
        let dx = experts.vjp(&mixed, &cotangents).unwrap().rows;
        let dot = |a: &Tensor, b: &Tensor| host::sum(&rows::multiply(a, b).unwrap()).unwrap();
        let change = dot(&dy, &rows::subtract(&y, &y0).unwrap());
        let attributed = dot(&dx, &rows::subtract(&x, &reference).unwrap());
        assert!(
            (change - attributed).abs() < 1e-12,
            "{change}, {attributed}"
        );
    }
}
