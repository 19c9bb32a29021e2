//! From an example's texts to the tokens a method explains.
//!
//! All errors in an example's texts are found here, before anything is computed. A batch holds only
//! instances that can be attributed.

use whence_schemas::{AttributionSpec, Compat};

use super::continuation::difference;
use crate::attribution::Offsets;
use crate::footprint;
use crate::memory::MemoryBudget;
use crate::model::Transformer;
use crate::sides::Side;
use crate::text::{Encoding, Tokenizer};
use crate::{Error, Example};

/// Name of the text to explain in error messages.
const GENERATED: &str = "generated";

/// Number of characters of a text that an error message shows.
const SHOWN_CHARS: usize = 40;

/// Turns texts into tokens for one model and specification.
pub(crate) struct Encoder<'a> {
    pub(crate) model: &'a Transformer,
    pub(crate) tokenizer: &'a Tokenizer,
    pub(crate) spec: &'a AttributionSpec,
    /// Limits the memory that tokenizing may take.
    pub(crate) memory: MemoryBudget,
}

/// An example with encoded texts. If its target must be generated, it is still missing.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// Tokens of the encoder; empty for decoder-only models.
    pub(crate) source: Vec<u32>,
    /// Their offsets in the input text.
    pub(crate) source_offsets: Vec<Offsets>,
    /// Start token, or the prompt of a decoder-only model.
    pub(crate) prompt: Vec<u32>,
    /// Offsets of the tokens of a decoder-only model's prompt in the input text.
    prompt_offsets: Vec<Offsets>,
    /// The forced target.
    pub(crate) forced: Option<Target>,
}

/// An encoded target.
#[derive(Debug)]
pub(crate) struct Target {
    /// All tokens of the decoder, from the start token or the prompt on.
    pub(crate) ids: Vec<u32>,
    /// Their offsets in the text.
    pub(crate) offsets: Vec<Offsets>,
    /// Position of the first token that is explained by default.
    pub(crate) first: usize,
    /// The target as text.
    pub(crate) text: String,
}

