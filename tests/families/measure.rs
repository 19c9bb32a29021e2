//! Runs the engine on a model and measures how far its results are from the truth.

use anyhow::Result;
use candle_core::{DType, Device};
use whence_engine::Tensor;
use whence_engine::generate::{Prompt, Settings, generate};
use whence_engine::model::{self, ExplainedToken, Inputs, Transformer, Wanted};
use whence_engine::sides::Side;
use whence_schemas::GenerationSpec;

use crate::reference::{Reference, Sequence};

/// The differences between the engine and transformers.
pub(crate) struct Measured {
    /// Largest difference between logits, relative to the largest logit, in single precision.
    pub(crate) logits_f32: f64,
    /// The same in double precision.
    pub(crate) logits_f64: f64,
    /// Largest difference between gradients, relative to the largest entry, in double precision.
    pub(crate) gradients: f64,
    /// Whether greedy search in single precision gives the same tokens.
    pub(crate) generation_is_equal: bool,
    /// Whether a sequence gets the same bits in a batch as alone.
    pub(crate) batch_is_alone: bool,
}

/// Runs a model and compares it with everything in its reference.
pub(crate) fn measure(reference: &Reference) -> Result<Measured> {
    let single = model::load(&reference.folder, DType::F32)?;
    let double = model::load(&reference.folder, DType::F64)?;
    let mut measured = Measured {
        logits_f32: 0.0,
        logits_f64: 0.0,
        gradients: 0.0,
        generation_is_equal: true,
        batch_is_alone: true,
    };
    let in_batch = batch_logits(&single, &reference.sequences)?;
    for (index, sequence) in reference.sequences.iter().enumerate() {
        let truth = reference.truth("logits", index);
        let alone = batch_logits(&single, std::slice::from_ref(sequence))?.remove(0);
        measured.batch_is_alone &= in_batch[index] == alone;
        measured.logits_f32 = measured.logits_f32.max(error(&alone, &truth));
        let exact = batch_logits(&double, std::slice::from_ref(sequence))?.remove(0);
        measured.logits_f64 = measured.logits_f64.max(error(&exact, &truth));
    }
    let generated = greedy(&single, &reference.sequences)?;
    measured.generation_is_equal = generated
        .iter()
        .eq(reference.sequences.iter().map(|s| &s.generated));
    for (what, index, gradient) in gradients(&double, &reference.sequences)? {
        let truth = reference.truth(what, index);
        measured.gradients = measured.gradients.max(error(&gradient, &truth));
    }
    Ok(measured)
}

/// Returns the largest difference, relative to the largest true value.
fn error(values: &[f64], truth: &[f64]) -> f64 {
    assert_eq!(values.len(), truth.len());
    let largest = truth.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    let differences = values.iter().zip(truth).map(|(a, b)| (a - b).abs());
    // A NaN stays to the end, which `f64::max` would skip, and then fails the comparison.
    differences.fold(0.0_f64, |a, b| if a.is_nan() || b <= a { a } else { b }) / largest
}

/// Embeds `sequences` as one batch.
pub(crate) fn inputs(model: &Transformer, sequences: &[Sequence]) -> Result<Inputs> {
    let mut source = None;
    if model.has_encoder() {
        source = Some(model.embed(
            Side::Source,
            sequences.iter().filter_map(|s| s.source.as_deref()),
        )?);
    }
    let target = model.embed(Side::Target, sequences.iter().map(|s| s.target.as_slice()))?;
    Ok(Inputs { source, target })
}

fn explained(sequence: usize, rows: impl Iterator<Item = usize>) -> Vec<ExplainedToken> {
    rows.map(|position| ExplainedToken { sequence, position })
        .collect()
}

