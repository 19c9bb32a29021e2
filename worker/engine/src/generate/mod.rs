//! Continuing prompts, as transformers does.
//!
//! Each prompt has a search of its own (`chains`: greedy or sampled; `beams`), which decides what
//! follows from the scores of its hypotheses; the model runs once a step for the hypotheses of all
//! prompts together, each with its own keys and values kept. What a search does never depends on
//! the other prompts.

mod beams;
mod chains;
mod probabilities;
mod processors;
mod settings;

use candle_core::Tensor;

use crate::error::Result;

use crate::kernels::Real;
use crate::kernels::tensor::{View, by_dtype};
use crate::model::{Inputs, Seed, Trace, Transformer};
use beams::Beams;
use chains::Chains;
pub use settings::{Settings, choices_of};

/// What is to be continued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Tokens of the encoder; empty for decoder-only models.
    pub source: Vec<u32>,
    /// Tokens of the decoder, one at least.
    pub ids: Vec<u32>,
    /// The job's seed and the example's id: what is drawn for this prompt depends on nothing else.
    pub seed: (u64, i64),
}

/// What becomes of one prompt.
trait Search {
    /// Takes the scores of every running hypothesis; in the first step there is one, the prompt.
    /// Returns the hypotheses that run on. None means that the search is over.
    fn advance(&mut self, scores: Vec<Vec<f64>>) -> Vec<Extended>;

    /// Returns the new tokens of every sequence, best first.
    fn sequences(self: Box<Self>) -> Vec<Vec<u32>>;
}

/// A hypothesis, one token longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Extended {
    /// Which of the hypotheses of the step before it continues.
    parent: usize,
    token: u32,
}

/// Continues `prompts`. Returns the new tokens of every sequence of each, end tokens included.
pub fn generate(
    model: &Transformer,
    prompts: &[Prompt],
    settings: &Settings,
) -> Result<Vec<Vec<Vec<u32>>>> {
    let limit = |prompt: &Prompt| settings.max_length(prompt, model.spec().max_positions);
    let mut searches: Vec<_> = prompts
        .iter()
        .map(|prompt| search(prompt, settings, limit(prompt)))
        .collect();
    // Which search each sequence of the running pass belongs to.
    let mut running: Vec<usize> = (0..prompts.len())
        .filter(|&index| limit(&prompts[index]) > prompts[index].ids.len())
        .collect();
    if running.is_empty() {
        return Ok(searches.into_iter().map(Search::sequences).collect());
    }
    let chosen =
        |of: fn(&Prompt) -> &[u32]| model.embed(running.iter().map(|&index| of(&prompts[index])));
    let mut trace = model.forward(&Inputs {
        source: model
            .has_encoder()
            .then(|| chosen(|prompt| &prompt.source))
            .transpose()?,
        target: chosen(|prompt| &prompt.ids)?,
    })?;
    let mut last: Vec<_> = running
        .iter()
        .map(|&index| prompts[index].ids.len() - 1)
        .collect();
    loop {
        let mut scores = scores(model, &trace, &last)?.into_iter();
        let (mut parents, mut tokens, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        for own in running.chunk_by(|one, next| one == next) {
            let first_row = running.len() - scores.len();
            let of_search = scores.by_ref().take(own.len()).collect();
            for Extended { parent, token } in searches[own[0]].advance(of_search) {
                parents.push(first_row + parent);
                tokens.push([token]);
                owners.push(own[0]);
            }
        }
        if owners.is_empty() {
            return Ok(searches.into_iter().map(Search::sequences).collect());
        }
        running = owners;
        trace.keep(&parents);
        trace = model.forward_on(
            &model.embed(tokens.iter().map(<[u32; 1]>::as_slice))?,
            trace,
        )?;
        last = vec![0; running.len()];
    }
}

/// Returns the search for what follows `prompt`.
fn search<'s>(prompt: &'s Prompt, settings: &'s Settings, limit: usize) -> Box<dyn Search + 's> {
    if settings.num_beams > 1 {
        Box::new(Beams::new(prompt, settings, limit))
    } else {
        Box::new(Chains::new(prompt, settings, limit))
    }
}

/// Returns the logits behind row `last[i]` of each sequence.
fn scores(model: &Transformer, trace: &Trace, last: &[usize]) -> Result<Vec<Vec<f64>>> {
    let seeds: Vec<_> = last
        .iter()
        .enumerate()
        .map(|(sequence, &position)| Seed { sequence, position })
        .collect();
    let logits = model.logits(&model.hidden(trace, &seeds)?)?;
    by_dtype!(logits, T => rows_of::<T>(&logits))
}

fn rows_of<T: Real>(logits: &Tensor) -> Result<Vec<Vec<f64>>> {
    let (_, vocabulary) = logits.dims2()?;
    Ok(View::<T>::of(logits)?
        .chunks_exact(vocabulary)
        .map(|row| row.iter().copied().map(T::to_f64).collect())
        .collect())
}
