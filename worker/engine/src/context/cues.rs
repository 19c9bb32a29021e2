//! The second step: which tokens of the contexts made the model generate each context-sensitive
//! token.
//!
//! If the attributed function contrasts, each token is contrasted with what the model generates in
//! its place without context, or with a given word. If both are the same token, the function
//! compares its prediction in context with that without; otherwise it compares the two tokens in
//! context, as in Inseq.

use whence_schemas::{Compat, Selection};

use super::attribution::{Alternative, TokenCues};
use super::attributor::ContextAttributor;
use super::questions::Questions;
use super::reading::{Contexts, Passage, Readings};
use super::selection::select;
use super::sensitivity::{Comparison, TokenPlace};
use super::texts::ContextExample;
use crate::attribution::Offsets;
use crate::engine::{Attributor, Prepared};
use crate::instance::Contrast;
use crate::sides::Side;
use crate::{Attribution, Error, ScoreRows};

/// What the cues of an example are searched in.
#[derive(Debug, Clone, Copy)]
pub(super) struct CueSearch<'a> {
    pub(super) example: &'a ContextExample,
    pub(super) readings: &'a Readings,
    pub(super) contexts: &'a Contexts,
    pub(super) comparison: &'a Comparison,
    /// Indices of the context-sensitive tokens.
    pub(super) selected: &'a [usize],
}

impl CueSearch<'_> {
    fn places(&self) -> Vec<TokenPlace> {
        let selected = self.selected.iter();
        selected
            .map(|&index| self.comparison.places[index])
            .collect()
    }
}