/// Returns the logits of every row of each sequence, computed in one batch.
fn batch_logits(model: &Transformer, sequences: &[Sequence]) -> Result<Vec<Vec<f64>>> {
    let trace = model.forward(&inputs(model, sequences)?)?;
    let of_sequence = |(index, sequence): (usize, &Sequence)| {
        let explained = explained(index, 0..sequence.target.len());
        flat(&model.logits(&model.hidden(&trace, &explained)?)?)
    };
    sequences.iter().enumerate().map(of_sequence).collect()
}

fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.to_candle()?.flatten_all()?;
    Ok(flat.to_dtype(DType::F64)?.to_vec1()?)
}

/// Returns the gradients of all explained probabilities, computed in one batch: for each its name
/// in the reference, the index of the sequence, and the entries.
fn gradients(
    model: &Transformer,
    sequences: &[Sequence],
) -> Result<Vec<(&'static str, usize, Vec<f64>)>> {
    let trace = model.forward(&inputs(model, sequences)?)?;
    let explained: Vec<_> = sequences
        .iter()
        .enumerate()
        .map(|(sequence, s)| ExplainedToken {
            sequence,
            position: s.row,
        })
        .collect();
    let logits = model.logits(&model.hidden(&trace, &explained)?)?;
    let dlogits = sequences.iter().enumerate().map(|(row, sequence)| {
        let row = flat(&logits.narrow(0, row, 1)?)?;
        Ok(probability_gradient(&row, sequence.token))
    });
    let dlogits: Vec<Vec<f64>> = dlogits.collect::<Result<_>>()?;
    let dlogits = candle_core::Tensor::new(dlogits, &Device::Cpu)?;
    let dhidden = model.logits_vjp(&logits, &dlogits.into())?;
    let pulled = model.vjp(&trace, &explained, dhidden, Wanted::All)?;

    let mut gradients = Vec::new();
    let (mut source_row, mut target_row) = (0, 0);
    for (index, sequence) in sequences.iter().enumerate() {
        if let Some(rows) = &pulled.target {
            // Rows after the explained one do not influence it, so their gradient is 0.
            let mut gradient = flat(&rows.narrow(0, target_row, sequence.row + 1)?)?;
            gradient.resize(sequence.target.len() * rows.dim(1)?, 0.0);
            gradients.push(("target_gradient", index, gradient));
            target_row += sequence.row + 1;
        }
        if let (Some(rows), Some(source)) = (&pulled.source, &sequence.source) {
            let gradient = flat(&rows.narrow(0, source_row, source.len())?)?;
            gradients.push(("source_gradient", index, gradient));
            source_row += source.len();
        }
    }
    Ok(gradients)
}

/// Returns the gradient of the probability of `token` with respect to the logits.
fn probability_gradient(logits: &[f64], token: usize) -> Vec<f64> {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let sum: f64 = logits.iter().map(|l| (l - largest).exp()).sum();
    let probability = |logit: f64| (logit - largest).exp() / sum;
    let own = probability(logits[token]);
    let entry = |(id, &logit): (usize, &f64)| {
        if id == token {
            own * (1.0 - own)
        } else {
            -own * probability(logit)
        }
    };
    logits.iter().enumerate().map(entry).collect()
}

/// Continues all sequences in one batch by greedy search, with as many tokens as transformers did.
fn greedy(model: &Transformer, sequences: &[Sequence]) -> Result<Vec<Vec<u32>>> {
    let prompt = |sequence: &Sequence| Prompt {
        source: sequence.source.clone().unwrap_or_default(),
        ids: sequence.target.clone(),
        seed: (0, 0),
    };
    let prompts: Vec<_> = sequences.iter().map(prompt).collect();
    let spec = GenerationSpec {
        max_new_tokens: sequences.first().map(|sequence| sequence.generated.len()),
        ..GenerationSpec::default()
    };
    let settings = Settings::new(&spec, &GenerationSpec::default(), &[])?;
    let continued = generate(model, &prompts, &settings).into_iter();
    Ok(continued.collect::<Result<Vec<_>, _>>()?.concat())
}
