//! Continuing prompts, as transformers does.
//!
//! Each prompt has a search of its own (`chains`: greedy or sampled; `beams`), which decides what
//! follows from the scores of its hypotheses; the model runs once a step for the hypotheses of all
//! prompts together, each with its own keys and values kept. What a search does never depends on
//! the other prompts.
//!
//! A model that turns the tokens of long texts otherwise turns all of them anew when a text becomes
//! long, so what is kept of a hypothesis is computed again at that moment, as transformers does for
//! the models that are made like this. A prompt that may get there is continued alone.

mod beams;
mod chains;
mod choices;
mod probabilities;
mod processors;
mod search;
mod settings;
mod token_ids;

use candle_core::Tensor;

use crate::error::Result;

use crate::kernels::Real;
use crate::kernels::tensor::{View, by_dtype};
use crate::model::{ExplainedToken, Inputs, Trace, Transformer};
use crate::sides::Side;
use beams::Beams;
use chains::Chains;
pub use search::Prompt;
use search::{Extended, Search};
pub use settings::{Settings, choices_of};
pub(crate) use token_ids::check as check_token_ids;

/// Continues `prompts`. Returns the new tokens of every sequence of each, end tokens included.
pub fn generate(
    model: &Transformer,
    prompts: &[Prompt],
    settings: &Settings,
) -> Result<Vec<Vec<Vec<u32>>>> {
    let becomes_long = |index: &usize| {
        let prompt = &prompts[*index];
        let limit = settings.max_length(prompt, model.spec().max_positions);
        let beyond = model.spec().long_rope_threshold();
        beyond.is_some_and(|beyond| prompt.ids.len() <= beyond && limit > beyond)
    };
    let (alone, together): (Vec<_>, Vec<_>) = (0..prompts.len()).partition(becomes_long);
    let mut sequences = vec![Vec::new(); prompts.len()];
    for group in std::iter::once(together).chain(alone.into_iter().map(|index| vec![index])) {
        let own: Vec<_> = group.iter().map(|&index| &prompts[index]).collect();
        for (index, own) in group.into_iter().zip(continue_all(model, &own, settings)?) {
            sequences[index] = own;
        }
    }
    Ok(sequences)
}

/// Continues `prompts`, of which all that become long do so at the same time.
fn continue_all(
    model: &Transformer,
    prompts: &[&Prompt],
    settings: &Settings,
) -> Result<Vec<Vec<Vec<u32>>>> {
    let limit = |prompt: &Prompt| settings.max_length(prompt, model.spec().max_positions);
    let mut searches: Vec<_> = prompts
        .iter()
        .map(|prompt| search(prompt, settings, limit(prompt)))
        .collect();
    // Which search each sequence of the running pass belongs to.
    let mut running: Vec<usize> = (0..prompts.len())
        .filter(|&index| limit(prompts[index]) > prompts[index].ids.len())
        .collect();
    if running.is_empty() {
        return Ok(searches.into_iter().map(Search::sequences).collect());
    }
    let whole_pass = |running: &[usize], hypotheses: &[Vec<u32>]| {
        let sources = running
            .iter()
            .map(|&index| prompts[index].source.as_slice());
        let source = model
            .has_encoder()
            .then(|| model.embed(Side::Source, sources));
        model.forward(&Inputs {
            source: source.transpose()?,
            target: model.embed(Side::Target, hypotheses.iter().map(Vec::as_slice))?,
        })
    };
    let mut hypotheses: Vec<_> = running.iter().map(|&i| prompts[i].ids.clone()).collect();
    let mut trace = whole_pass(&running, &hypotheses)?;
    let mut last: Vec<_> = hypotheses.iter().map(|tokens| tokens.len() - 1).collect();
    loop {
        let scores = scores(model, &trace, &last)?;
        let longer = advance_all(&mut searches, &running, &hypotheses, scores);
        if longer.is_empty() {
            return Ok(searches.into_iter().map(Search::sequences).collect());
        }
        let (parents, tokens): (Vec<_>, Vec<_>) = longer.into_iter().unzip();
        running = parents.iter().map(|&parent| running[parent]).collect();
        hypotheses = tokens;
        let beyond = model.spec().long_rope_threshold();
        let becomes_long = |tokens: &Vec<u32>| beyond == Some(tokens.len() - 1);
        if hypotheses.iter().any(becomes_long) {
            trace = whole_pass(&running, &hypotheses)?;
            last = hypotheses.iter().map(|tokens| tokens.len() - 1).collect();
        } else {
            trace.keep(&parents);
            let new = hypotheses.iter().map(|tokens| &tokens[tokens.len() - 1..]);
            trace = model.forward_on(&model.embed(Side::Target, new)?, trace)?;
            last = vec![0; running.len()];
        }
    }
}

/// Lets every search go on from the scores of its `hypotheses`; hypothesis `i` belongs to search
/// `running[i]`. Returns those that run on, each behind the number of the one it continues.
fn advance_all(
    searches: &mut [Box<dyn Search + '_>],
    running: &[usize],
    hypotheses: &[Vec<u32>],
    scores: Vec<Vec<f64>>,
) -> Vec<(usize, Vec<u32>)> {
    let mut scores = scores.into_iter();
    let mut longer = Vec::new();
    for own in running.chunk_by(|one, next| one == next) {
        let first = running.len() - scores.len();
        let of_search = scores.by_ref().take(own.len()).collect();
        for Extended { parent, token } in searches[own[0]].advance(of_search) {
            let parent = first + parent;
            longer.push((parent, [hypotheses[parent].as_slice(), &[token]].concat()));
        }
    }
    longer
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
    let explained: Vec<_> = last
        .iter()
        .enumerate()
        .map(|(sequence, &position)| ExplainedToken { sequence, position })
        .collect();
    let logits = model.logits(&model.hidden(trace, &explained)?)?;
    by_dtype!(logits, T => rows_of::<T>(&logits))
}

fn rows_of<T: Real>(logits: &Tensor) -> Result<Vec<Vec<f64>>> {
    let (_, vocabulary) = logits.dims2()?;
    Ok(View::<T>::of(logits)?
        .chunks_exact(vocabulary)
        .map(|row| row.iter().copied().map(T::to_f64).collect())
        .collect())
}
