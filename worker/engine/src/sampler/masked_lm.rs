//! A masked language model: which tokens it expects at a masked place of a text.
//!
//! The bodies are candle-transformers' BERT and `XLM-RoBERTa`. The latter also serves `RoBERTa`:
//! both count positions from the one after the pad token's id. The head is assembled here and
//! applied to the masked rows only, because candle-transformers' heads compute logits for every
//! row, and its `RoBERTa` head leaves out the bias. The computation is always in single precision,
//! whatever the attributed model uses: proposals are drawn from the logits, the logits themselves
//! are not reported.
//!
//! All texts of one pass have the same length, so that nothing is padded and the result for a text
//! depends, to the last bit, only on the texts of that pass.

mod config;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Module, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Activation, Init, LayerNorm, Linear, VarBuilder};
use candle_transformers::models::bert::BertModel;
use candle_transformers::models::xlm_roberta::XLMRobertaModel;

use super::source::refused;
use crate::Error;
use crate::kernels::{self, host};
use crate::model::ModelFiles;
use crate::model::config::ConfigFile;
use crate::model::weights::Checkpoint;
use config::{Family, activation, bert_config, check_positions, norm_eps, roberta_config};

/// A text with one token masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MaskedText {
    /// Token ids, with the special tokens around a text.
    pub(super) ids: Vec<u32>,
    /// Index of the mask in `ids`.
    pub(super) mask: usize,
}

/// A masked language model.
pub(super) struct MaskedLm {
    body: Body,
    head: Head,
    vocabulary: usize,
    max_tokens: usize,
    /// Numbers per token at a layer's peak memory, attention weights not included.
    width: u64,
    heads: u64,
}

/// The model without its head, from token ids to hidden states.
enum Body {
    Bert(BertModel),
    Roberta(XLMRobertaModel),
}

/// Maps the hidden states of masked rows to logits. Devlin et al. 2019,
/// <https://arxiv.org/abs/1810.04805>.
struct Head {
    dense: Linear,
    activation: Activation,
    norm: LayerNorm,
    decoder: Linear,
}

impl MaskedLm {
    /// Loads the model in `files`. Fails if its architecture is not supported, or if it has no
    /// masked-language-model head.
    pub(super) fn load(files: &ModelFiles) -> Result<Self, Error> {
        let config = files.config()?;
        let family = Family::from_config(files, &config)?;
        check_positions(files, &config)?;
        let checkpoint = files.checkpoint(DType::F32)?;
        if !checkpoint.contains(&format!("{}.weight", family.dense())) {
            let reason = format!(
                "its checkpoint has no `{}.weight`, so no head that predicts masked tokens",
                family.dense()
            );
            return Err(refused(files.path(), reason));
        }
        let shape = [config.size("vocab_size")?, config.size("hidden_size")?];
        let name = format!("{}.embeddings.word_embeddings.weight", family.prefix());
        let weights = Weights {
            embedding: checkpoint.tensor(&name, &shape)?,
            name,
            checkpoint: &checkpoint,
            failed: &Mutex::new(None),
            read: &Mutex::new(HashSet::new()),
        };
        let (failed, read) = (weights.failed, weights.read);
        let tensors = VarBuilder::from_backend(Box::new(weights), DType::F32, host::MEMORY);
        let model = Self::build(family, &config, &tensors).map_err(|error| {
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.take().unwrap_or(error)
        })?;
        let read = read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names = checkpoint.names().into_iter();
        if let Some(name) = names.find(|name| family.needs(name) && !read.contains(name)) {
            let reason =
                format!("its checkpoint has `{name}`, which its configuration does without");
            return Err(refused(files.path(), reason));
        }
        Ok(model)
    }

    fn build(family: Family, config: &ConfigFile, tensors: &VarBuilder<'_>) -> Result<Self, Error> {
        let positions = config.size("max_position_embeddings")?;
        let (body, max_tokens) = match family {
            Family::Bert => {
                let body = BertModel::load(tensors.pp(family.prefix()), &bert_config(config)?)?;
                (Body::Bert(body), positions)
            }
            Family::Roberta => {
                let config = roberta_config(config)?;
                // Positions are numbered from the one after the pad token's id.
                let first = config.pad_token_id as usize + 1;
                let body = XLMRobertaModel::new(&config, tensors.pp(family.prefix()))?;
                (Body::Roberta(body), positions.saturating_sub(first))
            }
        };
        Ok(Self {
            body,
            head: Head::load(family, config, tensors)?,
            vocabulary: config.size("vocab_size")?,
            max_tokens,
            width: (6 * config.size("hidden_size")? + 2 * config.size("intermediate_size")?) as u64,
            heads: config.size("num_attention_heads")? as u64,
        })
    }

