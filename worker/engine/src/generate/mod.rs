//! Continuing prompts as transformers does.
//!
//! Each prompt has its own search (`chains`: greedy or sampled; `beams`), which picks the next
//! tokens from the scores of its hypotheses. The model runs once per step over the hypotheses of
//! all prompts together, with the keys and values of each one cached. The result of a search never
//! depends on the other prompts.
//!
//! A long-RoPE model uses another rotation for *all* tokens of a text once the text passes a
//! length threshold. The cached keys of a hypothesis are invalid from that step on, so they are
//! computed again, as transformers does for these models. A prompt that may reach the threshold is
//! continued alone.

mod beams;
mod chains;
mod choices;
mod probabilities;
mod processors;
mod search;
mod settings;
mod token_ids;

use crate::Error;
use crate::error::Result;
use crate::footprint::{Footprint, GenerationSizes};
use crate::kernels::host;
use crate::memory::MemoryBudget;
use crate::model::{ExplainedToken, Inputs, Trace, Transformer};
use crate::sides::Side;
use crate::stop::Stop;
use beams::Beams;
use chains::Chains;
pub use search::Prompt;
use search::{Extended, Search};
pub use settings::{Settings, choices_of};
pub(crate) use token_ids::check as check_token_ids;

/// The result for one prompt: the new tokens of every sequence, end tokens included.
pub type Continued = Result<Vec<Vec<u32>>, Error>;

/// Continues `prompts` without a memory limit.
pub fn generate(model: &Transformer, prompts: &[Prompt], settings: &Settings) -> Vec<Continued> {
    generate_within(model, prompts, settings, MemoryBudget::Unbounded)
}

/// Continues `prompts`, batching as many as fit into `memory`. A prompt that does not fit even
/// alone fails: before anything is allocated if its own first pass is too large, and otherwise
/// before the first token that makes it too large.
pub(crate) fn generate_within(
    model: &Transformer,
    prompts: &[Prompt],
    settings: &Settings,
    memory: MemoryBudget,
) -> Vec<Continued> {
    let generation = Generation {
        model,
        settings,
        memory,
    };
    let mut continued: Vec<_> = prompts.iter().map(|_| Ok(Vec::new())).collect();
    for run in generation.runs(prompts) {
        let own: Vec<_> = run.iter().map(|&index| &prompts[index]).collect();
        for (index, own) in run.into_iter().zip(generation.of_run(&own)) {
            continued[index] = own;
        }
    }
    continued
}

/// The model and settings that prompts are continued with.
#[derive(Clone, Copy)]
struct Generation<'a> {
    model: &'a Transformer,
    settings: &'a Settings,
    memory: MemoryBudget,
}

