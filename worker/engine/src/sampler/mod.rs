//! A masked language model that proposes tokens of another model, each in the context of its text.
//!
//! A token is masked in the text around it, and what the masked language model expects there is read
//! as tokens of the attributed model. The two speak through text alone: the context is spelt out and
//! encoded again, and an expected token counts where a token of the model stands for the very same
//! characters, its leading blank included. What no one token of the model stands for is passed over.
//!
//! Proposals are numbers of one text: the passes they come from hold nothing of another.

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

/// Most tokens of one pass: enough for products at full speed, few enough for a step to have a pass for
/// every thread.
const PASS_TOKENS: usize = 512;

/// A masked language model, ready to propose tokens of an attributed model.
#[derive(Debug)]
pub struct Sampler {
    lm: MaskedLm,
    tokenizer: Tokenizer,
    /// The mask, as it is written and as it is numbered.
    mask: (String, u32),
    /// To the tokens of each side, the same where both have one vocabulary.
    translations: Sides<Arc<Translation>>,
    /// The attributed model's.
    reader: Tokenizer,
}

/// A token that may take another's place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proposal {
    /// The token, of the attributed model.
    pub token: u32,
    /// The masked language model's logit of it.
    pub logit: f32,
}

impl Sampler {
    /// Loads the masked language model of `source`, to propose tokens of the model that `reader` is
    /// the tokenizer of.
    ///
    /// Fails if the folder is missing or not the job's, its model is no masked language model that
    /// is served, its tokenizer has no mask, or the two have no token in common.
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

    /// Returns, for each of `tokens` of `side`, the `count` likeliest other tokens in its place, likeliest
    /// first; none for a token without text, such as one that starts a text.
    ///
    /// `tokens` is all the masked language model sees.
    pub fn propose(
        &self,
        side: Side,
        tokens: &[u32],
        count: usize,
    ) -> Result<Vec<Vec<Proposal>>, Error> {
        self.propose_until(side, tokens, count, &Stop::default())
    }

    /// As [`Self::propose`], until `stop` is requested.
    pub(crate) fn propose_until(
        &self,
        side: Side,
        tokens: &[u32],
        count: usize,
        stop: &Stop,
    ) -> Result<Vec<Vec<Proposal>>, Error> {
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

    /// Returns what proposing in the place of each of `tokens` tokens takes, where `lanes` passes run
    /// at once: the text around each token, and the passes.
    pub(crate) fn bytes(&self, tokens: u64, lanes: u64) -> u64 {
        // Characters of a token, in the text before it, through it and behind it.
        const TEXTS: u64 = 3 * 8;
        let pass_tokens = self.lm.max_tokens().max(PASS_TOKENS) as u64;
        tokens * tokens * TEXTS + lanes * self.lm.pass_bytes(pass_tokens)
    }

    /// Returns the logits of the token between `before` and `after`, one entry per token of the masked
    /// language model's vocabulary.
    pub fn logits(&self, before: &str, after: &str) -> Result<Vec<f32>, Error> {
        let text = self.masked(before, after)?;
        let logits = host::download(&self.lm.logits(&[&text])?)?;
        // The masked language model computes in single precision: nothing is rounded here.
        Ok(logits.into_iter().map(|logit| logit as f32).collect())
    }

    /// Encodes a text with a mask in it, cut around the mask where it is longer than the masked
    /// language model has positions for.
    fn masked(&self, before: &str, after: &str) -> Result<MaskedText, Error> {
        let (written, id) = &self.mask;
        let text = format!("{before}{written}{after}");
        let encoding = self.tokenizer.encode_prompt(&text, false)?;
        let is_mask = |token: &u32| token == id;
        // A text may have masks of its own.
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
        let front = encoding.ranges.iter().take_while(added).count();
        let behind = encoding.ranges.iter().rev().take_while(added).count();
        let text = MaskedText {
            mask,
            ids: encoding.ids,
        };
        Ok(cut(text, front, behind, self.lm.max_tokens()))
    }
}

/// Returns the `count` likeliest tokens of the attributed model, `own` left out.
fn likeliest(translation: &Translation, logits: &[f64], own: u32, count: usize) -> Vec<Proposal> {
    let proposal = |(token, &logit): (usize, &f64)| {
        let token = translation.of(token).filter(|token| *token != own)?;
        let logit = logit as f32;
        Some(Proposal { token, logit })
    };
    let mut proposals: Vec<_> = logits.iter().enumerate().filter_map(proposal).collect();
    proposals.sort_by(|a, b| b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token)));
    // Two tokens there may be one here.
    let mut seen = HashSet::new();
    proposals.retain(|proposal| seen.insert(proposal.token));
    proposals.truncate(count);
    proposals
}

/// Returns the mask of a tokenizer, as it is written and as it is numbered.
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

/// Returns the text around each of `tokens`; `None` where a token adds no text of
/// its own to that of the tokens before it.
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

/// Cuts `text` to `limit` tokens, keeping the `front` and `behind` ones of every text, and
/// of the others those nearest to the mask.
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
