//! Reads the `config.json` of a masked language model into candle's configuration types.

use candle_nn::Activation;
use candle_transformers::models::{bert, xlm_roberta};

use crate::Error;
use crate::model::ModelFiles;
use crate::model::config::ConfigFile;
use crate::sampler::source::refused;

/// The supported `model_type`s, as an error message lists them.
const SERVED: &str = "`bert`, `camembert`, `roberta`, `xlm-roberta`";

/// The model family, which decides how tensors are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Bert,
    Roberta,
}

impl Family {
    /// Determines the family of the model in `files`. Fails if it is not supported.
    pub(super) fn from_config(files: &ModelFiles, config: &ConfigFile) -> Result<Self, Error> {
        match config.text("model_type")? {
            "bert" => Ok(Self::Bert),
            "roberta" | "xlm-roberta" | "camembert" => Ok(Self::Roberta),
            other => Err(refused(
                files.path(),
                format!("it is a `{other}` model; masked language models served are {SERVED}"),
            )),
        }
    }

    /// Returns the prefix of the names of the body's tensors.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::Roberta => "roberta",
        }
    }

    /// Returns whether the body reads the tensor `name`. The pooler serves other tasks, and
    /// `position_ids` are just 0, 1, 2, ….
    pub(super) fn needs(self, name: &str) -> bool {
        let of_body = name.strip_prefix(self.prefix());
        let of_body = of_body.and_then(|name| name.strip_prefix('.'));
        of_body.is_some_and(|name| !name.starts_with("pooler.") && !name.ends_with("position_ids"))
    }

    /// Returns the name of the head's first linear map.
    pub(super) fn dense(self) -> &'static str {
        match self {
            Self::Bert => "cls.predictions.transform.dense",
            Self::Roberta => "lm_head.dense",
        }
    }

    /// Returns the name of the head's norm.
    pub(super) fn norm(self) -> &'static str {
        match self {
            Self::Bert => "cls.predictions.transform.LayerNorm",
            Self::Roberta => "lm_head.layer_norm",
        }
    }
}

/// Fails if positions are not absolute embeddings, or if attention is causal.
pub(super) fn check_positions(files: &ModelFiles, config: &ConfigFile) -> Result<(), Error> {
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

/// Reads the epsilon that norms add to variances.
pub(super) fn norm_eps(config: &ConfigFile) -> Result<f64, Error> {
    Ok(config.optional_number("layer_norm_eps")?.unwrap_or(1e-12))
}

/// Returns the activation of the feed-forward networks. Only those that both bodies implement are
/// supported.
pub(super) fn activation(config: &ConfigFile) -> Result<Activation, Error> {
    match config.optional_text("hidden_act")?.unwrap_or("gelu") {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::NewGelu),
        "relu" => Ok(Activation::Relu),
        other => Err(config.unusable("hidden_act", &other.into(), "`gelu`, `gelu_new` or `relu`")),
    }
}

/// Reads the configuration of BERT's body.
pub(super) fn bert_config(config: &ConfigFile) -> Result<bert::Config, Error> {
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
        // The remaining fields do not affect inference.
        ..bert::Config::default()
    })
}

/// Reads the configuration of `RoBERTa`'s body.
pub(super) fn roberta_config(config: &ConfigFile) -> Result<xlm_roberta::Config, Error> {
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
        // RoBERTa's own value, if the file does not give one.
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
