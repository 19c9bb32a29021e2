//! The settings of generation, merged from the model's and the job's options.

use serde_json::{Map, Value};
use whence_schemas::harmless::{Harmless, NOT_FOLLOWED};
use whence_schemas::{EarlyStopping, GenerationSpec};

use super::choices::Choices;
use super::processors::{self, LogitsProcessor};
use super::search::Prompt;
use crate::Error;
use crate::model::ModelFiles;

/// How many tokens transformers generates if neither model nor job limits it.
const DEFAULT_NEW_TOKENS: usize = 20;
/// The `top_k` that transformers samples with if neither model nor job gives one.
const DEFAULT_TOP_K: usize = 50;

/// Reads a model's generation options from `generation_config.json`. Older models have no such
/// file and keep them in their configuration.
///
/// Fails if an option has the wrong type, or is one that whence does not support.
pub fn choices_of(files: &ModelFiles) -> Result<GenerationSpec, Error> {
    let mut file = files.generation_config()?;
    if file.fields().is_empty() {
        file = files.config()?;
    }
    let fields = file.fields();
    if let Some(name) = not_followed(fields) {
        return Err(file.refused(format!(
            "its `{name}` is {}, which is not followed when generating; take it out, or give the targets",
            fields[name]
        )));
    }
    GenerationSpec::of_model(fields).map_err(|error| file.refused(error.to_string()))
}

/// Returns the first option in `fields` that would change the result and that whence does not
/// support.
fn not_followed(fields: &Map<String, Value>) -> Option<&'static str> {
    let changes = |option: &&Harmless| {
        let value = fields.get(option.name);
        value.is_some_and(|value| option.changes(value))
    };
    NOT_FOLLOWED.iter().find(changes).map(|option| option.name)
}

/// The settings that govern one generation.
#[derive(Debug)]
pub struct Settings {
    pub(super) num_beams: usize,
    pub(super) num_sequences: usize,
    pub(super) do_sample: bool,
    pub(super) length_penalty: f64,
    pub(super) early_stopping: EarlyStopping,
    /// Tokens that end a sequence.
    pub(super) end: Vec<u32>,
    pub(super) processors: Vec<Box<dyn LogitsProcessor>>,
    /// Tokens that every sequence must contain, each with the option that demands it.
    forced: Vec<(&'static str, u32)>,
    max_new_tokens: Option<usize>,
    max_length: Option<usize>,
}

impl Settings {
    /// Merges the options of a job with those of its model; the job's take precedence. `end` are
    /// the tokens that end a sequence if neither names any.
    ///
    /// Fails if an option is out of range, or if two exclude each other.
    pub fn new(job: &GenerationSpec, model: &GenerationSpec, end: &[u32]) -> Result<Self, Error> {
        let mut spec = job.over(model);
        let end = spec.eos_token_id.clone().unwrap_or_else(|| end.to_vec());
        let num_beams = spec.num_beams.unwrap_or(1);
        let num_sequences = spec.num_return_sequences.unwrap_or(1);
        let do_sample = spec.do_sample.unwrap_or(false);
        let refused = |reason: &str| {
            Err(Error::Specification {
                reason: reason.to_owned(),
            })
        };
        if num_beams == 0 || num_sequences == 0 {
            return refused("`num_beams` and `num_return_sequences` are 1 at least");
        }
        if !do_sample && num_sequences > num_beams {
            return refused(
                "`num_return_sequences` is larger than `num_beams`: set `num_beams`, or `do_sample` to draw each",
            );
        }
        if do_sample && num_beams > 1 && num_sequences > num_beams {
            return refused("`num_return_sequences` is larger than `num_beams`");
        }
        if do_sample {
            spec.top_k.get_or_insert(DEFAULT_TOP_K);
        }
        let (max_new_tokens, max_length) = (spec.max_new_tokens, spec.max_length);
        let choices = Choices {
            // One more than there are end tokens, so that at least one candidate runs on.
            min_tokens_to_keep: if num_beams > 1 { end.len() + 1 } else { 1 },
            end,
            spec,
        };
        Ok(Self {
            num_beams,
            num_sequences,
            do_sample,
            length_penalty: choices.spec.length_penalty.unwrap_or(1.0),
            early_stopping: (choices.spec.early_stopping).unwrap_or(EarlyStopping::AtFull(false)),
            processors: processors::build(&choices)?,
            forced: forced(&choices.spec),
            end: choices.end,
            max_new_tokens,
            max_length,
        })
    }

