//! A linear map `y = x Wᵀ + b`, prepared for fast products in both directions.
//!
//! Projections of the same input are stacked into one map, so that a single product computes them
//! all. Only the packed weight is kept, in half precision if the checkpoint keeps it that way. The
//! second packing, for cotangents, is created when it is first needed, so that a method without
//! gradients never pays for it.

use std::ops::Range;
use std::sync::OnceLock;

use crate::error::Result;

use crate::Error;
use crate::kernels::linear::PackedWeight;
use crate::kernels::{Tensor, host};
use crate::model::spec::LinearSpec;
use crate::model::weights::Checkpoint;

/// A linear map with its packed weights.
#[derive(Debug)]
pub(in crate::model) struct Linear {
    /// Packed for `x Wᵀ`.
    forward: PackedWeight,
    /// Packed for `dy W`, on first use.
    backward: OnceLock<PackedWeight>,
    /// `[out]`
    bias: Option<Tensor>,
    outputs: usize,
}

impl Linear {
    /// Reads maps with the same `inputs` inputs, each given with its number of outputs, and stacks
    /// them.
    pub(in crate::model) fn load(
        parts: &[(&LinearSpec, usize)],
        inputs: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let (weight, bias) = stacked(parts, inputs, checkpoint)?;
        Ok(Self::from_weight(&weight, bias, checkpoint)?)
    }

    /// Reads a map whose inputs come in `groups` groups of `len` entries, and adds inputs that it
    /// ignores at the end of each group, so that a group has `padded` entries.
    pub(super) fn load_padded(
        spec: &LinearSpec,
        outputs: usize,
        (groups, len, padded): (usize, usize, usize),
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let (weight, bias) = stacked(&[(spec, outputs)], groups * len, checkpoint)?;
        let rows = outputs * groups;
        let ignored = host::zeros((rows, padded - len), weight.dtype())?;
        let weight = Tensor::cat(&[&weight.reshape((rows, len))?, &ignored], 1)?;
        let weight = weight.contiguous()?.reshape((outputs, groups * padded))?;
        Ok(Self::from_weight(&weight, bias, checkpoint)?)
    }

    /// Packs a weight, `[out, in]`, for computing where and as `checkpoint` says.
    pub(in crate::model) fn from_weight(
        weight: &Tensor,
        bias: Option<Tensor>,
        checkpoint: &Checkpoint,
    ) -> Result<Self> {
        let (outputs, _) = weight.dims2()?;
        let weight = checkpoint.place().put(weight)?;
        Ok(Self {
            forward: PackedWeight::transposed(&weight, checkpoint.dtype())?,
            backward: OnceLock::new(),
            bias,
            outputs,
        })
    }

    /// Returns `x Wᵀ + b`. `[rows, in] → [rows, out]`
    pub(in crate::model) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward.product(x, self.bias.as_ref())
    }

    /// Returns `x W[:, inputs]ᵀ`: the part of the outputs that is due to the inputs in the range
    /// `inputs`.
    /// `[rows, inputs] → [rows, out]`
    pub(super) fn forward_of(&self, x: &Tensor, inputs: Range<usize>) -> Result<Tensor> {
        self.forward.product_of(x, inputs)
    }

    /// Returns `dy W`. `[rows, out] → [rows, in]`
    pub(in crate::model) fn vjp(&self, dy: &Tensor) -> Result<Tensor> {
        self.vjp_of(dy, 0..self.outputs)
    }

    /// Returns `dy W` for cotangents of only the outputs in `outputs`.
    /// `[rows, outputs] → [rows, in]`
    pub(super) fn vjp_of(&self, dy: &Tensor, outputs: Range<usize>) -> Result<Tensor> {
        self.backward
            .get_or_init(|| self.forward.repacked())
            .product_of(dy, outputs)
    }
}

