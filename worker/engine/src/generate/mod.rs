//! Continuing prompts, as transformers does.
//!
//! Greedy: the likeliest token, the first of several equally likely. All prompts of a batch are
//! continued together, each with its own keys and values kept; one that is finished leaves.

use candle_core::Tensor;

use crate::error::Result;

use crate::kernels::Real;
use crate::kernels::tensor::{View, by_dtype};
use crate::model::config::ConfigFile;
use crate::model::{Inputs, Seed, Trace, Transformer};

/// What transformers generates where neither model nor caller says how much.
const DEFAULT_NEW_TOKENS: usize = 20;

/// What a model's generation config says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationDefaults {
    max_new_tokens: Option<usize>,
    /// Length of prompt and continuation together.
    max_length: Option<usize>,
    end: Vec<u32>,
    /// Replaces whatever would be the last possible token.
    forced_end: Option<u32>,
    /// Never generated.
    suppressed: Vec<u32>,
}

/// When a continuation ends.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// The model's own rules.
    pub defaults: &'a GenerationDefaults,
    /// Most new tokens; the model's own limit where absent.
    pub max_new_tokens: Option<usize>,
}

impl GenerationDefaults {
    /// Reads the rules of a model whose end tokens are `end` unless its file says otherwise.
    pub fn read(config: &ConfigFile, end: &[u32]) -> Result<Self, crate::Error> {
        let own_end = config.token_ids("eos_token_id")?;
        Ok(Self {
            max_new_tokens: config.optional_size("max_new_tokens")?,
            max_length: config.optional_size("max_length")?,
            end: if own_end.is_empty() {
                end.to_vec()
            } else {
                own_end
            },
            forced_end: config.token_ids("forced_eos_token_id")?.first().copied(),
            suppressed: config.single_token_lists("bad_words_ids")?,
        })
    }
}

impl Limits<'_> {
    /// Returns how many tokens may follow a prompt of `prompt` tokens.
    fn new_tokens(&self, prompt: usize, max_positions: usize) -> usize {
        let asked = self.max_new_tokens.or(self.defaults.max_new_tokens);
        let by_length = self
            .defaults
            .max_length
            .map(|length| length.saturating_sub(prompt));
        // The last token is never an input, so it needs no position.
        let by_positions = (max_positions + 1).saturating_sub(prompt);
        asked
            .or(by_length)
            .unwrap_or(DEFAULT_NEW_TOKENS)
            .min(by_positions)
    }
}

/// A sequence that is being continued.
struct Continuation {
    /// Its place among the prompts.
    index: usize,
    remaining: usize,
}

/// Continues `prompts`, whose sources are `sources` in models with an encoder. Returns the new
/// tokens of each, an end token included where one was reached.
pub fn greedy(
    model: &Transformer,
    sources: &[Vec<u32>],
    prompts: &[Vec<u32>],
    limits: Limits<'_>,
) -> Result<Vec<Vec<u32>>> {
    let mut continued = vec![Vec::new(); prompts.len()];
    if prompts.is_empty() {
        return Ok(continued);
    }
    let ids = |sequences: &[Vec<u32>]| model.embed(sequences.iter().map(Vec::as_slice));
    let source = if model.has_encoder() {
        Some(ids(sources)?)
    } else {
        None
    };
    let mut trace = model.forward(&Inputs {
        source,
        target: ids(prompts)?,
    })?;
    let mut last: Vec<_> = prompts.iter().map(|prompt| prompt.len() - 1).collect();
    let remaining = |prompt: &Vec<u32>| limits.new_tokens(prompt.len(), model.spec().max_positions);
    let mut active: Vec<_> = prompts
        .iter()
        .enumerate()
        .map(|(index, prompt)| Continuation {
            index,
            remaining: remaining(prompt),
        })
        .collect();
    loop {
        let chosen = likeliest(model, &trace, &last, limits.defaults)?;
        let mut kept = Vec::new();
        let mut next = Vec::new();
        for (place, (continuation, mut token)) in active.iter_mut().zip(chosen).enumerate() {
            if continuation.remaining == 0 {
                continue;
            }
            continuation.remaining -= 1;
            if continuation.remaining == 0 {
                token = limits.defaults.forced_end.unwrap_or(token);
            }
            continued[continuation.index].push(token);
            if continuation.remaining > 0 && !limits.defaults.end.contains(&token) {
                kept.push(place);
                next.push([token]);
            }
        }
        if kept.is_empty() {
            return Ok(continued);
        }
        let mut places = 0..;
        active.retain(|_| {
            places
                .next()
                .is_some_and(|place| kept.binary_search(&place).is_ok())
        });
        trace.keep(&kept);
        trace = model.forward_on(&model.embed(next.iter().map(<[u32; 1]>::as_slice))?, trace)?;
        last = vec![0; active.len()];
    }
}

/// Returns the likeliest token after row `last[i]` of each sequence.
fn likeliest(
    model: &Transformer,
    trace: &Trace,
    last: &[usize],
    rules: &GenerationDefaults,
) -> Result<Vec<u32>> {
    let seeds: Vec<_> = last
        .iter()
        .enumerate()
        .map(|(sequence, &position)| Seed { sequence, position })
        .collect();
    let logits = model.logits(&model.hidden(trace, &seeds)?)?;
    by_dtype!(logits, T => likeliest_as::<T>(&logits, &rules.suppressed))
}

fn likeliest_as<T: Real>(logits: &Tensor, suppressed: &[u32]) -> Result<Vec<u32>> {
    let (_, vocabulary) = logits.dims2()?;
    let first_largest = |row: &[T]| {
        let mut best = None;
        for (id, logit) in row.iter().enumerate() {
            let is_better = best.is_none_or(|best: usize| *logit > row[best]);
            if is_better && !suppressed.contains(&(id as u32)) {
                best = Some(id);
            }
        }
        best.unwrap_or_default() as u32
    };
    Ok(View::<T>::of(logits)?
        .chunks_exact(vocabulary)
        .map(first_largest)
        .collect())
}
