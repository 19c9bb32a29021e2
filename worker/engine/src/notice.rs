//! What the engine noticed about a model that does not stop it, but that its reader should know.
//!
//! Notices are returned, never printed: the command line writes them as warnings, a worker logs them.

use std::path::PathBuf;

/// Something about a model's files that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Notice {
    /// The model comes with Python code, which transformers would run with `trust_remote_code`.
    #[error(
        "`{}` names Python code of its own (`auto_map`: {code}), which whence does not run; \
         whence computes {computed}, as transformers does without `trust_remote_code`",
        path.display()
    )]
    OwnCode {
        /// The file that names it.
        path: PathBuf,
        /// Module and class.
        code: String,
        /// What is computed in its place.
        computed: String,
    },
    /// `architectures` names a class of another family than `model_type`.
    #[error(
        "`{}` says that the model is a `{class}`; whence computes it as `{model_type}`, \
         because `model_type` says so, as transformers does",
        path.display()
    )]
    OtherFamily {
        /// The model's `config.json`.
        path: PathBuf,
        /// The class it names.
        class: String,
        /// The architecture that is computed.
        model_type: String,
    },
    /// The model was saved without a language-model head.
    #[error(
        "`{}` says that the model is a `{class}`, which has no language-model head; \
         its embedding serves as the head, as in transformers",
        path.display()
    )]
    Headless {
        /// The model's `config.json`.
        path: PathBuf,
        /// The class it names.
        class: String,
    },
    /// The checkpoint has tensors that the model does not use.
    #[error(
        "{count} of the tensors in `{}` {} not used: {names}; \
         they stand outside the language model, as the head of another task does",
        path.display(),
        if *count == 1 { "is" } else { "are" }
    )]
    UnusedTensors {
        /// The checkpoint.
        path: PathBuf,
        /// How many.
        count: usize,
        /// The names of the first few.
        names: String,
    },
}