impl Generation<'_> {
    /// Splits the indices of `prompts` into runs that are continued together. A prompt that may
    /// cross the long-RoPE threshold, or may not fit into memory, is a run of its own.
    fn runs(self, prompts: &[Prompt]) -> Vec<Vec<usize>> {
        let crosses_threshold = |index: &usize| {
            let prompt = &prompts[*index];
            let limit = self.limit(prompt);
            let beyond = self.model.spec().long_rope_threshold();
            beyond.is_some_and(|beyond| prompt.ids.len() <= beyond && limit > beyond)
        };
        let needs = |index: &usize| {
            let prompt = &prompts[*index];
            self.bytes(prompt, self.limit(prompt))
        };
        let (alone, together): (Vec<_>, Vec<_>) =
            (0..prompts.len()).partition(|index| crosses_threshold(index));
        let mut runs: Vec<Vec<usize>> = Vec::new();
        let mut next = 0;
        for run in self.memory.runs(&together, &needs) {
            // A prompt that might not fit is tried alone, because it may end long before its
            // limit.
            let run = run.map_or(&together[next..=next], |run| run);
            next += run.len();
            runs.push(run.to_vec());
        }
        runs.extend(alone.into_iter().map(|index| vec![index]));
        runs
    }

    /// Continues the prompts of a run together. If that fails, continues them one by one, so that
    /// only the prompt that causes the failure fails; or half of them at a time if a device is full.
    fn of_run(self, prompts: &[&Prompt]) -> Vec<Continued> {
        match self.together(prompts) {
            Ok(sequences) => sequences.into_iter().map(Ok).collect(),
            Err(_) if self.model.stop().is_requested() => {
                prompts.iter().map(|_| Err(Error::Stopped)).collect()
            }
            Err(error) if prompts.len() == 1 => vec![Err(error)],
            Err(error) => {
                let parts = error.parts(prompts);
                parts.flat_map(|prompts| self.of_run(prompts)).collect()
            }
        }
    }

    /// Returns the maximum length of a prompt with its continuation, in tokens.
    fn limit(self, prompt: &Prompt) -> usize {
        self.settings
            .max_length(prompt, self.model.spec().max_positions)
    }

    /// Returns the bytes that a prompt needs once its hypotheses are `length` tokens long.
    fn bytes(self, prompt: &Prompt, length: usize) -> u64 {
        let hypotheses = self.settings.num_beams.max(self.settings.num_sequences) as u64;
        let beyond = self.model.spec().long_rope_threshold();
        // All hypotheses are computed again when they cross the threshold.
        let crossed = beyond.filter(|beyond| (prompt.ids.len()..length).contains(beyond));
        let whole_rows = match crossed {
            Some(beyond) => hypotheses.saturating_mul(beyond as u64 + 1),
            None => prompt.ids.len() as u64,
        };
        Footprint::of(self.model).generation(&GenerationSizes {
            source: prompt.source.len() as u64,
            whole_rows,
            hypotheses,
            length: length as u64,
        })
    }

    /// Fails if a prompt that is continued alone does not fit at `length` tokens per hypothesis.
    /// Prompts that are continued together were grouped so that all fit at their maximum length.
    fn check_memory(self, prompts: &[&Prompt], length: usize) -> Result<(), Error> {
        match prompts {
            [alone] => self.memory.check(self.bytes(alone, length)),
            _ => Ok(()),
        }
    }

    /// Continues `prompts` together. A prompt that crosses the long-RoPE threshold must be the
    /// only one.
    fn together(self, prompts: &[&Prompt]) -> Result<Vec<Vec<Vec<u32>>>, Error> {
        // Before the searches are made, because a search of many sequences is large itself.
        if let Some(first) = prompts.first() {
            self.check_memory(prompts, first.ids.len())?;
        }
        let searches = prompts
            .iter()
            .map(|prompt| search(prompt, self.settings, self.limit(prompt)));
        let mut searches: Vec<_> = searches.collect();
        // The search that each sequence of the current pass belongs to.
        let mut running: Vec<usize> = (0..prompts.len())
            .filter(|&index| self.limit(prompts[index]) > prompts[index].ids.len())
            .collect();
        if running.is_empty() {
            return Ok(searches.into_iter().map(Search::sequences).collect());
        }
        let mut hypotheses: Vec<_> = running.iter().map(|&i| prompts[i].ids.clone()).collect();
        let mut trace = self.whole_pass(prompts, &running, &hypotheses)?;
        let mut last: Vec<_> = hypotheses.iter().map(|tokens| tokens.len() - 1).collect();
        loop {
            let scores = scores(self.model, &trace, &last)?;
            let stop = self.model.stop();
            let longer = advance_all(&mut searches, (&running, &hypotheses), scores, stop)?;
            if longer.is_empty() {
                return Ok(searches.into_iter().map(Search::sequences).collect());
            }
            let (parents, tokens): (Vec<_>, Vec<_>) = longer.into_iter().unzip();
            running = parents.iter().map(|&parent| running[parent]).collect();
            hypotheses = tokens;
            self.check_memory(prompts, hypotheses[0].len())?;
            if self.crosses_threshold(&hypotheses) {
                // The cache is invalid. It is freed before the next one is computed.
                drop(trace);
                trace = self.whole_pass(prompts, &running, &hypotheses)?;
                last = hypotheses.iter().map(|tokens| tokens.len() - 1).collect();
            } else {
                // The cache follows the hypotheses: beam search may extend one parent several
                // times and drop another.
                trace.keep(&parents);
                let new = hypotheses.iter().map(|tokens| &tokens[tokens.len() - 1..]);
                trace = (self.model).generate_on(&self.model.embed(Side::Target, new)?, trace)?;
                // This pass had one row per hypothesis, that of its new token.
                last = vec![0; running.len()];
            }
        }
    }

    /// Returns whether a hypothesis has crossed the long-RoPE threshold with its last token.
    fn crosses_threshold(self, hypotheses: &[Vec<u32>]) -> bool {
        let beyond = self.model.spec().long_rope_threshold();
        // Hypotheses grow by one token per step, so each crosses the threshold at this length.
        let crosses = |tokens: &Vec<u32>| beyond == Some(tokens.len() - 1);
        hypotheses.iter().any(crosses)
    }

    /// Runs the model over complete hypotheses, without a cache. Hypothesis `i` belongs to prompt
    /// `running[i]`.
    fn whole_pass(
        self,
        prompts: &[&Prompt],
        running: &[usize],
        hypotheses: &[Vec<u32>],
    ) -> Result<Trace, Error> {
        let model = self.model;
        let sources = running
            .iter()
            .map(|&index| prompts[index].source.as_slice());
        let source = model
            .has_encoder()
            .then(|| model.embed(Side::Source, sources));
        let inputs = Inputs {
            source: source.transpose()?,
            target: model.embed(Side::Target, hypotheses.iter().map(Vec::as_slice))?,
        };
        Ok(model.generate_from(&inputs)?)
    }
}

