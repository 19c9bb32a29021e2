//! Notices: what the engine found in a model's files that does not prevent its use, but that the
//! user should know.
//!
//! Notices are returned, never printed: the command line shows them as warnings, a worker logs
//! them.

use std::path::PathBuf;

/// Something about a model's files that the user should know.
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
        /// The file that names the code.
        path: PathBuf,
        /// The module and class it names.
        code: String,
        /// What whence computes instead.
        computed: String,
    },
    /// An adapter is in the model's folder.
    #[error(
        "`{}` has an adapter beside its model (`adapter_config.json`); whence explains the model \
         with the adapter merged into it, as transformers does",
        path.display()
    )]
    AdapterBeside {
        /// The folder.
        path: PathBuf,
    },
    /// `architectures` names a class of a different family than `model_type` does.
    #[error(
        "`{}` says that the model is a `{class}`; whence computes it as `{model_type}`, \
         because `model_type` says so, as transformers does",
        path.display()
    )]
    OtherFamily {
        /// The model's `config.json`.
        path: PathBuf,
        /// The class named in `architectures`.
        class: String,
        /// The architecture that whence computes.
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
        /// The class named in `architectures`.
        class: String,
    },
    /// The checkpoint has tensors that the model does not use.
    #[error(
        "{count} of the tensors in `{}` {} not used: {names}; \
         they are outside the language model, like the head of another task",
        path.display(),
        if *count == 1 { "is" } else { "are" }
    )]
    UnusedTensors {
        /// The checkpoint.
        path: PathBuf,
        /// How many tensors are not used.
        count: usize,
        /// The names of the first few.
        names: String,
    },
}