/// A linear map as the checkpoint stores it, possibly several projections in one.
struct StoredMap {
    /// `[stored outputs, in]`
    weight: Tensor,
    /// `[stored outputs]`
    bias: Option<Tensor>,
}

impl StoredMap {
    /// Reads the stored map that `spec` is, or that it is a part of.
    fn read(
        spec: &LinearSpec,
        outputs: usize,
        inputs: usize,
        checkpoint: &Checkpoint,
    ) -> Result<Self, Error> {
        let outputs = spec.slice.map_or(outputs, |slice| slice.stored);
        let name = spec.weight_name();
        let weight = match (spec.stack, spec.is_transposed) {
            (None, false) => checkpoint.weight(&name, &[outputs, inputs])?,
            (None, true) => checkpoint.transposed_weight(&name, [outputs, inputs])?,
            (Some(stack), false) => checkpoint.stacked_weight(&name, stack, &[outputs, inputs])?,
            (Some(stack), true) => checkpoint
                .stacked_weight(&name, stack, &[inputs, outputs])?
                .t()?
                .contiguous()?,
        };
        let weight = weight.into();
        let name = spec.bias_name();
        let mut bias = None;
        match (spec.bias, spec.stack) {
            (false, _) => checkpoint.require_no(&name)?,
            (true, None) => bias = Some(checkpoint.parameter(&name, &[outputs])?),
            (true, Some(stack)) => {
                bias = Some(checkpoint.stacked_parameter(&name, stack, &[outputs])?);
            }
        }
        Ok(Self { weight, bias })
    }
}

/// Reads and stacks maps of the same inputs. Returns the weight, `[out, in]`, and the bias,
/// `[out]`, with zeros for maps that have none. A stored map that contains several of them is read
/// once.
fn stacked(
    parts: &[(&LinearSpec, usize)],
    inputs: usize,
    checkpoint: &Checkpoint,
) -> Result<(Tensor, Option<Tensor>), Error> {
    let has_bias = parts.iter().any(|(spec, _)| spec.bias);
    let mut weights = Vec::with_capacity(parts.len());
    let mut biases = Vec::new();
    // Parts of one stored map follow each other, so keeping the last one is enough to read it
    // once.
    let mut last: Option<(&str, StoredMap)> = None;
    for &(spec, outputs) in parts {
        let stored = match last.take() {
            Some((name, stored)) if name == spec.name => stored,
            _ => StoredMap::read(spec, outputs, inputs, checkpoint)?,
        };
        weights.push(cut(&stored.weight, spec, outputs)?);
        if let Some(bias) = &stored.bias {
            biases.push(cut(bias, spec, outputs)?);
        } else if has_bias {
            biases.push(host::zeros(outputs, checkpoint.dtype())?);
        }
        last = Some((&spec.name, stored));
    }
    let bias = if has_bias {
        Some(Tensor::cat(&biases, 0)?)
    } else {
        None
    };
    // Projections of one input may be stored in different precisions. All are then widened.
    let first = weights.first().map(Tensor::dtype);
    if weights.iter().any(|weight| Some(weight.dtype()) != first) {
        for weight in &mut weights {
            *weight = weight.to_dtype(checkpoint.dtype())?;
        }
    }
    Ok((Tensor::cat(&weights, 0)?, bias))
}

/// Returns the outputs of a stored map that belong to `spec`.
fn cut(stored: &Tensor, spec: &LinearSpec, outputs: usize) -> Result<Tensor> {
    let Some(slice) = spec.slice else {
        return Ok(stored.clone());
    };
    let found: usize = slice.runs().map(|run| run.len()).sum();
    if found != outputs {
        return Err(candle_core::Error::Msg(format!(
            "`{}` holds {found} outputs of a projection that has {outputs}",
            spec.name
        ))
        .bt());
    }
    let runs = slice
        .runs()
        .map(|run| stored.narrow(0, run.start, run.len()));
    Tensor::cat(&runs.collect::<Result<Vec<_>>>()?, 0)
}
