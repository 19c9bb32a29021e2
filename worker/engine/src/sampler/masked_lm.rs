//! A masked language model: what it expects where a token of a text is masked.
//!
//! The bodies are candle-transformers' BERT and `XLM-RoBERTa`, which is `RoBERTa`'s too: positions are
//! counted from behind the pad token's id. The head is put together here, and reads the masked rows
//! alone: candle-transformers' heads make logits of every row, and `RoBERTa`'s leaves out the bias.
//! Always in single precision, whatever the attributed model's: a proposal is drawn, not reported.
//!
//! Texts of one pass are equally long, so that nothing is padded and a row's bits depend on that
//! pass's texts alone.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Module, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Activation, Init, LayerNorm, Linear, VarBuilder};
use candle_transformers::models::bert::{self, BertModel};
use candle_transformers::models::xlm_roberta::{self, XLMRobertaModel};

use super::source::refused;
use crate::Error;
use crate::model::ModelFiles;
use crate::model::config::ConfigFile;
use crate::model::weights::Checkpoint;

/// `model_type`s served, as an error lists them.
const SERVED: &str = "`bert`, `camembert`, `roberta`, `xlm-roberta`";

/// A text with one token masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MaskedText {
    /// Its tokens, with those that stand around a text.
    pub(super) ids: Vec<u32>,
    /// Which of them is the mask.
    pub(super) mask: usize,
}

/// A masked language model.
pub(super) struct MaskedLm {
    body: Body,
    head: Head,
    vocabulary: usize,
    max_tokens: usize,
}

enum Body {
    Bert(BertModel),
    Roberta(XLMRobertaModel),
}

/// From the masked rows to logits. Devlin et al. 2019, <https://arxiv.org/abs/1810.04805>.
struct Head {
    dense: Linear,
    activation: Activation,
    norm: LayerNorm,
    decoder: Linear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Bert,
    Roberta,
}

impl MaskedLm {
    /// Loads the model of `files`. Fails if it is none of those served, or has no head for masks.
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
        };
        let failed = weights.failed;
        let tensors = VarBuilder::from_backend(Box::new(weights), DType::F32, Device::Cpu);
        let model = Self::build(family, &config, &tensors);
        model.map_err(|error| {
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.take().unwrap_or(error)
        })
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
                // Positions begin behind the pad token's id.
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
        })
    }

    /// Returns the number of tokens it knows.
    pub(super) fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Returns how many tokens a text may have, those around it counted.
    pub(super) fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Returns the logits of what stands at the mask of each of `texts`, all of one length.
    /// `[texts, vocabulary]`
    pub(super) fn logits(&self, texts: &[&MaskedText]) -> candle_core::Result<Tensor> {
        let len = texts.first().map_or(0, |text| text.ids.len());
        let ids: Vec<u32> = texts.iter().flat_map(|text| &text.ids).copied().collect();
        let ids = Tensor::from_vec(ids, (texts.len(), len), &Device::Cpu)?;
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
        let rows = Tensor::new(rows, &Device::Cpu)?;
        self.head
            .forward(&hidden.flatten_to(1)?.index_select(&rows, 0)?)
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
        // The decoder's bias has a name of its own, and older files only one of the two.
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

impl Family {
    fn from_config(files: &ModelFiles, config: &ConfigFile) -> Result<Self, Error> {
        match config.text("model_type")? {
            "bert" => Ok(Self::Bert),
            "roberta" | "xlm-roberta" | "camembert" => Ok(Self::Roberta),
            other => Err(refused(
                files.path(),
                format!("it is a `{other}` model; masked language models served are {SERVED}"),
            )),
        }
    }

    /// Returns what the names of the body's tensors begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
        }
    }

    fn dense(self) -> &'static str {
        match self {
            Self::Bert => "cls.predictions.transform.dense",
            Self::Roberta => "lm_head.dense",
        }
    }

    fn norm(self) -> &'static str {
        match self {
            Self::Bert => "cls.predictions.transform.LayerNorm",
            Self::Roberta => "lm_head.layer_norm",
        }
    }
}

/// Fails if positions are other than embeddings that are added, or tokens see only what is before.
fn check_positions(files: &ModelFiles, config: &ConfigFile) -> Result<(), Error> {
    let kind = config.optional_text("position_embedding_type")?;
    if let Some(kind) = kind.filter(|kind| *kind != "absolute") {
        let reason = format!("its positions are `{kind}`, only `absolute` ones are served");
        return Err(refused(files.path(), reason));
    }
    if config.flag_or("is_decoder", false)? {
        let reason = "its configuration says `is_decoder`, so it does not see behind a mask";
        return Err(refused(files.path(), reason.to_owned()));
    }
    Ok(())
}

fn norm_eps(config: &ConfigFile) -> Result<f64, Error> {
    Ok(config.optional_number("layer_norm_eps")?.unwrap_or(1e-12))
}

/// Returns the activation of the feed-forward networks, one that both bodies have.
fn activation(config: &ConfigFile) -> Result<Activation, Error> {
    match config.optional_text("hidden_act")?.unwrap_or("gelu") {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::NewGelu),
        "relu" => Ok(Activation::Relu),
        other => Err(config.unusable("hidden_act", &other.into(), "`gelu`, `gelu_new` or `relu`")),
    }
}

fn bert_config(config: &ConfigFile) -> Result<bert::Config, Error> {
    Ok(bert::Config {
        vocab_size: config.size("vocab_size")?,
        hidden_size: config.size("hidden_size")?,
        num_hidden_layers: config.size("num_hidden_layers")?,
        num_attention_heads: config.size("num_attention_heads")?,
        intermediate_size: config.size("intermediate_size")?,
        hidden_act: match activation(config)? {
            Activation::Relu => bert::HiddenAct::Relu,
            Activation::NewGelu => bert::HiddenAct::GeluApproximate,
            _ => bert::HiddenAct::Gelu,
        },
        max_position_embeddings: config.size("max_position_embeddings")?,
        type_vocab_size: config.size("type_vocab_size")?,
        layer_norm_eps: norm_eps(config)?,
        // What is left says nothing about inference.
        ..bert::Config::default()
    })
}

fn roberta_config(config: &ConfigFile) -> Result<xlm_roberta::Config, Error> {
    Ok(xlm_roberta::Config {
        vocab_size: config.size("vocab_size")?,
        hidden_size: config.size("hidden_size")?,
        num_hidden_layers: config.size("num_hidden_layers")?,
        num_attention_heads: config.size("num_attention_heads")?,
        intermediate_size: config.size("intermediate_size")?,
        hidden_act: activation(config)?,
        max_position_embeddings: config.size("max_position_embeddings")?,
        type_vocab_size: config.size("type_vocab_size")?,
        layer_norm_eps: norm_eps(config)?,
        // RoBERTa's own, where the file does not say.
        pad_token_id: config
            .token_ids("pad_token_id")?
            .first()
            .copied()
            .unwrap_or(1),
        position_embedding_type: "absolute".to_owned(),
        attention_probs_dropout_prob: 0.0,
        hidden_dropout_prob: 0.0,
    })
}

/// The checkpoint, as candle asks for tensors. The embedding, which head and body share, is read
/// once; what is wrong with a tensor is kept, because candle's errors would lose what it is.
struct Weights<'c> {
    checkpoint: &'c Checkpoint,
    name: String,
    embedding: Tensor,
    failed: &'c Mutex<Option<Error>>,
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