impl ContextAttributor<'_> {
    /// Returns the cues of the selected tokens, in the order of the selection, and the attribution
    /// of each.
    pub(super) fn find_cues(
        &self,
        search: &CueSearch<'_>,
        questions: &dyn Questions,
    ) -> Result<(Vec<TokenCues>, Vec<Attribution>), Error> {
        let places = search.places();
        let alternatives = match &self.cues.forced {
            Some(_) => self.alternatives(search, &places, questions)?,
            None => Vec::new(),
        };
        let attributions = self.attribute_places(search, &places, &alternatives)?;
        let mut cues = Vec::with_capacity(places.len());
        for (number, attribution) in attributions.iter().enumerate() {
            let (place, alternative) = (places[number], alternatives.get(number).copied());
            let scores = |passage: &Option<Passage>| {
                let passage = passage.as_ref();
                let read =
                    passage.map(|passage| self.scores_of(passage, attribution, (search, place)));
                read.transpose()
            };
            let input = scores(&search.contexts.input)?;
            let output = scores(&search.contexts.output)?;
            let (cue_threshold, [input_cues, output_cues]) =
                chosen(self.spec.options.cues, [&input, &output]);
            cues.push(TokenCues {
                index: search.selected[number],
                contextual_output: search.readings.with.output_until(place.with_context),
                alternative: alternative.map(|id| self.alternative(search, place, id)),
                input_context_scores: input,
                output_context_scores: output,
                cue_threshold,
                input_cues,
                output_cues,
            });
        }
        Ok((cues, attributions))
    }

    /// Returns the token that each selected one is contrasted with.
    fn alternatives(
        &self,
        search: &CueSearch<'_>,
        places: &[TokenPlace],
        questions: &dyn Questions,
    ) -> Result<Vec<u32>, Error> {
        let given = &search.example.next_tokens;
        if !given.is_empty() && given.len() != places.len() {
            return Err(Error::ContextTexts {
                reason: format!(
                    "--contextless-output-next-tokens needs one word for each context-sensitive \
                     token, in the order of their scores; words: {}, tokens: {}",
                    given.len(),
                    places.len()
                ),
            });
        }
        let without = &search.readings.without;
        let mut words: Vec<Option<String>> = given.iter().cloned().map(Some).collect();
        if self.spec.asks_next_tokens {
            for (&index, place) in search.selected.iter().zip(places) {
                let token = &search.comparison.current.tokens[index].text;
                let prefix = without.output_until(place.without_context - 1);
                words.push(questions.next_token(&prefix, token)?);
            }
        }
        words.resize(places.len(), None);
        let open = places.iter().zip(&words).filter(|(_, word)| word.is_none());
        let prefixes: Vec<_> = open
            .map(|(place, _)| &without.target[..place.without_context])
            .collect();
        let generated =
            self.comparing
                .next_tokens(search.example.id, &without.source, &prefixes)?;
        let mut generated = generated.into_iter();
        let token = |word: Option<String>| match word {
            Some(word) => self.first_token(&word),
            None => Ok(generated.next().expect("one token per open place")),
        };
        words.into_iter().map(token).collect()
    }

    /// Returns the first token of a word. A word that is spelled as the vocabulary spells a token,
    /// with its mark (`Ġhis`, `▁his`), is that token.
    fn first_token(&self, word: &str) -> Result<u32, Error> {
        let vocabulary = self.comparing.tokenizer().of(Side::Target);
        let has_mark = word.starts_with(['Ġ', '▁', 'Ċ']);
        if let Some(id) = vocabulary.id(word).filter(|_| has_mark) {
            return Ok(id);
        }
        let encoding = vocabulary.encode(word, false)?;
        encoding
            .ids
            .first()
            .copied()
            .ok_or_else(|| Error::NoTokens {
                field: "contextless output's next",
                text: word.to_owned(),
            })
    }

    /// Attributes the selected tokens, together where the same attributor serves them.
    fn attribute_places(
        &self,
        search: &CueSearch<'_>,
        places: &[TokenPlace],
        alternatives: &[u32],
    ) -> Result<Vec<Attribution>, Error> {
        let with = &search.readings.with;
        let is_forced = |number: &usize| {
            let own = with.target[places[*number].with_context];
            self.cues.plain.is_none() || alternatives.get(*number) == Some(&own)
        };
        let (forced, plain): (Vec<_>, Vec<_>) = (0..places.len()).partition(is_forced);
        let mut attributions: Vec<_> = places.iter().map(|_| None).collect();
        for (attributor, numbers) in [(&self.cues.plain, plain), (&self.cues.forced, forced)] {
            let Some(attributor) = attributor else {
                continue;
            };
            let prepared = numbers.iter().map(|&number| {
                let alternative = alternatives.get(number).copied();
                prepared(attributor, search, places[number], alternative)
            });
            let done = attributor.attribute_prepared(prepared.collect());
            for (number, attribution) in numbers.into_iter().zip(done) {
                attributions[number] = Some(attribution?);
            }
        }
        Ok(attributions.into_iter().flatten().collect())
    }

    /// Returns the scores of a passage's tokens for the one token of `attribution`.
    fn scores_of(
        &self,
        passage: &Passage,
        attribution: &Attribution,
        (search, place): (&CueSearch<'_>, TokenPlace),
    ) -> Result<Vec<f32>, Error> {
        let with = &search.readings.with;
        let (side, offsets, expected) = match passage.side {
            Side::Source => (0, &with.source_offsets, with.source.len()),
            Side::Target => (1, &with.target_offsets, place.with_context),
        };
        let step = attribution.steps.first();
        let rows = step.and_then(|step| [&step.source, &step.target][side].as_ref());
        let is_per_token =
            |rows: &&ScoreRows| rows.row_shape.is_empty() && rows.values.len() == expected;
        let Some(rows) = rows.filter(is_per_token) else {
            return Err(Error::Specification {
                reason: "the cues are one score per token of the context: the method and \
                         --attribution-aggregators must give one score per token, without merging \
                         tokens; leave out aggregators such as `none`, `subwords` and `spans`"
                    .to_owned(),
            });
        };
        let rows_of_inseq = || {
            let skipped = if self.has_encoder && self.spec.attribution.tgt_lang.is_some() {
                2
            } else {
                0
            };
            inseqs_rows(&passage.positions, offsets, skipped)
        };
        let positions = match self.comparing.compat() {
            Compat::None => passage.positions.clone(),
            Compat::Inseq071 => rows_of_inseq(),
        };
        let values = positions.iter().filter_map(|&row| rows.values.get(row));
        Ok(values.copied().collect())
    }

    fn alternative(&self, search: &CueSearch<'_>, place: TokenPlace, id: u32) -> Alternative {
        let vocabulary = self.comparing.tokenizer().of(Side::Target);
        let mut ids = search.readings.without.target[..place.without_context].to_vec();
        ids.push(id);
        let output = vocabulary.decode(&ids, true);
        Alternative {
            token: vocabulary.token(id),
            output: output.trim_start_matches(' ').to_owned(),
        }
    }
}

