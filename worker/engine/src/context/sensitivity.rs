//! The first step: how much each output token depends on the context.
//!
//! The metric compares the prediction of each token of the output without context, which is the
//! metric's original text, with the prediction in context, which is its contrast. One pass over
//! each of the two texts serves all tokens.

use std::collections::BTreeMap;

use super::attribution::TextTokens;
use super::attributor::ContextAttributor;
use super::reading::Readings;
use super::spans::{Part, counterparts, positions};
use crate::engine::Prepared;
use crate::instance::Contrast;
use crate::sides::Side;
use crate::{Attribution, Error};

/// The tokens of the current output, compared without and with context.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) current: TextTokens,
    /// One score per token.
    pub(super) scores: Vec<f32>,
    /// Where each token is.
    pub(super) places: Vec<TokenPlace>,
    pub(super) attribution: Attribution,
}

/// Where a token of the current output is among the decoder's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenPlace {
    pub(super) without_context: usize,
    pub(super) with_context: usize,
}

impl ContextAttributor<'_> {
    /// Compares the predictions of the current output's tokens without and with context.
    pub(super) fn compare(&self, id: i64, readings: &Readings) -> Result<Comparison, Error> {
        let without = &readings.without;
        let partners = partners(readings);
        let current = self.passage(without, Side::Target, &without.texts.output.current);
        let prepared = self.prepare_comparison(id, readings, &partners)?;
        let first = prepared.instance.explained.start;
        let attribution = self
            .comparing
            .attribute_prepared(vec![prepared])
            .remove(0)?;
        let mut scores = Vec::with_capacity(current.positions.len());
        for position in &current.positions {
            let step = position - first;
            let score = attribution.steps[step].step_scores[0];
            if !score.is_finite() {
                return Err(Error::NotFinite { step });
            }
            scores.push(score);
        }
        let places = current.positions.iter().map(|position| TokenPlace {
            without_context: *position,
            with_context: partners[position],
        });
        Ok(Comparison {
            places: places.collect(),
            current: current.text,
            scores,
            attribution,
        })
    }

    /// Prepares the output without context, contrasted with the output in context. `partners` pairs
    /// the positions of its tokens.
    fn prepare_comparison(
        &self,
        id: i64,
        Readings { with, without }: &Readings,
        partners: &BTreeMap<usize, usize>,
    ) -> Result<Prepared, Error> {
        let (Some((&first, _)), Some((&last, _))) =
            (partners.first_key_value(), partners.last_key_value())
        else {
            return wrong_texts("the output text has no tokens");
        };
        // Nothing precedes the first position of a text, so nothing predicts it.
        if first == 0 || partners.values().any(|&partner| partner == 0) {
            return wrong_texts(
                "the output text begins with the first token, so nothing predicts it; the input text \
                 must have a token of its own",
            );
        }
        let explained = first..last + 1;
        let mut partner = partners[&first];
        let aligned = explained.clone().map(|position| {
            partner = partners.get(&position).copied().unwrap_or(partner);
            partner
        });
        let contrast = Contrast {
            source: with.source.clone(),
            target: with.target.clone(),
            aligned: aligned.collect(),
        };
        let encoder = self.comparing.encoder();
        let mut instance = encoder.explaining(id, &without.source, &without.target, explained);
        instance.contrast = Some(contrast);
        Ok(Prepared {
            instance,
            source_offsets: without.source_offsets.clone(),
            target_offsets: without.target_offsets.clone(),
            generated_text: without.texts.output.text.clone(),
            forced: true,
        })
    }
}

/// Returns the position in context of every token of the output without context.
fn partners(Readings { with, without }: &Readings) -> BTreeMap<usize, usize> {
    let spans = [without, with].map(|reading| &reading.texts.output.current);
    let own = positions(&without.target_offsets, spans[0]);
    let other = positions(&with.target_offsets, spans[1]);
    let paired = counterparts(
        Part {
            ids: &without.target,
            offsets: &without.target_offsets,
            positions: &own,
            start: spans[0].start,
        },
        Part {
            ids: &with.target,
            offsets: &with.target_offsets,
            positions: &other,
            start: spans[1].start,
        },
    );
    own.into_iter().zip(paired).collect()
}

fn wrong_texts<T>(reason: &str) -> Result<T, Error> {
    Err(Error::ContextTexts {
        reason: reason.to_owned(),
    })
}
