//! Translation between two vocabularies, by the text that tokens stand for.
//!
//! Each vocabulary marks blanks in its own way: `Ġcat`, `▁cat`, or a plain `cat` as opposed to
//! `##cat`, which follows without a blank. A token's text is therefore what its tokenizer decodes
//! it to after another token, leading blank included. A token that stands for no text, or for only
//! part of a character, has no counterpart.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::Error;
use crate::text::Vocabulary;

/// Texts to decode tokens after. A vocabulary of any language should have a token for one of them.
const ANCHORS: [&str; 4] = ["a", "e", "1", "."];

/// For every token of one vocabulary, the token of another that stands for the same text.
#[derive(Debug)]
pub(super) struct Translation(Vec<Option<u32>>);

impl Translation {
    /// Pairs the first `size` tokens of `from` with those of `to`.
    pub(super) fn between(from: &Vocabulary, size: usize, to: &Vocabulary) -> Result<Self, Error> {
        let mut known = HashMap::new();
        for (id, text) in (0..).zip(texts(to, to.size())?) {
            // If two tokens have the same text, encoding uses the one with the smaller id.
            text.map(|text| known.entry(text).or_insert(id));
        }
        let counterpart = |text: Option<String>| known.get(&text?).copied();
        let texts = texts(from, size.min(from.size()))?;
        Ok(Self(texts.into_iter().map(counterpart).collect()))
    }

    /// Returns the counterpart of a token, if it has one.
    pub(super) fn of(&self, token: usize) -> Option<u32> {
        self.0.get(token).copied().flatten()
    }

    /// Returns whether no token has a counterpart.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
}

/// Returns the text of each of the first `size` tokens when it follows another token.
fn texts(vocabulary: &Vocabulary, size: usize) -> Result<Vec<Option<String>>, Error> {
    let mut anchor = (Vec::new(), String::new());
    for text in ANCHORS {
        let ids = vocabulary.encode(text, false)?.ids;
        let read = vocabulary.decode(&ids, true);
        if read == text {
            anchor = (ids, read);
            break;
        }
    }
    let (before, read) = anchor;
    let text = |id: usize| {
        let id = id as u32;
        if vocabulary.is_special(id) {
            return None;
        }
        let mut ids = before.clone();
        ids.push(id);
        let both = vocabulary.decode(&ids, true);
        let own = both.strip_prefix(&read)?;
        let is_text = !own.is_empty() && !own.contains(char::REPLACEMENT_CHARACTER);
        is_text.then(|| own.to_owned())
    };
    Ok((0..size).into_par_iter().map(text).collect())
}