impl Encoder<'_> {
    /// Encodes an example.
    pub(crate) fn encode(&self, example: &Example) -> Result<Encoded, Error> {
        let input_text = example.input_text.as_str();
        self.check_text(input_text)?;
        let mut encoded = self.encode_input(input_text)?;
        let continues =
            self.model.has_encoder() && self.spec.generation.generate_from_target_prefix;
        match &example.generated_text {
            Some(prefix) if continues => {
                self.check_text(prefix)?;
                let encoding = self.tokenizer.encode_target(prefix, true)?;
                check_tokens(GENERATED, prefix, &encoding.ranges)?;
                encoded.prompt.extend(encoding.ids);
                self.check_length("generated text", encoded.prompt.len())?;
            }
            Some(text) => {
                let target = self.target(input_text, &encoded.prompt, text)?;
                check_tokens(GENERATED, text, &target.offsets)?;
                encoded.forced = Some(target);
            }
            None => {}
        }
        Ok(encoded)
    }

    /// Encodes the input text of an example: as the encoder's input, or as the prompt.
    fn encode_input(&self, text: &str) -> Result<Encoded, Error> {
        let skip = self.spec.skip_special_tokens;
        let mut encoded = Encoded {
            source: Vec::new(),
            source_offsets: Vec::new(),
            prompt: Vec::new(),
            prompt_offsets: Vec::new(),
            forced: None,
        };
        if self.model.has_encoder() {
            let source = self.tokenizer.encode_source(text, skip)?;
            check_tokens("input", text, &source.ranges)?;
            encoded.source_offsets = source.offsets(text);
            encoded.source = source.ids;
            self.check_length("input", encoded.source.len())?;
            encoded.prompt = vec![self.start_token()?];
        } else {
            let prompt = self.tokenizer.encode_prompt(text, skip)?;
            check_tokens("input", text, &prompt.ranges)?;
            encoded.prompt_offsets = prompt.offsets(text);
            encoded.prompt = prompt.ids;
            self.check_length("input", encoded.prompt.len())?;
        }
        Ok(encoded)
    }

    /// Encodes the target `text` of an example.
    fn target(&self, input_text: &str, prompt: &[u32], text: &str) -> Result<Target, Error> {
        self.check_text(text)?;
        let skip = self.spec.skip_special_tokens;
        let (encoding, first) = if self.model.has_encoder() {
            let start = Encoding {
                ids: vec![self.start_token()?],
                ranges: vec![None],
            };
            let target = self.tokenizer.encode_target(text, skip)?;
            (start.followed_by(target), 1)
        } else {
            if !text.starts_with(input_text) {
                return Err(Error::NotAContinuation {
                    difference: difference(input_text, text),
                });
            }
            let encoding = self.tokenizer.encode_prompt(text, skip)?;
            // A token that begins in the prompt and ends after it counts as the first generated
            // token.
            let in_prompt = |range: &&Option<(usize, usize)>| {
                range.is_none_or(|(_, end)| end <= input_text.len())
            };
            let first = match self.spec.compat {
                Compat::None => encoding.ranges.iter().take_while(in_prompt).count(),
                // Inseq counts the tokens of the prompt encoded by itself, even if the prompt's
                // last token merges with what follows.
                Compat::Inseq071 => prompt.len(),
            };
            (encoding, first)
        };
        // The last token is only predicted, never an input, so it needs no position.
        self.check_length("generated text", encoding.ids.len().saturating_sub(1))?;
        Ok(Target {
            offsets: encoding.offsets(text),
            ids: encoding.ids,
            first,
            text: text.to_owned(),
        })
    }

    /// Builds the target from the generated tokens `new`.
    ///
    /// The generated ids are explained as they are. Inseq decodes them and tokenizes the text
    /// again, which can give other ids.
    pub(crate) fn generated(
        &self,
        input_text: &str,
        encoded: &Encoded,
        new: &[u32],
    ) -> Result<Target, Error> {
        let mut ids = encoded.prompt.clone();
        ids.extend_from_slice(new);
        let text = self.tokenizer.of(Side::Target).decode(&ids, true);
        match self.spec.compat {
            Compat::None => Ok(Target {
                // A target prefix that generation continued from is explained too.
                first: if self.model.has_encoder() {
                    1
                } else {
                    encoded.prompt.len()
                },
                offsets: self.generated_offsets(input_text, encoded, &ids, &text),
                ids,
                text,
            }),
            Compat::Inseq071 => self.target(input_text, &encoded.prompt, &text),
        }
    }

    /// Returns the offsets of the tokens `ids` of a generated target in their text.
    fn generated_offsets(
        &self,
        input_text: &str,
        encoded: &Encoded,
        ids: &[u32],
        text: &str,
    ) -> Vec<Offsets> {
        let mut offsets = Vec::new();
        // If decoding reproduced the prompt, its known offsets are still valid and need no
        // computing.
        if text.starts_with(input_text) {
            offsets.clone_from(&encoded.prompt_offsets);
        }
        let first = offsets.len();
        let vocabulary = self.tokenizer.of(Side::Target);
        offsets.extend(vocabulary.offsets_in_decoded(ids, first, text));
        offsets
    }

    fn start_token(&self) -> Result<u32, Error> {
        self.tokenizer
            .of(Side::Target)
            .special()
            .decoder_start
            .ok_or_else(|| Error::Specification {
                reason: "the model's config.json names no `decoder_start_token_id`".to_owned(),
            })
    }

    /// Fails if tokenizing `text` would take more memory than the budget allows, or if a stop was
    /// requested.
    pub(crate) fn check_text(&self, text: &str) -> Result<(), Error> {
        if self.model.stop().is_requested() {
            return Err(Error::Stopped);
        }
        self.memory.check(footprint::text_bytes(text))
    }

    pub(crate) fn check_length(&self, field: &'static str, tokens: usize) -> Result<(), Error> {
        let limit = self.model.spec().max_positions;
        if tokens > limit {
            Err(Error::TooLong {
                field,
                tokens,
                limit,
            })
        } else {
            Ok(())
        }
    }
}

/// Fails if a text is empty, or if none of its tokens covers a part of it. Tokens that the
/// tokenizer adds to every text do not count. A text of whitespace has tokens in most vocabularies.
pub(super) fn check_tokens(
    field: &'static str,
    text: &str,
    places: &[Option<(usize, usize)>],
) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::EmptyText { field });
    }
    if places.iter().any(Option::is_some) {
        return Ok(());
    }
    let text = text.chars().take(SHOWN_CHARS).collect();
    Err(Error::NoTokens { field, text })
}
