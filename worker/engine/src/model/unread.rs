//! Tensors of a checkpoint that the model would not use, and what that means.
//!
//! transformers loads such a checkpoint and reports the names. Here, an unused tensor in the
//! model's body is an error: without it, the numbers would not be those of the model that was
//! trained. An unused tensor outside the body, such as the head of a classifier or a value head,
//! changes no number and gives a notice. Tensors with values that are computed anyway are ignored.

use candle_core::DType;

use super::layers::sinusoids;
use super::spec::{AddedPositions, ModelSpec, Waves};
use super::weights::Checkpoint;
use super::weights::comparison::Comparison;
use crate::kernels::distance;
use crate::{Error, Notice};

/// How many names a message lists at most.
const MAX_NAMES: usize = 3;

/// Maximum distance between a stored position vector and the computed one: slightly more than the
/// rounding to bfloat16. A table that was trained or has another layout differs by about 1.
const POSITION_TOLERANCE: f32 = 0.01;

/// Name endings of tensors that a model does not need, and what they hold.
const COMPUTED: &[(&str, &str)] = &[
    (
        "rotary_emb.inv_freq",
        "frequencies that the configuration gives",
    ),
    (
        "rotary_emb.original_inv_freq",
        "frequencies that the configuration gives",
    ),
    (
        "rotary_pos_emb.inv_freq",
        "frequencies that the configuration gives",
    ),
    (
        "rotary.inv_freq",
        "frequencies that the configuration gives",
    ),
    ("rotary_emb.cos_cached", "cosines of those frequencies"),
    ("rotary_emb.sin_cached", "sines of those frequencies"),
    ("position_ids", "0, 1, 2, …"),
    ("num_batches_tracked", "a counter of training"),
    (
        "masked_bias",
        "what GPT-2, GPT-Neo and GPT-NeoX put where a mask hides a key",
    ),
    ("decoder.version", "fairseq's format of a checkpoint"),
    ("encoder.version", "fairseq's format of a checkpoint"),
    ("_float_tensor", "fairseq's way of knowing a device"),
    (
        "EncDecAttention.relative_attention_bias.weight",
        "buckets that T5's first checkpoints have and T5 never used",
    ),
];

/// Name endings of the causal masks that GPT-2, GPT-BigCode, GPT-J, GPT-Neo, GPT-NeoX and CodeGen
/// store.
const MASKS: &[&str] = &[
    "attn.bias",
    "attn.attention.bias",
    "attention.bias",
    "attn.causal_mask",
];

/// Name endings of position tables that are computed as sines and cosines.
const POSITIONS: &[&str] = &["embed_positions.weight", "embed_positions.weights"];

/// Judges the tensors of `checkpoint` that a model made of `spec` would not use.
///
/// Fails if leaving them out would change the numbers. Returns a notice about any others.
pub(crate) fn judge(
    spec: &ModelSpec,
    checkpoint: &Checkpoint,
    comparison: &Comparison,
) -> Result<Option<Notice>, Error> {
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for name in &comparison.unread {
        if is_harmless(name, spec, checkpoint)? {
            continue;
        }
        if is_in_body(name, comparison) {
            inside.push(name.as_str());
        } else {
            outside.push(name.as_str());
        }
    }
    if !inside.is_empty() {
        return Err(Error::ModelRefused {
            path: checkpoint.path().to_owned(),
            reason: format!(
                "has {} in the model's body that `config.json` does without: {}",
                tensors(inside.len()),
                listed(&inside)
            ),
            next: "take the config.json that was saved with these weights; without them the model \
                   would not be the one that was trained"
                .to_owned(),
        });
    }
    Ok((!outside.is_empty()).then(|| Notice::UnusedTensors {
        path: checkpoint.path().to_owned(),
        count: outside.len(),
        names: listed(&outside),
    }))
}

/// Returns whether a tensor belongs to the model's body: its name begins like those of the model's
/// own tensors, or like a layer of llama.cpp (`blk.`).
fn is_in_body(name: &str, comparison: &Comparison) -> bool {
    let root = |name: &str| name.split('.').next().map(str::to_owned);
    let is_of_layer = name.starts_with("blk.");
    is_of_layer || comparison.read.iter().any(|read| root(read) == root(name))
}

/// Returns whether the model computes the same without the tensor `name`.
fn is_harmless(name: &str, spec: &ModelSpec, checkpoint: &Checkpoint) -> Result<bool, Error> {
    let mut skipped = spec.surroundings.skipped.iter();
    if skipped.any(|start| name.starts_with(start)) {
        return Ok(true);
    }
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if COMPUTED.iter().any(|(end, _)| name.ends_with(end)) {
        return Ok(true);
    }
    let shape = checkpoint.shape(name).unwrap_or_default();
    // Masks and biases share these names. A mask is square, a bias has one dimension.
    if ends(MASKS) && shape.len() >= 2 {
        return Ok(true);
    }
    if ends(&[".bias"]) && shape.len() == 1 {
        return checkpoint.is_zero(name);
    }
    if let (true, &[rows, width], Some(waves)) = (ends(POSITIONS), &shape[..], waves(spec)) {
        check_positions(name, checkpoint, waves, [rows, width])?;
        return Ok(true);
    }
    Ok(false)
}

/// Returns the waves of a model with sinusoidal positions; `None` for other models.
fn waves(spec: &ModelSpec) -> Option<Waves> {
    match spec.decoder.added_positions {
        Some(AddedPositions::Sinusoidal(waves)) => Some(waves),
        _ => None,
    }
}

/// Fails if a stored table of positions differs from the one that the model computes.
fn check_positions(
    name: &str,
    checkpoint: &Checkpoint,
    waves: Waves,
    [rows, width]: [usize; 2],
) -> Result<(), Error> {
    let first = match waves {
        Waves::Vaswani => 0,
        Waves::Tensor2tensor { offset, .. } => offset.min(rows),
    };
    let stored = checkpoint.stored(name, DType::F32)?;
    let stored = stored.narrow(0, first, rows - first)?;
    let computed = sinusoids(waves, rows - first, width)?;
    let distance = distance::largest(&stored.into(), &computed)? as f32;
    if distance <= POSITION_TOLERANCE {
        return Ok(());
    }
    Err(Error::ModelRefused {
        path: checkpoint.path().to_owned(),
        reason: format!(
            "has positions in `{name}` that differ from the computed ones by {distance:.2}"
        ),
        next: "whence computes the positions of this architecture; take a checkpoint that does too"
            .to_owned(),
    })
}

fn tensors(count: usize) -> String {
    match count {
        1 => "1 tensor".to_owned(),
        count => format!("{count} tensors"),
    }
}

/// Lists the first few names for a message.
fn listed(names: &[&str]) -> String {
    let first: Vec<_> = names
        .iter()
        .take(MAX_NAMES)
        .map(|n| format!("`{n}`"))
        .collect();
    let more = if names.len() > MAX_NAMES { ", …" } else { "" };
    format!("{}{more}", first.join(", "))
}
