//! What the engine makes of a model, and how far it is from the truth.

use anyhow::Result;
use candle_core::{DType, Tensor};
use whence_engine::generate::{Prompt, Settings, generate};
use whence_engine::model::{self, ExplainedToken, Inputs, Transformer, Wanted};
use whence_engine::sides::Side;
use whence_schemas::GenerationSpec;

use crate::reference::{Reference, Sequence};

/// How far the engine is from transformers.
pub(crate) struct Measured {
    /// Largest difference of logits over the largest logit, in single precision.
    pub(crate) logits_f32: f64,
    /// The same in double precision.
    pub(crate) logits_f64: f64,
    /// Largest difference of gradients over the largest entry, in double precision.
    pub(crate) gradients: f64,
    /// Whether greedy search in single precision gives the same tokens.
    pub(crate) generation_is_equal: bool,
    /// Whether a sequence of a batch has the bits it has alone.
    pub(crate) batch_is_alone: bool,
}

/// Runs a model on everything that is known about it.
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

/// Returns the largest difference over the largest true value.
fn error(values: &[f64], truth: &[f64]) -> f64 {
    assert_eq!(values.len(), truth.len());
    let largest = truth.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    let differences = values.iter().zip(truth).map(|(a, b)| (a - b).abs());
    // Unlike `f64::max`, this keeps what is not a number.
    differences.fold(0.0, |a, b| if b <= a { a } else { b }) / largest
}

/// Embeds sequences, one batch.
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

/// Returns the logits of every row of each sequence, run together.
fn batch_logits(model: &Transformer, sequences: &[Sequence]) -> Result<Vec<Vec<f64>>> {
    let trace = model.forward(&inputs(model, sequences)?)?;
    let of_sequence = |(index, sequence): (usize, &Sequence)| {
        let explained = explained(index, 0..sequence.target.len());
        flat(&model.logits(&model.hidden(&trace, &explained)?)?)
    };
    sequences.iter().enumerate().map(of_sequence).collect()
}

fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

/// Returns the gradients of all explained probabilities, from one batch: what it is called in the
/// reference, the sequence, the entries.
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
    let dlogits = Tensor::new(dlogits, logits.device())?;
    let dhidden = model.logits_vjp(&logits, &dlogits)?;
    let pulled = model.vjp(&trace, &explained, dhidden, Wanted::All)?;

    let mut gradients = Vec::new();
    let (mut source_row, mut target_row) = (0, 0);
    for (index, sequence) in sequences.iter().enumerate() {
        if let Some(rows) = &pulled.target {
            // Rows after the explained one have no gradient.
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

/// Continues all sequences of a model together by the likeliest tokens, as many as transformers did.
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