/// Advances every search by the scores of its `hypotheses`; hypothesis `i` belongs to search
/// `running[i]`. Returns the extended hypotheses, each with the index of the one it extends.
///
/// Fails once `stop` is requested: with many beams and a large vocabulary, the searches of a step
/// take longer than its pass.
fn advance_all(
    searches: &mut [Box<dyn Search + '_>],
    (running, hypotheses): (&[usize], &[Vec<u32>]),
    scores: Vec<Vec<f64>>,
    stop: &Stop,
) -> Result<Vec<(usize, Vec<u32>)>> {
    let mut scores = scores.into_iter();
    let mut longer = Vec::new();
    for own in running.chunk_by(|one, next| one == next) {
        stop.check()?;
        let first = running.len() - scores.len();
        let of_search = scores.by_ref().take(own.len()).collect();
        for Extended { parent, token } in searches[own[0]].advance(of_search) {
            let parent = first + parent;
            longer.push((parent, [hypotheses[parent].as_slice(), &[token]].concat()));
        }
    }
    Ok(longer)
}

/// Creates the search for `prompt`: beam search with several beams, chains otherwise.
fn search<'s>(prompt: &'s Prompt, settings: &'s Settings, limit: usize) -> Box<dyn Search + 's> {
    if settings.num_beams > 1 {
        Box::new(Beams::new(prompt, settings, limit))
    } else {
        Box::new(Chains::new(prompt, settings, limit))
    }
}

/// Returns the next-token logits at row `last[i]` of each sequence `i`.
fn scores(model: &Transformer, trace: &Trace, last: &[usize]) -> Result<Vec<Vec<f64>>> {
    let explained: Vec<_> = last
        .iter()
        .enumerate()
        .map(|(sequence, &position)| ExplainedToken { sequence, position })
        .collect();
    let logits = model.logits(&model.hidden(trace, &explained)?)?;
    host::download_rows(&logits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A search that asks for a stop when it is advanced.
    struct Stopping(Stop);

    impl Search for Stopping {
        fn advance(&mut self, _: Vec<Vec<f64>>) -> Vec<Extended> {
            assert!(!self.0.is_requested(), "advanced after the stop");
            self.0.request();
            Vec::new()
        }

        fn sequences(self: Box<Self>) -> Vec<Vec<u32>> {
            Vec::new()
        }
    }

    #[test]
    fn a_stop_is_heard_between_the_searches_of_a_step() {
        let stop = Stop::default();
        let search = || Box::new(Stopping(stop.clone())) as Box<dyn Search>;
        let mut searches = [search(), search()];
        let hypotheses = [vec![1], vec![2]];
        let scores = vec![vec![0.0]; 2];
        let advanced = advance_all(&mut searches, (&[0, 1], &hypotheses), scores, &stop);
        assert!(advanced.is_err());
    }
}
