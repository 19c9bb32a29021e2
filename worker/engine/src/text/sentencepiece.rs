//! SentencePiece tokenizers of T5, mBART, NLLB, M2M100 and Llama, for folders without
//! `tokenizer.json`.
//!
//! SentencePiece finds the pieces, but the model assigns their ids: fairseq and T5 put tokens of
//! their own before or after SentencePiece's. Added tokens are split off before SentencePiece sees
//! the text, as in transformers.

use std::collections::HashMap;
use std::path::Path;

use sentencepiece_rs::SentencePieceModel;

use super::added_tokens::AddedTokens;
use super::class::TokenizerClass;
use super::codec::Codec;
use super::encoding::Encoding;
use super::pieces::Pieces;
use super::unserved;
use crate::Error;
use crate::model::config::ConfigFile;
use crate::model::disk;

/// The character that SentencePiece writes for a blank.
const BLANK: char = '▁';

/// How a family assigns ids to its pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbering {
    /// The ids of SentencePiece.
    Own,
    /// `<s> <pad> </s> <unk>` come first, in this order, and SentencePiece's ids are shifted by
    /// one.
    Fairseq,
    /// The ids of a separate vocabulary file.
    Vocabulary,
}

/// A family of tokenizers with one SentencePiece model.
struct Family {
    /// File name of the SentencePiece model.
    file: &'static str,
    /// Tokenizer classes that read the file this way.
    classes: &'static [&'static str],
    numbering: Numbering,
    /// Whether a text begins with the start token (`starts`) and ends with the end token (`ends`).
    /// In multilingual families the language codes take their place.
    starts: bool,
    ends: bool,
}

impl Family {
    /// Returns whether a text begins with the start token, and whether it ends with the end token.
    /// Llama's files say so themselves; for other families it depends on the class.
    fn frame(&self, folder: &Path) -> Result<(bool, bool), Error> {
        if self.classes != ["LlamaTokenizer"] {
            return Ok((self.starts, self.ends));
        }
        let config = ConfigFile::read_optional(folder, "tokenizer_config.json")?;
        Ok((
            config.flag_or("add_bos_token", self.starts)?,
            config.flag_or("add_eos_token", self.ends)?,
        ))
    }
}

/// The known families. The first one that fits is used.
const FAMILIES: &[Family] = &[
    Family {
        file: "spiece.model",
        classes: &["T5Tokenizer", "MT5Tokenizer"],
        numbering: Numbering::Own,
        starts: false,
        ends: true,
    },
    Family {
        file: "sentencepiece.bpe.model",
        classes: &["M2M100Tokenizer"],
        numbering: Numbering::Vocabulary,
        starts: false,
        ends: true,
    },
    Family {
        file: "sentencepiece.bpe.model",
        classes: &["MBartTokenizer", "MBart50Tokenizer", "NllbTokenizer"],
        numbering: Numbering::Fairseq,
        starts: false,
        ends: true,
    },
    Family {
        file: "tokenizer.model",
        classes: &["LlamaTokenizer"],
        numbering: Numbering::Own,
        starts: true,
        ends: false,
    },
];

/// A tokenizer with a single SentencePiece model for both sides.
pub(super) struct SentencePiece {
    pieces: Pieces,
    family: &'static Family,
    ids: HashMap<String, u32>,
    tokens: HashMap<u32, String>,
    added: AddedTokens,
    /// Tokens that begin and end every text; `None` if nothing is added there.
    start: Option<u32>,
    end: Option<u32>,
    unknown: u32,
}

impl std::fmt::Debug for SentencePiece {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SentencePiece")
            .field("file", &self.family.file)
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}

