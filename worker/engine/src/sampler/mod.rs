//! A masked language model that proposes replacement tokens for another model, in context.
//!
//! Each token is masked in turn, and what the masked language model expects in its place is
//! translated into tokens of the attributed model. The two models exchange only text: the context
//! is decoded and encoded again for the masked language model. An expected token counts if the
//! attributed model has a token for exactly the same characters, a leading blank included.
//! Expected tokens without such a counterpart are skipped.
//!
//! Proposals for a text depend on that text alone: no pass mixes in another text.

mod masked_lm;
mod source;
mod vocabulary;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use crate::Error;
use crate::kernels::host;
use crate::model::ModelFiles;
use crate::sides::{Side, Sides};
use crate::stop::Stop;
use crate::text::{Tokenizer, Vocabulary};
use masked_lm::{MaskedLm, MaskedText};
pub use source::SamplerSource;
use source::refused;
use vocabulary::Translation;

/// Maximum number of tokens per pass: enough for matrix products at full speed, and few enough
/// that a step has a pass for every thread.
const PASS_TOKENS: usize = 512;

/// A masked language model, ready to propose tokens of an attributed model.
#[derive(Debug)]
pub struct Sampler {
    lm: MaskedLm,
    tokenizer: Tokenizer,
    /// The mask token: its text and its id.
    mask: (String, u32),
    /// From the sampler's tokens to the attributed model's tokens of each side. Both sides share
    /// one translation if they have the same vocabulary.
    translations: Sides<Arc<Translation>>,
    /// Tokenizer of the attributed model.
    reader: Tokenizer,
}

/// A token that may replace another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proposal {
    /// The token's id in the attributed model's vocabulary.
    pub token: u32,
    /// The logit that the masked language model gives it.
    pub logit: f32,
}

impl Sampler {
    /// Loads the masked language model of `source`. `reader` is the tokenizer of the attributed
    /// model.
    ///
    /// Fails if the folder is missing or differs from what the job recorded, if its model is not a
    /// supported masked language model, if its tokenizer has no mask token, or if the two
    /// vocabularies have no token in common.
    pub fn load(source: &SamplerSource, reader: &Tokenizer) -> Result<Self, Error> {
        source.check()?;
        let files = ModelFiles::open(source.path())?;
        let lm = MaskedLm::load(&files)?;
        let tokenizer = Tokenizer::load(&files, &files.config()?.to_value())?;
        let mask = mask(files.path(), &tokenizer)?;
        let own = tokenizer.of(Side::Target);
        if own.size() > lm.vocabulary() {
            let (tokens, rows) = (own.size(), lm.vocabulary());
            let reason = format!("its tokenizer has {tokens} tokens, its model {rows}");
            return Err(refused(files.path(), reason));
        }
        let translation = |side| {
            let translation = Translation::between(own, lm.vocabulary(), reader.of(side))?;
            if translation.is_empty() {
                let reason = "none of its tokens has the text of a token of the model".to_owned();
                return Err(refused(files.path(), reason));
            }
            Ok(Arc::new(translation))
        };
        let target = translation(Side::Target)?;
        let source = if reader.has_one_vocabulary() {
            target.clone()
        } else {
            translation(Side::Source)?
        };
        Ok(Self {
            lm,
            tokenizer,
            mask,
            translations: Sides { source, target },
            reader: reader.clone(),
        })
    }

    /// Returns, for each of `tokens` of `side`, the `count` likeliest other tokens in its place,
    /// likeliest first. The list is empty for a token without text, such as one that starts a
    /// text.
    ///
    /// The masked language model sees only `tokens`, nothing of the other side.
    pub fn propose(
        &self,
        side: Side,
        tokens: &[u32],
        count: usize,
    ) -> Result<Vec<Vec<Proposal>>, Error> {
        self.propose_until(side, tokens, count, &Stop::default())
    }

