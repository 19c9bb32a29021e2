//! The stages of an attribution one by one, for callers that choose tokens and positions
//! themselves.

use whence_schemas::{Compat, GenerationSpec};

use super::Attributor;
use super::prepared::Prepared;
use crate::encode::{Encoded, Encoder};
use crate::generate::{self, Prompt, Settings};
use crate::sides::Side;
use crate::text::Tokenizer;
use crate::{Attribution, Error, Example};

impl Attributor<'_> {
    /// Returns what encodes texts for this attributor.
    pub(crate) fn encoder(&self) -> Encoder<'_> {
        Encoder {
            model: &self.model,
            tokenizer: &self.tokenizer,
            spec: &self.spec,
            memory: self.budget.memory,
        }
    }

    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub(crate) fn compat(&self) -> Compat {
        self.spec.compat
    }

    /// Returns whether the attributed function compares with a contrast.
    pub(crate) fn is_contrastive(&self) -> bool {
        self.function.is_contrastive()
    }

    /// Returns whether the attributed function needs the prediction after the contrast's own text.
    pub(crate) fn needs_own_contrast(&self) -> bool {
        self.function.needs_own_contrast()
    }

    /// Encodes an input and a forced output. The output of a decoder-only model begins with the
    /// input.
    pub(crate) fn encode_pair(&self, input: &str, output: &str) -> Result<Encoded, Error> {
        let example = Example::new(0, input).with_generated_text(output);
        self.encoder().encode(&example)
    }

    /// Attributes examples together that the caller prepared. Result `i` belongs to example `i`.
    pub(crate) fn attribute_prepared(
        &self,
        prepared: Vec<Prepared>,
    ) -> Vec<Result<Attribution, Error>> {
        let instances: Vec<_> = prepared.iter().map(|one| one.instance.clone()).collect();
        let explained = self.explain_each(&instances);
        let finish = |(prepared, explained): (Prepared, Result<_, Error>)| {
            self.finish(self.assemble(prepared, explained?), None)
        };
        prepared.into_iter().zip(explained).map(finish).collect()
    }

    /// Returns the tokens that the model continues for an input text. With an encoder, the output
    /// begins with `start`; behind the code of the target language, if the model forces one.
    pub(crate) fn prompt_with_start(
        &self,
        id: i64,
        input: &str,
        start: &str,
    ) -> Result<Prompt, Error> {
        let encoded = self.encoder().encode(&Example::new(id, input))?;
        let mut ids = encoded.prompt;
        if self.model.has_encoder() && !start.is_empty() {
            ids.extend(self.spec.generation.forced_bos_token_id);
            self.encoder().check_text(start)?;
            ids.extend(self.tokenizer.encode_target(start, true)?.ids);
            self.encoder().check_length("output context", ids.len())?;
        }
        let positions = self.model.spec().max_positions;
        self.generation.check_room(ids.len(), positions)?;
        Ok(Prompt {
            source: encoded.source,
            ids,
            seed: (self.seed, id),
        })
    }

    /// Continues a prompt. Returns the new tokens of the best sequence.
    pub(crate) fn continuation(&self, prompt: Prompt) -> Result<Vec<u32>, Error> {
        let memory = self.budget.memory;
        let continued = generate::generate_within(&self.model, &[prompt], &self.generation, memory);
        let mut sequences = continued.into_iter().next().unwrap_or(Ok(Vec::new()))?;
        Ok(sequences.swap_remove(0))
    }

    /// Returns the next token of each sequence of decoder tokens behind the encoder's `source`.
    pub(crate) fn next_tokens(
        &self,
        id: i64,
        source: &[u32],
        prefixes: &[&[u32]],
    ) -> Result<Vec<u32>, Error> {
        let spec = GenerationSpec {
            // Of two tokens the first is taken, because some models force the last to be an end
            // token.
            max_new_tokens: Some(2),
            max_length: None,
            num_beams: Some(1),
            num_return_sequences: Some(1),
            ..self.spec.generation.clone()
        };
        let end = &self.tokenizer.of(Side::Target).special().eos;
        let settings = Settings::new(&spec, &self.engine.generation, end)?;
        let prompts = prefixes.iter().map(|ids| Prompt {
            source: source.to_vec(),
            ids: ids.to_vec(),
            seed: (self.seed, id),
        });
        let prompts: Vec<_> = prompts.collect();
        let positions = self.model.spec().max_positions;
        for prompt in &prompts {
            settings.check_room(prompt.ids.len(), positions)?;
        }
        let memory = self.budget.memory;
        let continued = generate::generate_within(&self.model, &prompts, &settings, memory);
        let first = |sequences: generate::Continued| Ok(sequences?[0][0]);
        continued.into_iter().map(first).collect()
    }
}