impl SentencePiece {
    /// Loads the tokenizer of `class` in `folder`. Returns `None` if the folder has no model that
    /// this class reads in the way of a known family.
    ///
    /// Fails if a file is damaged.
    pub(super) fn load(folder: &Path, class: &TokenizerClass) -> Result<Option<Self>, Error> {
        let fits = |family: &&Family| {
            let has_numbers =
                family.numbering != Numbering::Vocabulary || folder.join("vocab.json").exists();
            has_numbers && folder.join(family.file).exists() && class.may_be(family.classes)
        };
        let Some(family) = FAMILIES.iter().find(fits) else {
            return Ok(None);
        };
        let (starts, ends) = family.frame(folder)?;
        let path = folder.join(family.file);
        // Llama 3's original files use the same file name as Llama 2's for another format.
        if unserved::is_tiktoken(&disk::read(&path)?) {
            return Err(unserved::tiktoken(folder, family.file));
        }
        let damaged = |reason: String| Error::ModelContent {
            path: path.clone(),
            reason,
        };
        let pieces = Pieces::load(&path)?;
        let mut ids = number(folder, family.numbering, pieces.model())?;
        let next = ids.values().max().map_or(0, |largest| largest + 1);
        let added = AddedTokens::read(folder, &ids, next)?;
        ids.extend(added.ids());
        let unknown = ids.get("<unk>").copied();
        Ok(Some(Self {
            unknown: unknown.ok_or_else(|| damaged("it has no piece `<unk>`".to_owned()))?,
            start: ids.get("<s>").copied().filter(|_| starts),
            end: ids.get("</s>").copied().filter(|_| ends),
            tokens: ids.iter().map(|(token, id)| (*id, token.clone())).collect(),
            ids,
            pieces,
            family,
            added,
        }))
    }
}

/// Assigns ids to the pieces of a SentencePiece model.
fn number(
    folder: &Path,
    numbering: Numbering,
    model: &SentencePieceModel,
) -> Result<HashMap<String, u32>, Error> {
    if numbering == Numbering::Vocabulary {
        return super::vocab_json::read(&folder.join("vocab.json"));
    }
    let mut ids = HashMap::new();
    for index in 0..model.vocab_size() {
        let Ok(piece) = model.id_to_piece(index) else {
            continue;
        };
        // fairseq has four special tokens where SentencePiece has three.
        let shift = u32::from(numbering == Numbering::Fairseq);
        ids.insert(piece.to_owned(), index as u32 + shift);
    }
    if numbering == Numbering::Fairseq {
        for (token, id) in [("<s>", 0), ("<pad>", 1), ("</s>", 2), ("<unk>", 3)] {
            ids.insert(token.to_owned(), id);
        }
    }
    Ok(ids)
}

impl Codec for SentencePiece {
    fn encode(&self, text: &str, with_special: bool) -> Result<Encoding, Error> {
        let mut encoding = Encoding::default();
        if with_special && let Some(start) = self.start {
            encoding.push(start, None);
        }
        for part in self.added.split(text) {
            if let Some(token) = part.token {
                encoding.push(token, Some(part.range()));
                continue;
            }
            for piece in self.pieces.cut(part.text, part.start)? {
                let id = self.ids.get(&piece.text).copied();
                encoding.push(id.unwrap_or(self.unknown), Some(piece.range));
            }
        }
        if with_special && let Some(end) = self.end {
            encoding.push(end, None);
        }
        Ok(encoding)
    }

    fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let mut text = String::new();
        for &id in ids {
            if self.added.is_special(id) {
                if !skip_special {
                    text.push_str(&self.token(id).unwrap_or_default());
                }
            } else {
                text.push_str(&self.token(id).unwrap_or_default());
            }
        }
        let text = text.replace(BLANK, " ");
        // SentencePiece puts a blank before a text, which is not part of it.
        text.strip_prefix(' ').unwrap_or(&text).to_owned()
    }

    fn token(&self, id: u32) -> Option<String> {
        self.tokens.get(&id).cloned()
    }

    fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    fn is_special(&self, id: u32) -> bool {
        self.added.is_special(id)
    }

    fn special_ids(&self) -> Vec<u32> {
        self.added.special_ids()
    }

    fn size(&self) -> usize {
        let largest = self.tokens.keys().max();
        largest.map_or(0, |&id| id as usize + 1)
    }
}