    /// As [`Self::propose`], but fails as soon as `stop` is requested.
    pub(crate) fn propose_until(
        &self,
        side: Side,
        tokens: &[u32],
        count: usize,
        stop: &Stop,
    ) -> Result<Vec<Vec<Proposal>>, Error> {
        // Grouped by length, because a pass takes only texts of the same length: nothing is
        // padded.
        let mut by_length: BTreeMap<usize, Vec<(usize, MaskedText)>> = BTreeMap::new();
        let contexts = contexts(self.reader.of(side), tokens);
        for (index, context) in contexts.into_iter().enumerate() {
            if let Some(Context { before, after }) = context {
                let text = self.masked(&before, &after)?;
                let length = text.ids.len();
                by_length.entry(length).or_default().push((index, text));
            }
        }
        let texts = by_length.iter();
        let passes = texts.flat_map(|(length, texts)| texts.chunks((PASS_TOKENS / length).max(1)));
        let of_pass = |pass: &[(usize, MaskedText)]| -> Result<Vec<_>, Error> {
            stop.check()?;
            let masked: Vec<_> = pass.iter().map(|(_, text)| text).collect();
            let logits = host::download_rows(&self.lm.logits(&masked)?)?;
            let of_text = |((index, _), logits): (&(usize, _), &Vec<f64>)| {
                let translation = self.translations.of(side);
                (
                    *index,
                    likeliest(translation, logits, tokens[*index], count),
                )
            };
            Ok(pass.iter().zip(&logits).map(of_text).collect())
        };
        let found: Result<Vec<_>, Error> = passes.par_bridge().map(of_pass).collect();
        let mut proposals = vec![Vec::new(); tokens.len()];
        for (index, likeliest) in found?.into_iter().flatten() {
            proposals[index] = likeliest;
        }
        Ok(proposals)
    }

    /// Returns the bytes needed to propose replacements for each of `tokens` tokens with `lanes`
    /// passes in parallel: the text around each token, and the passes themselves.
    pub(crate) fn bytes(&self, tokens: u64, lanes: u64) -> u64 {
        // Bytes of text per token, taken to be 8, in each of three strings: the text before a
        // token, the text up to its end, and the text after it.
        const TEXTS: u64 = 3 * 8;
        let pass_tokens = self.lm.max_tokens().max(PASS_TOKENS) as u64;
        tokens * tokens * TEXTS + lanes * self.lm.pass_bytes(pass_tokens)
    }

    /// Returns the logits for the place between `before` and `after`, one per token of the masked
    /// language model's vocabulary.
    pub fn logits(&self, before: &str, after: &str) -> Result<Vec<f32>, Error> {
        let text = self.masked(before, after)?;
        let logits = host::download(&self.lm.logits(&[&text])?)?;
        // The model computes in single precision, so this conversion rounds nothing.
        Ok(logits.into_iter().map(|logit| logit as f32).collect())
    }

    /// Encodes a text with a mask in it. A text with more tokens than the masked language model
    /// has positions is cut around the mask.
    fn masked(&self, before: &str, after: &str) -> Result<MaskedText, Error> {
        let (written, id) = &self.mask;
        let text = format!("{before}{written}{after}");
        let encoding = self.tokenizer.encode_prompt(&text, false)?;
        let is_mask = |token: &u32| token == id;
        // The text itself may contain mask tokens; count those before ours to find the right one.
        let earlier = if before.contains(written) {
            let before = self.tokenizer.encode_prompt(before, true)?;
            before.ids.iter().filter(|token| is_mask(token)).count()
        } else {
            0
        };
        let masks = encoding.ids.iter().enumerate();
        let mut masks = masks.filter(|(_, token)| is_mask(token));
        let Some((mask, _)) = masks.nth(earlier) else {
            let reason = format!("the sampler's tokenizer has lost `{written}` in it");
            return Err(Error::Tokenize { reason });
        };
        let added = |range: &&Option<_>| range.is_none();
        // Tokens without a range were added around the text and must survive a cut.
        let front = encoding.ranges.iter().take_while(added).count();
        let behind = encoding.ranges.iter().rev().take_while(added).count();
        let text = MaskedText {
            mask,
            ids: encoding.ids,
        };
        Ok(cut(text, front, behind, self.lm.max_tokens()))
    }
}

