//! Everything that loading a model opens: its weights, its tokenizer and its generation defaults.

use std::path::Path;

use whence_schemas::GenerationSpec;
use whence_schemas::job::Dtype;

use crate::generate;
use crate::model::dropout::DropoutRates;
use crate::model::{self, ModelFiles, OpenedModel, WeightMemory};
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
}

/// The result of checking a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCheck {
    /// What the user should know about its files.
    pub notices: Vec<Notice>,
    /// The memory its weights take.
    pub memory: WeightMemory,
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
        })
    }
}
