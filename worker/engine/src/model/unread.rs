//! Tensors of a checkpoint that the model would leave out, and what that means.
//!
//! transformers loads such a checkpoint and reports the names. Here a tensor inside the model's body
//! that nobody reads is refused: the numbers would be those of another model than the one that was
//! trained. One outside of it, such as a classifier's head or a value head, changes no number and is
//! noticed. What is known to be computed anyway is passed over.

use candle_core::DType;

use super::layers::sinusoids;
use super::spec::{AddedPositions, ModelSpec, Waves};
use super::weights::Checkpoint;
use super::weights::comparison::Comparison;
use crate::kernels::distance;
use crate::{Error, Notice};

/// How many names a message has at most.
const MAX_NAMES: usize = 3;

/// How far a stored position may be from the computed one: what bfloat16 rounds away, and little
/// more. A table that was trained, or is laid out otherwise, is off by about 1.
const POSITION_TOLERANCE: f32 = 0.01;

/// Ends of the names of tensors that hold nothing a model needs.
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

/// Ends of the names of causal masks of GPT-2, GPT-BigCode, GPT-J, GPT-Neo and GPT-NeoX.
const MASKS: &[&str] = &["attn.bias", "attn.attention.bias", "attention.bias"];

/// Ends of the names of positions that are computed as sines and cosines.
const POSITIONS: &[&str] = &["embed_positions.weight", "embed_positions.weights"];

/// Judges what a model made of `spec` would leave out of `checkpoint`.
///
/// Fails if that would change the numbers. Returns what else was left out.
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

/// Returns whether a tensor stands where those of the model do. llama.cpp calls a layer `blk`.
fn is_in_body(name: &str, comparison: &Comparison) -> bool {
    let root = |name: &str| name.split('.').next().map(str::to_owned);
    let is_of_layer = name.starts_with("blk.");
    is_of_layer || comparison.read.iter().any(|read| root(read) == root(name))
}

/// Returns whether the model computes without `name` what it would compute with it.
fn is_harmless(name: &str, spec: &ModelSpec, checkpoint: &Checkpoint) -> Result<bool, Error> {
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if COMPUTED.iter().any(|(end, _)| name.ends_with(end)) {
        return Ok(true);
    }
    let shape = checkpoint.shape(name).unwrap_or_default();
    // A mask is square, a bias is a row.
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

/// Returns the waves of a model whose positions are computed.
fn waves(spec: &ModelSpec) -> Option<Waves> {
    match spec.decoder.added_positions {
        Some(AddedPositions::Sinusoidal(waves)) => Some(waves),
        _ => None,
    }
}

/// Fails if a stored table of positions is another than the one the model computes.
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
    let distance = distance::largest(&stored, &computed)? as f32;
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

fn listed(names: &[&str]) -> String {
    let first: Vec<_> = names
        .iter()
        .take(MAX_NAMES)
        .map(|n| format!("`{n}`"))
        .collect();
    let more = if names.len() > MAX_NAMES { ", …" } else { "" };
    format!("{}{more}", first.join(", "))
}