/// Prepares the attribution of the token at `place`, contrasted with `alternative`.
fn prepared(
    attributor: &Attributor<'_>,
    search: &CueSearch<'_>,
    place: TokenPlace,
    alternative: Option<u32>,
) -> Prepared {
    let Readings { with, without } = search.readings;
    let (position, end) = (place.with_context, place.with_context + 1);
    let (id, target) = (search.example.id, &with.target[..end]);
    let mut instance = attributor
        .encoder()
        .explaining(id, &with.source, target, position..end);
    instance.contrast = alternative.map(|alternative| Contrast {
        source: without.source.clone(),
        target: [&without.target[..place.without_context], &[alternative]].concat(),
        aligned: vec![place.without_context],
    });
    Prepared {
        instance,
        source_offsets: with.source_offsets.clone(),
        target_offsets: with.target_offsets[..end].to_vec(),
        generated_text: with.output_until(position),
        forced: true,
    }
}

/// Returns the threshold for the scores of both contexts together, and the indices of those that
/// are cues in each.
fn chosen(selection: Selection, contexts: [&Option<Vec<f32>>; 2]) -> (f64, [Vec<usize>; 2]) {
    let [input, output] = contexts.map(|scores| scores.as_deref().unwrap_or_default());
    let selected = select(selection, &[input, output].concat());
    let is_input = |index: &usize| *index < input.len();
    let (own, others): (Vec<_>, Vec<_>) = selected.indices.into_iter().partition(is_input);
    let others = others.into_iter().map(|index| index - input.len());
    (selected.threshold, [own, others.collect()])
}

/// Returns the rows in which Inseq looks for the scores of the tokens at `positions`. It counts
/// without the tokens that the tokenizer puts before the text, although they have rows, and leaves
/// out the first `skipped` rows.
fn inseqs_rows(positions: &[usize], offsets: &[Offsets], skipped: usize) -> Vec<usize> {
    let added = offsets
        .iter()
        .take_while(|offsets| offsets.is_none())
        .count();
    let rows = positions.iter().map(|position| position - added + skipped);
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inseq_reads_the_row_before_if_a_token_precedes_the_text() {
        let offsets = [None, Some((0, 3)), Some((4, 7)), None];
        assert_eq!(inseqs_rows(&[1, 2], &offsets, 0), [0, 1]);
        assert_eq!(inseqs_rows(&[1, 2], &offsets, 2), [2, 3]);
        assert_eq!(inseqs_rows(&[1], &offsets[1..], 0), [1]);
    }

    /// Inseq names the tokens of one context by the scores of both.
    #[test]
    fn cues_of_both_contexts_are_selected_together_and_counted_in_their_own() {
        let scores = [&Some(vec![0.1, 0.2]), &Some(vec![0.9, 0.1])];
        let cues = |std_weight, top_k| chosen(Selection { std_weight, top_k }, scores).1;
        assert_eq!(cues(Some(1.0), None), [vec![], vec![0]]);
        assert_eq!(cues(None, Some(2)), [vec![1], vec![0]]);
        assert_eq!(cues(None, None), [vec![1, 0], vec![0, 1]]);
        let all = Selection {
            std_weight: None,
            top_k: None,
        };
        assert_eq!(chosen(all, [&None, &None]), (0.0, [vec![], vec![]]));
    }
}