/// Returns the `count` likeliest tokens of the attributed model, leaving out the token `own`.
fn likeliest(translation: &Translation, logits: &[f64], own: u32, count: usize) -> Vec<Proposal> {
    let proposal = |(token, &logit): (usize, &f64)| {
        let token = translation.of(token).filter(|token| *token != own)?;
        let logit = logit as f32;
        Some(Proposal { token, logit })
    };
    let mut proposals: Vec<_> = logits.iter().enumerate().filter_map(proposal).collect();
    proposals.sort_by(|a, b| b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token)));
    // Two tokens of the sampler may translate to the same token of the attributed model.
    let mut seen = HashSet::new();
    proposals.retain(|proposal| seen.insert(proposal.token));
    proposals.truncate(count);
    proposals
}

/// Returns the mask token of a tokenizer: its text and its id.
fn mask(path: &Path, tokenizer: &Tokenizer) -> Result<(String, u32), Error> {
    let Some(written) = tokenizer.named("mask_token") else {
        let reason = "its tokenizer has no mask: tokenizer_config.json names no `mask_token`";
        return Err(refused(path, reason.to_owned()));
    };
    match tokenizer.encode_prompt(written, true)?.ids.as_slice() {
        [id] if tokenizer.of(Side::Target).token(*id) == written => Ok((written.to_owned(), *id)),
        _ => Err(refused(
            path,
            format!("its tokenizer does not keep its mask `{written}` in one token"),
        )),
    }
}

/// The text around a token.
#[derive(Debug, PartialEq, Eq)]
struct Context {
    before: String,
    after: String,
}

/// Returns the text around each of `tokens`, or `None` for a token that adds no text to that of
/// the tokens before it.
fn contexts(reader: &Vocabulary, tokens: &[u32]) -> Vec<Option<Context>> {
    let read = |len| reader.decode(&tokens[..len], true);
    let cached_prefixes: Vec<String> = (0..=tokens.len()).map(read).collect();
    let whole = &cached_prefixes[tokens.len()];
    let context = |pair: &[String]| {
        let (before, through) = (&pair[0], &pair[1]);
        let adds = through.len() > before.len() && through.starts_with(before.as_str());
        let after = whole.strip_prefix(through.as_str()).filter(|_| adds)?;
        Some(Context {
            before: before.clone(),
            after: after.to_owned(),
        })
    };
    cached_prefixes.windows(2).map(context).collect()
}

/// Cuts `text` to `limit` tokens. Keeps the special tokens, the first `front` and the last
/// `behind`, and of the others those nearest to the mask.
fn cut(text: MaskedText, front: usize, behind: usize, limit: usize) -> MaskedText {
    let len = text.ids.len();
    if len <= limit {
        return text;
    }
    let room = limit.saturating_sub(front + behind).max(1);
    let last = len - behind - room;
    let start = text.mask.saturating_sub(room / 2).clamp(front, last);
    let kept = [0..front, start..start + room, len - behind..len];
    MaskedText {
        ids: kept
            .into_iter()
            .flat_map(|range| &text.ids[range])
            .copied()
            .collect(),
        mask: text.mask - start + front,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_around_its_mask() {
        let text = |mask| MaskedText {
            ids: (0..12).collect(),
            mask,
        };
        assert_eq!(cut(text(5), 1, 1, 12), text(5));
        for (mask, ids, at) in [
            (1, [0, 1, 2, 3, 4, 11], 1),
            (6, [0, 4, 5, 6, 7, 11], 3),
            (10, [0, 7, 8, 9, 10, 11], 4),
        ] {
            let cut = cut(text(mask), 1, 1, 6);
            assert_eq!((cut.ids.as_slice(), cut.mask), (ids.as_slice(), at));
            assert_eq!(cut.ids[cut.mask] as usize, mask);
        }
    }
}
