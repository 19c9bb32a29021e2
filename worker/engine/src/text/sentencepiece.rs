//! SentencePiece models of T5, mBART, NLLB, M2M100 and Llama, for folders without `tokenizer.json`.
//!
//! The pieces are SentencePiece's; their numbers are the model's own, because fairseq and T5 put
//! tokens of their own before or after SentencePiece's. Tokens that were added are split off before
//! SentencePiece sees the text, as transformers splits them off.

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

/// How SentencePiece writes a blank.
const BLANK: char = '▁';

/// How a family numbers its pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Numbering {
    /// As SentencePiece.
    Own,
    /// `<s> <pad> </s> <unk>` come first, in this order; SentencePiece's are one further.
    Fairseq,
    /// As a vocabulary of its own says.
    Vocabulary,
}

/// A family of tokenizers with one SentencePiece model.
struct Family {
    /// File of the SentencePiece model.
    file: &'static str,
    /// Classes of tokenizers that read the file so.
    classes: &'static [&'static str],
    numbering: Numbering,
    /// Around a text: the start token, the end token. Languages put codes there themselves.
    starts: bool,
    ends: bool,
}

impl Family {
    /// Returns whether a text begins with the start token and ends with the end token. Only Llama's
    /// files say so themselves; elsewhere the class does.
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

/// The first that fits is taken.
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

/// A tokenizer of one SentencePiece model.
pub(super) struct SentencePiece {
    pieces: Pieces,
    family: &'static Family,
    ids: HashMap<String, u32>,
    tokens: HashMap<u32, String>,
    added: AddedTokens,
    /// Around a text; `None` if nothing is put there.
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
    /// Loads the tokenizer of `class` in `folder`, or returns `None` if it has no model that the
    /// class reads as one of the families does.
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
        // Llama 3's original files have the name of Llama 2's.
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

/// Numbers the pieces of a SentencePiece model.
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