    /// Returns the size of the vocabulary.
    pub(super) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Returns how many tokens a text may have, special tokens included.
    pub(super) fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Returns the bytes that a pass over one text of `tokens` tokens needs. Layers keep nothing
    /// once they are done.
    pub(super) fn pass_bytes(&self, tokens: u64) -> u64 {
        // The attention scores, their softmax, and its product with the padding mask.
        const SCORES: u64 = 3;
        let numbers = tokens * (self.width + SCORES * self.heads * tokens);
        (numbers + self.vocabulary as u64) * size_of::<f32>() as u64
    }

    /// Returns the logits at the mask of each of `texts`, which must all have the same length.
    /// `[texts, vocabulary]`
    pub(super) fn logits(&self, texts: &[&MaskedText]) -> candle_core::Result<kernels::Tensor> {
        let len = texts.first().map_or(0, |text| text.ids.len());
        let ids: Vec<u32> = texts.iter().flat_map(|text| &text.ids).copied().collect();
        let ids = host::upload(ids, (texts.len(), len))?.to_candle()?;
        let first_segment = ids.zeros_like()?;
        let all = ids.ones_like()?;
        let hidden = match &self.body {
            Body::Bert(body) => body.forward(&ids, &first_segment, Some(&all))?,
            Body::Roberta(body) => body.forward(&ids, &all, &first_segment, None, None, None)?,
        }; // [texts, len, hidden]
        let masks = (0_u32..).zip(texts);
        let rows: Vec<_> = masks
            .map(|(text, masked)| text * len as u32 + masked.mask as u32)
            .collect();
        let rows = host::upload(rows, texts.len())?.to_candle()?;
        let masked = hidden.flatten_to(1)?.index_select(&rows, 0)?;
        self.head.forward(&masked).map(Into::into)
    }
}

impl fmt::Debug for MaskedLm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskedLm")
            .field("vocabulary", &self.vocabulary)
            .field("max_tokens", &self.max_tokens)
            .finish_non_exhaustive()
    }
}

impl Head {
    fn load(family: Family, config: &ConfigFile, tensors: &VarBuilder<'_>) -> Result<Self, Error> {
        let (hidden, vocabulary) = (config.size("hidden_size")?, config.size("vocab_size")?);
        let tied = config.flag_or("tie_word_embeddings", true)?;
        let embeddings = tensors.pp(family.prefix()).pp("embeddings.word_embeddings");
        let (owner, decoder) = match family {
            Family::Bert => (
                tensors.pp("cls.predictions"),
                tensors.pp("cls.predictions.decoder"),
            ),
            Family::Roberta => (tensors.pp("lm_head"), tensors.pp("lm_head.decoder")),
        };
        let weights = if tied { &embeddings } else { &decoder };
        // The decoder's bias is stored under two names, and older files have only one of them.
        let bias = [&owner, &decoder]
            .into_iter()
            .find(|place| place.contains_tensor("bias"))
            .unwrap_or(&owner);
        let norm = tensors.pp(family.norm());
        Ok(Self {
            dense: candle_nn::linear(hidden, hidden, tensors.pp(family.dense()))?,
            activation: match family {
                Family::Bert => activation(config)?,
                Family::Roberta => Activation::Gelu,
            },
            norm: candle_nn::layer_norm(hidden, norm_eps(config)?, norm)?,
            decoder: Linear::new(
                weights.get((vocabulary, hidden), "weight")?,
                Some(bias.get(vocabulary, "bias")?),
            ),
        })
    }

    /// Returns the logits of `rows`. `[rows, hidden]` to `[rows, vocabulary]`
    fn forward(&self, rows: &Tensor) -> candle_core::Result<Tensor> {
        let rows = self.activation.forward(&self.dense.forward(rows)?)?;
        self.decoder.forward(&self.norm.forward(&rows)?)
    }
}

/// Serves the checkpoint's tensors in the way candle asks for them. The embedding, which head and
/// body share, is read once. An error about a tensor is recorded here, because candle's own error
/// would lose the details.
struct Weights<'c> {
    checkpoint: &'c Checkpoint,
    name: String,
    embedding: Tensor,
    failed: &'c Mutex<Option<Error>>,
    /// The names of the tensors that were asked for.
    read: &'c Mutex<HashSet<String>>,
}

impl SimpleBackend for Weights<'_> {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        _: DType,
        _: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(name.to_owned());
        drop(read);
        if name == self.name {
            return Ok(self.embedding.clone());
        }
        self.checkpoint.tensor(name, shape.dims()).map_err(|error| {
            let message = error.to_string();
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert(error);
            candle_core::Error::Msg(message)
        })
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        let path = name.to_owned();
        Err(candle_core::Error::CannotFindTensor { path }.bt())
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.checkpoint.contains(name)
    }
}