    /// Fails if a forced token is not in a vocabulary of `size` tokens. Forbidden tokens and end
    /// tokens may be outside: they are simply never generated.
    pub(crate) fn check_vocabulary(&self, size: usize) -> Result<(), Error> {
        let outside = |(_, token): &&(&str, u32)| *token as usize >= size;
        let Some((choice, token)) = self.forced.iter().find(outside) else {
            return Ok(());
        };
        Err(Error::Specification {
            reason: format!(
                "`{choice}` is {token}, and the model's vocabulary has {size} tokens, 0 to {}; \
                 correct it in the job's generation options or in the model's \
                 generation_config.json",
                size.saturating_sub(1)
            ),
        })
    }

    /// Returns the maximum length of a prompt with its continuation, in tokens.
    pub(super) fn max_length(&self, prompt: &Prompt, max_positions: usize) -> usize {
        self.length_behind(prompt.ids.len(), max_positions)
    }

    /// As [`Self::max_length`], for a prompt of `prompt` tokens.
    fn length_behind(&self, prompt: usize, max_positions: usize) -> usize {
        // The last generated token is never fed to the model, so it needs no position.
        let by_positions = max_positions.saturating_add(1);
        match (self.max_new_tokens, self.max_length) {
            (Some(tokens), _) => prompt.saturating_add(tokens).min(by_positions),
            (None, Some(length)) => length.min(by_positions),
            (None, None) => (prompt + DEFAULT_NEW_TOKENS).min(max_positions),
        }
    }

    /// Fails if a prompt of `prompt` tokens leaves no room for another token.
    pub(crate) fn check_room(&self, prompt: usize, max_positions: usize) -> Result<(), Error> {
        if self.length_behind(prompt, max_positions) > prompt {
            return Ok(());
        }
        let reason = match (self.max_new_tokens, self.max_length) {
            (Some(0), _) => "max_new_tokens is 0".to_owned(),
            (None, Some(length)) if length <= prompt => format!(
                "the input has {prompt} tokens, but max_length is {length}; raise it, or set max_new_tokens"
            ),
            _ => format!(
                "the input has {prompt} tokens, as many as the model has positions for; shorten the text"
            ),
        };
        Err(Error::NoRoom { reason })
    }
}

/// Returns the tokens that `spec` forces, each with the option that demands it.
fn forced(spec: &GenerationSpec) -> Vec<(&'static str, u32)> {
    let start = spec.forced_bos_token_id.into_iter();
    let end = spec.forced_eos_token_id.iter().flatten().copied();
    start
        .map(|token| ("forced_bos_token_id", token))
        .chain(end.map(|token| ("forced_eos_token_id", token)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_forced_token_outside_the_vocabulary_is_refused_by_name() {
        let read = |spec| serde_json::from_value::<GenerationSpec>(spec).unwrap();
        let none = GenerationSpec::default();
        for (spec, refused) in [
            (
                json!({"forced_bos_token_id": 47, "forced_eos_token_id": [0, 47]}),
                None,
            ),
            (
                json!({"forced_bos_token_id": 48}),
                Some("forced_bos_token_id"),
            ),
            (
                json!({"forced_eos_token_id": [2, 99]}),
                Some("forced_eos_token_id"),
            ),
            // These are never generated, in transformers either.
            (json!({"eos_token_id": 48, "suppress_tokens": [48]}), None),
        ] {
            // Once as the job's options, once as the model's own.
            for (job, model) in [(read(spec.clone()), &none), (none.clone(), &read(spec))] {
                let settings = Settings::new(&job, model, &[2]).unwrap();
                let result = settings.check_vocabulary(48).map_err(|e| e.to_string());
                match refused {
                    None => assert_eq!(result, Ok(())),
                    Some(name) => assert!(result.unwrap_err().contains(name)),
                }
            }
        }
    }
}
