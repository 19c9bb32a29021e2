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

use crate::Error;
use crate::error::Result;
use crate::footprint::Footprint;
use crate::kernels::host;
use crate::memory::MemoryBudget;
use crate::model::{ExplainedToken, Inputs, Trace, Transformer};
use crate::sides::Side;
use beams::Beams;
use chains::Chains;
pub use search::Prompt;
use search::{Extended, Search};
pub use settings::{Settings, choices_of};
pub(crate) use token_ids::check as check_token_ids;

/// What becomes of a prompt: the new tokens of every sequence, end tokens included.
pub type Continued = Result<Vec<Vec<u32>>, Error>;

/// Continues `prompts`, as far as the memory goes.
pub fn generate(model: &Transformer, prompts: &[Prompt], settings: &Settings) -> Vec<Continued> {
    generate_within(model, prompts, settings, MemoryBudget::Unbounded)
}

/// Continues `prompts`, as many together as fit into `memory`. A prompt that does not fit alone
/// fails, before anything is allocated where its own pass is too large already.
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

/// How prompts are continued, and by which model.
#[derive(Clone, Copy)]
struct Generation<'a> {
    model: &'a Transformer,
    settings: &'a Settings,
    memory: MemoryBudget,
}

impl Generation<'_> {
    /// Cuts the indices of `prompts` into runs that are continued together: what might cross the
    /// long-RoPE threshold while it grows is alone, and so is what might not fit.
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
            // One that may not fit is tried alone: it may end long before its limit.
            let run = run.map_or(&together[next..=next], |run| run);
            next += run.len();
            runs.push(run.to_vec());
        }
        runs.extend(alone.into_iter().map(|index| vec![index]));
        runs
    }

    /// Continues the prompts of a run together, and one by one where that fails: so it is found out
    /// whose fault it is, if anyone's.
    fn of_run(self, prompts: &[&Prompt]) -> Vec<Continued> {
        match self.together(prompts) {
            Ok(sequences) => sequences.into_iter().map(Ok).collect(),
            Err(_) if self.model.stop().is_requested() => {
                prompts.iter().map(|_| Err(Error::Stopped)).collect()
            }
            Err(error) if prompts.len() == 1 => vec![Err(error)],
            Err(_) => {
                let each = prompts.iter().map(std::slice::from_ref);
                each.flat_map(|prompt| self.of_run(prompt)).collect()
            }
        }
    }

    /// Returns how long a prompt may become.
    fn limit(self, prompt: &Prompt) -> usize {
        self.settings
            .max_length(prompt, self.model.spec().max_positions)
    }

    /// Returns what a prompt takes once its hypotheses are `length` tokens long.
    fn bytes(self, prompt: &Prompt, length: usize) -> u64 {
        let sizes = (prompt.source.len() as u64, prompt.ids.len() as u64);
        let hypotheses = self.settings.num_beams.max(self.settings.num_sequences) as u64;
        Footprint::of(self.model).generation(sizes, (hypotheses, length as u64))
    }

    /// Fails if a prompt that is continued alone does not fit once it is `length` tokens long. Of
    /// prompts that are continued together it is known that all fit to the end.
    fn check_memory(self, prompts: &[&Prompt], length: usize) -> Result<(), Error> {
        match prompts {
            [alone] => self.memory.check(self.bytes(alone, length)),
            _ => Ok(()),
        }
    }

    /// Continues `prompts`; if one of them crosses the long-RoPE threshold, it is the only one.
    fn together(self, prompts: &[&Prompt]) -> Result<Vec<Vec<Vec<u32>>>, Error> {
        let searches = prompts
            .iter()
            .map(|prompt| search(prompt, self.settings, self.limit(prompt)));
        let mut searches: Vec<_> = searches.collect();
        // Which search each sequence of the running pass belongs to.
        let mut running: Vec<usize> = (0..prompts.len())
            .filter(|&index| self.limit(prompts[index]) > prompts[index].ids.len())
            .collect();
        if running.is_empty() {
            return Ok(searches.into_iter().map(Search::sequences).collect());
        }
        let mut hypotheses: Vec<_> = running.iter().map(|&i| prompts[i].ids.clone()).collect();
        self.check_memory(prompts, hypotheses[0].len())?;
        let mut trace = self.whole_pass(prompts, &running, &hypotheses)?;
        let mut last: Vec<_> = hypotheses.iter().map(|tokens| tokens.len() - 1).collect();
        loop {
            let scores = scores(self.model, &trace, &last)?;
            let longer = advance_all(&mut searches, &running, &hypotheses, scores);
            if longer.is_empty() {
                return Ok(searches.into_iter().map(Search::sequences).collect());
            }
            let (parents, tokens): (Vec<_>, Vec<_>) = longer.into_iter().unzip();
            running = parents.iter().map(|&parent| running[parent]).collect();
            hypotheses = tokens;
            self.check_memory(prompts, hypotheses[0].len())?;
            if self.crosses_threshold(&hypotheses) {
                trace = self.whole_pass(prompts, &running, &hypotheses)?;
                last = hypotheses.iter().map(|tokens| tokens.len() - 1).collect();
            } else {
                trace.keep(&parents);
                let new = hypotheses.iter().map(|tokens| &tokens[tokens.len() - 1..]);
                trace = (self.model).forward_on(&self.model.embed(Side::Target, new)?, trace)?;
                last = vec![0; running.len()];
            }
        }
    }

    /// Returns whether a hypothesis has just become longer than the long-RoPE threshold.
    fn crosses_threshold(self, hypotheses: &[Vec<u32>]) -> bool {
        let beyond = self.model.spec().long_rope_threshold();
        let crosses = |tokens: &Vec<u32>| beyond == Some(tokens.len() - 1);
        hypotheses.iter().any(crosses)
    }

    /// Runs the model over whole hypotheses; hypothesis `i` belongs to prompt `running[i]`.
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
        Ok(model.forward(&inputs)?)
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
    host::download_rows(&logits)
}
