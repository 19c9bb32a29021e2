//! The tokenizer that a GGUF file describes.
//!
//! The file holds a vocabulary, merges and only the *name* of the rule by which texts are split
//! before merging (`tokenizer.ggml.pre`). The wrong rule gives different tokens without any error,
//! so a name that is not in the table below is refused.

use tokenizers::decoders::byte_level::ByteLevel as Bytes;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer};

use crate::Error;
use crate::model::weights::gguf::Metadata;

/// `tokenizer.ggml.token_type` of tokens with a special meaning.
const CONTROL: i64 = 3;
/// `tokenizer.ggml.token_type` of words that the model's authors added.
const USER_DEFINED: i64 = 4;

/// How texts are split before merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Splitting {
    /// GPT-2's regular expression.
    Words,
    /// Splits off single digits first, then applies GPT-2's regular expression.
    DigitsThenWords,
    /// The regular expression of Llama 3, which keeps up to three digits together. A word that is
    /// a token needs no merges.
    Llama3,
    /// The regular expression of Qwen 2, with single digits, after canonical composition (NFC).
    Qwen2,
}

/// The values of `tokenizer.ggml.pre`, as llama.cpp writes them. Source: `src/llama-vocab.cpp` of
/// llama.cpp.
const SPLITTINGS: &[(&str, Splitting)] = &[
    ("default", Splitting::Words),
    ("gpt-2", Splitting::Words),
    ("gpt2", Splitting::Words),
    ("phi-2", Splitting::Words),
    ("mpt", Splitting::Words),
    ("olmo", Splitting::Words),
    ("smollm", Splitting::DigitsThenWords),
    ("starcoder", Splitting::DigitsThenWords),
    ("refact", Splitting::DigitsThenWords),
    ("command-r", Splitting::DigitsThenWords),
    ("codeshell", Splitting::DigitsThenWords),
    ("llama3", Splitting::Llama3),
    ("llama-v3", Splitting::Llama3),
    ("llama-bpe", Splitting::Llama3),
    ("qwen2", Splitting::Qwen2),
    ("deepseek-r1-qwen", Splitting::Qwen2),
];

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Builds the tokenizer. Fails if its kind or its splitting rule is not supported.
pub(super) fn build(metadata: &Metadata<'_>) -> Result<Tokenizer, Error> {
    let model = metadata.text("tokenizer.ggml.model")?;
    if model != "gpt2" {
        return Err(metadata.refused(format!(
            "its tokenizer is of the kind `{model}`, only `gpt2` is read from GGUF; put the model's tokenizer.json beside it"
        )));
    }
    let pre = metadata
        .optional_text("tokenizer.ggml.pre")?
        .unwrap_or("default");
    let Some(&(_, splitting)) = SPLITTINGS.iter().find(|(name, _)| *name == pre) else {
        return Err(metadata.refused(format!(
            "its tokenizer splits texts in the way `{pre}`, which we do not have; put the model's tokenizer.json beside it"
        )));
    };
    assemble(metadata, splitting)?.map_err(|error| metadata.refused(error.to_string()))
}

fn assemble(
    metadata: &Metadata<'_>,
    splitting: Splitting,
) -> Result<tokenizers::Result<Tokenizer>, Error> {
    let tokens = (metadata.optional_texts("tokenizer.ggml.tokens")?)
        .ok_or_else(|| metadata.refused("its metadata has no vocabulary".to_owned()))?;
    let merges = merges(metadata)?;
    let kinds = (metadata.optional_integers("tokenizer.ggml.token_type")?).unwrap_or_default();
    let template = template(metadata, &tokens)?;
    Ok((|| {
        let vocabulary: Vocab = (tokens.iter().zip(0..))
            .map(|(token, id)| ((*token).to_owned(), id))
            .collect();
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            .ignore_merges(splitting == Splitting::Llama3)
            .build()?;
        let mut tokenizer = Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(splitting.pre_tokenizer()?));
        if splitting == Splitting::Qwen2 {
            tokenizer.with_normalizer(Some(NFC))?;
        }
        tokenizer.with_decoder(Some(Bytes::default()));
        tokenizer.with_post_processor(template);
        let of_kind = |kind| {
            let is_kind = move |(_, found): &(&&str, &i64)| **found == kind;
            let token = move |(token, _): (&&str, &i64)| {
                AddedToken::from((*token).to_owned(), kind == CONTROL).normalized(false)
            };
            tokens.iter().zip(&kinds).filter(is_kind).map(token)
        };
        tokenizer.add_special_tokens(of_kind(CONTROL))?;
        tokenizer.add_tokens(of_kind(USER_DEFINED))?;
        Ok(tokenizer)
    })())
}

/// Returns the merges, highest priority first. Each is stored as two tokens with a blank between
/// them, which is unambiguous because tokens of byte-level vocabularies contain no blank.
fn merges(metadata: &Metadata<'_>) -> Result<Vec<(String, String)>, Error> {
    let lines = (metadata.optional_texts("tokenizer.ggml.merges")?)
        .ok_or_else(|| metadata.refused("its metadata has no merges".to_owned()))?;
    let pair = |line: &&str| {
        let (left, right) = line.split_once(' ').ok_or_else(|| {
            metadata.refused(format!("its merge `{line}` is not a pair of tokens"))
        })?;
        Ok((left.to_owned(), right.to_owned()))
    };
    lines.iter().map(pair).collect()
}

/// Returns the post-processor that puts start and end tokens around a text, if the model wants
/// them.
fn template(metadata: &Metadata<'_>, tokens: &[&str]) -> Result<Option<TemplateProcessing>, Error> {
    let wanted = |role: &str| -> Result<Option<(String, u32)>, Error> {
        let flag = metadata.optional_flag(&format!("tokenizer.ggml.add_{role}_token"))?;
        if flag != Some(true) {
            return Ok(None);
        }
        let id = metadata.size(&format!("tokenizer.ggml.{role}_token_id"))?;
        let token = tokens.get(id).ok_or_else(|| {
            metadata.refused(format!("its `{role}` token {id} is not in its vocabulary"))
        })?;
        Ok(Some(((*token).to_owned(), id as u32)))
    };
    let (start, end) = (wanted("bos")?, wanted("eos")?);
    if start.is_none() && end.is_none() {
        return Ok(None);
    }
    let name = |token: &Option<(String, u32)>| token.iter().map(|(name, _)| name.clone()).collect();
    let sequence: Vec<String> = [name(&start), vec!["$A".to_owned()], name(&end)].concat();
    TemplateProcessing::builder()
        .try_single(sequence)
        .and_then(|template| {
            template
                .special_tokens(start.into_iter().chain(end).collect::<Vec<_>>())
                .build()
                .map_err(|error| error.to_string())
        })
        .map(Some)
        .map_err(|error| metadata.refused(error))
}

impl Splitting {
    fn pre_tokenizer(self) -> tokenizers::Result<PreTokenizerWrapper> {
        let words = Bytes::new(false, true, true);
        let bytes = Bytes::new(false, true, false);
        let split = |expression: &str| {
            let pattern = SplitPattern::Regex(expression.to_owned());
            Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
        };
        Ok(match self {
            Self::Words => words.into(),
            Self::DigitsThenWords => {
                Sequence::new(vec![Digits::new(true).into(), words.into()]).into()
            }
            Self::Llama3 => Sequence::new(vec![split(LLAMA3)?.into(), bytes.into()]).into(),
            Self::Qwen2 => Sequence::new(vec![split(QWEN2)?.into(), bytes.into()]).into(),
        })
    }
}
