//! Everything that loading a model opens: its weights, its tokenizer and its generation defaults.

use std::collections::BTreeMap;
use std::path::Path;

use whence_schemas::GenerationSpec;
use whence_schemas::job::Dtype;

use crate::generate;
use crate::model::dropout::DropoutRates;
use crate::model::tensors::Need;
use crate::model::{self, ModelFiles, OpenedModel, WeightMemory, architectures};
use crate::sides::Side;
use crate::text::Tokenizer;
use crate::{Error, Notice};

/// The parts of a model that are open before its weights are read.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) model: OpenedModel,
    pub(crate) tokenizer: Tokenizer,
    /// The model's own generation defaults.
    pub(crate) generation: GenerationSpec,
    pub(crate) dropout: DropoutRates,
    /// The `model_type`.
    architecture: String,
}

/// The result of checking a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCheck {
    /// What the user should know about its files.
    pub notices: Vec<Notice>,
    /// The memory its weights take.
    pub memory: WeightMemory,
    /// Its `model_type`.
    pub architecture: String,
    /// How many numbers its files hold in each format, such as `BF16` or `Q4_1`.
    pub formats: BTreeMap<String, u64>,
}

/// What the configuration of a model says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigCheck {
    /// Its `model_type`.
    pub architecture: String,
    /// How many numbers its weights have.
    pub numbers: u64,
}

/// Checks that the model whose `config.json` is in `folder` is one that whence can load, as far as
/// the configuration tells. The weights need not be there.
///
/// Fails whenever [`check_model`] would because of the configuration, for the same reason.
pub fn check_config(folder: &Path) -> Result<ConfigCheck, Error> {
    let config = ModelFiles::open(folder)?.config()?;
    let spec = architectures::spec(&config)?;
    architectures::classes::check(&config, spec.encoder.is_some())?;
    let tensors = spec.tensors().into_iter();
    let own = tensors.filter(|tensor| tensor.need == Need::Required);
    // A tensor that stores several projections is listed once for each of them.
    let sizes: BTreeMap<String, u64> = own
        .map(|tensor| {
            (
                tensor.name,
                tensor.shape.iter().map(|&size| size as u64).product(),
            )
        })
        .collect();
    Ok(ConfigCheck {
        architecture: config.text("model_type")?.to_owned(),
        numbers: sizes.values().sum(),
    })
}

/// Checks that the model at `path`, a Hugging Face folder or a GGUF file, can be loaded to compute
/// in `dtype`. Reads every byte that loading reads, but holds only a few blocks in memory at a
/// time.
///
/// Fails whenever [`crate::Engine::load`] would, for the same reason.
pub fn check_model(path: &Path, dtype: Dtype) -> Result<ModelCheck, Error> {
    let opened = Opened::open(path, dtype)?;
    opened.model.check_weights()?;
    Ok(ModelCheck {
        notices: opened.model.notices().to_vec(),
        memory: opened.model.memory(),
        architecture: opened.architecture,
        formats: opened.model.formats(),
    })
}

impl Opened {
    /// Opens the model at `path`, to compute in `dtype`.
    pub(crate) fn open(path: &Path, dtype: Dtype) -> Result<Self, Error> {
        let files = ModelFiles::open(path)?;
        let config = files.config()?;
        let model = OpenedModel::open(&files, model::precision(dtype))?;
        let tokenizer = Tokenizer::load(&files, &config.to_value())?;
        for side in [Side::Source, Side::Target] {
            let (tensor, rows) = model.spec().embedding_of(side);
            let tokens = tokenizer.of(side).size();
            if tokens > rows {
                return Err(Error::Vocabulary {
                    path: path.to_owned(),
                    tokens,
                    tensor: tensor.to_owned(),
                    rows,
                });
            }
        }
        Ok(Self {
            model,
            tokenizer,
            generation: generate::choices_of(&files)?,
            dropout: DropoutRates::read(&config)?,
            architecture: config.text("model_type")?.to_owned(),
        })
    }
}
