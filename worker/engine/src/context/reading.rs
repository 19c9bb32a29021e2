//! The texts of an example as the model reads them.

use std::ops::Range;

use super::attribution::TextTokens;
use super::attributor::ContextAttributor;
use super::spans::positions;
use super::texts::FilledPair;
use crate::attribution::Offsets;
use crate::sides::Side;
use crate::{Error, Token};

/// An input and its output, encoded as wholes.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) texts: FilledPair,
    /// Tokens of the encoder; empty for decoder-only models.
    pub(super) source: Vec<u32>,
    pub(super) source_offsets: Vec<Offsets>,
    /// Tokens of the decoder. Offsets count in the output, which begins with the input in
    /// decoder-only models.
    pub(super) target: Vec<u32>,
    pub(super) target_offsets: Vec<Offsets>,
}

/// The texts in context, and without.
#[derive(Debug)]
pub(super) struct Readings {
    pub(super) with: Reading,
    pub(super) without: Reading,
}

/// A part of one of the texts.
#[derive(Debug)]
pub(super) struct Passage {
    pub(super) side: Side,
    /// Positions of its tokens on this side.
    pub(super) positions: Vec<usize>,
    pub(super) text: TextTokens,
}

/// The contexts that tokens may depend on.
#[derive(Debug)]
pub(super) struct Contexts {
    pub(super) input: Option<Passage>,
    pub(super) output: Option<Passage>,
}

impl Reading {
    fn tokens(&self, side: Side) -> (&str, &[u32], &[Offsets]) {
        match side {
            Side::Source => (&self.texts.input.text, &self.source, &self.source_offsets),
            Side::Target => (&self.texts.output.text, &self.target, &self.target_offsets),
        }
    }

    /// Returns the output up to and including the token at `position` of the decoder.
    pub(super) fn output_until(&self, position: usize) -> String {
        let end = self.target_offsets[position].map_or(0, |(_, end)| end);
        let text: String = self.texts.output.text.chars().take(end).collect();
        text.trim_start_matches(' ').to_owned()
    }
}

impl ContextAttributor<'_> {
    /// Encodes an input and its output.
    pub(super) fn read(&self, texts: FilledPair) -> Result<Reading, Error> {
        let encoded = self
            .comparing
            .encode_pair(&texts.input.text, &texts.output.text)?;
        let target = encoded.forced.expect("the output was given");
        Ok(Reading {
            source: encoded.source,
            source_offsets: encoded.source_offsets,
            target: target.ids,
            target_offsets: target.offsets,
            texts,
        })
    }

    /// Returns the contexts within the texts in context.
    pub(super) fn contexts(&self, with: &Reading) -> Contexts {
        let input_side = if self.has_encoder {
            Side::Source
        } else {
            Side::Target
        };
        let passage = |side, span: &Option<Range<usize>>| {
            let span = span.as_ref();
            span.map(|span| self.passage(with, side, span))
        };
        Contexts {
            input: passage(input_side, &with.texts.input.context),
            output: passage(Side::Target, &with.texts.output.context),
        }
    }

    /// Returns the part of a text within `span`. Special tokens that are written in the text are
    /// not among its tokens, unless the specification keeps them.
    pub(super) fn passage(&self, reading: &Reading, side: Side, span: &Range<usize>) -> Passage {
        let (text, ids, offsets) = reading.tokens(side);
        let vocabulary = self.comparing.tokenizer().of(side);
        let characters = |start: usize, end: usize| -> String {
            text.chars().skip(start).take(end - start).collect()
        };
        let is_written_special = |&position: &usize| {
            let (id, offsets) = (ids[position], offsets[position]);
            vocabulary.has_no_text(id)
                && offsets
                    .is_some_and(|(start, end)| characters(start, end) == vocabulary.token(id))
        };
        let positions: Vec<_> = positions(offsets, span)
            .into_iter()
            .filter(|position| self.kept.contains(&ids[*position]) || !is_written_special(position))
            .collect();
        let length = span.len();
        let within = |character: usize| character.saturating_sub(span.start).min(length);
        let tokens = positions.iter().map(|&position| Token {
            id: Some(ids[position]),
            text: vocabulary.token(ids[position]),
            offsets: offsets[position].map(|(start, end)| (within(start), within(end))),
        });
        Passage {
            side,
            text: TextTokens {
                tokens: tokens.collect(),
                text: characters(span.start, span.end),
            },
            positions,
        }
    }
}
