//! What can go wrong, and whose move it is.

use std::path::PathBuf;

/// What tensor operations return, unless another error is named.
pub(crate) type Result<T, E = candle_core::Error> = std::result::Result<T, E>;

/// What cannot be attributed because of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorScope {
    /// The specification asks for what does not exist: no example can be attributed with it.
    Specification,
    /// The model's files are missing, damaged or of an unknown kind: no example can be attributed.
    Model,
    /// This example cannot be attributed; others can.
    Example,
    /// Nothing is wrong: somebody asked for the computation to stop.
    Stopped,
    /// A defect of ours.
    Internal,
}

/// Why something could not be computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that no registry has.
    #[error("unknown {what} `{name}`{}; `whence list {list}` shows them all", nearest(.suggestion.as_deref()))]
    UnknownName {
        /// Kind of thing that was looked up.
        what: &'static str,
        /// The name that was given.
        name: String,
        /// The nearest name there is.
        suggestion: Option<String>,
        /// Argument of `whence list`.
        list: &'static str,
    },
    /// A parameter a method or step function does not have, or a value it cannot use.
    #[error("{what} `{name}` cannot use its parameters: {reason}")]
    Parameters {
        /// Kind of thing whose parameters they are.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is wrong with which parameter.
        reason: String,
    },
    /// Options that exclude each other, or that the model cannot serve.
    #[error("{reason}")]
    Specification {
        /// What cannot be done, and what to do instead.
        reason: String,
    },
    /// A file of the model is missing or unreadable.
    #[error("cannot read `{}`; a model is a folder with config.json, its weights (safetensors or pytorch_model.bin) and its tokenizer, or a GGUF file", path.display())]
    ModelFile {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },
    /// A file of the model holds what it must not.
    #[error("`{}` is damaged or of an unknown kind: {reason}", path.display())]
    ModelContent {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the model was checked out as the pointer that Git LFS keeps in its place.
    #[error("`{}` is a Git LFS pointer, not the file itself", path.display())]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// A model of a kind that cannot be computed faithfully, such as a quantized one.
    #[error("`{}` {reason}", path.display())]
    ModelRefused {
        /// The model, or the file that says so.
        path: PathBuf,
        /// What it is or has, as the rest of a sentence.
        reason: String,
        /// What to do about it.
        next: String,
    },
    /// A model whose architecture is not among those we have.
    #[error("`{}` is a `{model_type}` model, which is not supported; `whence list models` shows those that are", path.display())]
    UnknownArchitecture {
        /// The model's `config.json`.
        path: PathBuf,
        /// `model_type` as it stands there.
        model_type: String,
    },
    /// A tensor is missing or has another shape than the configuration says.
    #[error("tensor `{name}` of `{}`: {reason}", path.display())]
    Tensor {
        /// The file, or the folder if no file has it.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The tokenizer gives ids the model has no embedding for.
    #[error(
        "the tokenizer of `{}` has {tokens} tokens, its embedding `{tensor}` has {rows} rows; take the tokenizer the model was trained with",
        path.display()
    )]
    Vocabulary {
        /// The model.
        path: PathBuf,
        /// Ids the tokenizer can give.
        tokens: usize,
        /// The embedding.
        tensor: String,
        /// Ids the embedding has vectors for.
        rows: usize,
    },
    /// The masked language model that is to propose tokens cannot.
    #[error(
        "the sampler `{}` cannot be used: {reason}; a sampler is a folder with a masked language model, such as RoBERTa or BERT",
        path.display()
    )]
    Sampler {
        /// Its folder.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The example has no text to attribute.
    #[error("the {field} text is empty")]
    EmptyText {
        /// `input` or `generated`.
        field: &'static str,
    },
    /// The example has a text, and the tokenizer makes no token of it.
    #[error("the tokenizer makes no tokens of the {field} text {text:?}")]
    NoTokens {
        /// `input` or `generated`.
        field: &'static str,
        /// The text, or how it begins.
        text: String,
    },
    /// The text has one token alone, which nothing predicts.
    #[error("the {field} has one token, and nothing before it that could predict it")]
    OneToken {
        /// Which text.
        field: &'static str,
    },
    /// The example has more tokens than the model has positions.
    #[error(
        "the {field} has {tokens} tokens, the model has positions for {limit}; shorten the text"
    )]
    TooLong {
        /// Which text.
        field: &'static str,
        /// How long it is.
        tokens: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The forced target of a decoder-only model does not continue its prompt.
    #[error(
        "the generated text does not start with the input text, as it must for a decoder-only model: {difference}"
    )]
    NotAContinuation {
        /// Where they part, and what to do.
        difference: String,
    },
    /// The target of a decoder-only model is its prompt and nothing else.
    #[error("nothing follows the input text: the text to explain has no tokens of its own")]
    NothingFollows,
    /// No token can be generated behind the prompt.
    #[error("no token can be generated: {reason}")]
    NoRoom {
        /// What leaves no room.
        reason: String,
    },
    /// A contrastive function has nothing to contrast the example with.
    #[error(
        "`{function}` has nothing to compare this text with: its contrast is missing, or is the text itself; add --attribution-kwargs '{{\"contrast_targets\": \"…\"}}' or --contrast-target-field, or a contrast source together with `contrast_force_inputs`"
    )]
    NoContrast {
        /// The function's name.
        function: String,
    },
    /// Runs of tokens that the example does not have, or that are none.
    #[error("{reason}")]
    Spans {
        /// Which run, and what is wrong with it.
        reason: String,
    },
    /// The positions to attribute are outside the target.
    #[error(
        "positions {start}..{end} cannot be attributed: the target has {len} tokens, the first attributable one is {first}"
    )]
    Positions {
        /// First position asked for.
        start: i64,
        /// Position after the last asked for.
        end: i64,
        /// Length of the target.
        len: usize,
        /// First position that can be attributed.
        first: usize,
    },
    /// The example takes more memory than there is for it.
    #[error(
        "the example needs about {} MiB of working memory; --memory allows {} MiB",
        needed.div_ceil(1 << 20),
        budget >> 20
    )]
    TooLarge {
        /// What it needs, in bytes.
        needed: u64,
        /// What it may take, in bytes.
        budget: u64,
    },
    /// Not even the smallest example fits.
    #[error(
        "--memory allows {} MiB, and this model needs at least {} MiB for the shortest text; raise --memory",
        budget >> 20,
        least.div_ceil(1 << 20)
    )]
    MemoryTooSmall {
        /// The least a computation needs, in bytes.
        least: u64,
        /// What it may take, in bytes.
        budget: u64,
    },
    /// Somebody asked for the computation to stop.
    #[error("the computation was stopped")]
    Stopped,
    /// A score is not a number.
    #[error("step {step} has scores that are not finite")]
    NotFinite {
        /// The step.
        step: usize,
    },
    /// The tokenizer could not encode the text.
    #[error("the tokenizer cannot encode the text: {reason}")]
    Tokenize {
        /// What it said.
        reason: String,
    },
    /// The chat template refused the messages, or they are none.
    #[error("the input text cannot be put into the chat template: {reason}")]
    Messages {
        /// What the template said, or what is wrong with the messages.
        reason: String,
    },
    /// A tensor operation failed: shapes or types that our code should have made fit.
    #[error("tensor operation failed")]
    Compute(#[from] candle_core::Error),
}

impl Error {
    /// Returns what cannot be attributed because of it.
    pub fn scope(&self) -> ErrorScope {
        match self {
            Self::UnknownName { .. }
            | Self::Parameters { .. }
            | Self::Specification { .. }
            | Self::MemoryTooSmall { .. } => ErrorScope::Specification,
            Self::ModelFile { .. }
            | Self::ModelContent { .. }
            | Self::LfsPointer { .. }
            | Self::ModelRefused { .. }
            | Self::UnknownArchitecture { .. }
            | Self::Tensor { .. }
            | Self::Sampler { .. }
            | Self::Vocabulary { .. } => ErrorScope::Model,
            Self::EmptyText { .. }
            | Self::TooLong { .. }
            | Self::NotAContinuation { .. }
            | Self::NoTokens { .. }
            | Self::OneToken { .. }
            | Self::NothingFollows
            | Self::NoRoom { .. }
            | Self::NoContrast { .. }
            | Self::Spans { .. }
            | Self::Positions { .. }
            | Self::NotFinite { .. }
            | Self::TooLarge { .. }
            | Self::Tokenize { .. }
            | Self::Messages { .. } => ErrorScope::Example,
            Self::Stopped => ErrorScope::Stopped,
            Self::Compute(_) => ErrorScope::Internal,
        }
    }

    /// Returns what a person can do about it, where the message itself does not say.
    pub fn next_step(&self) -> Option<String> {
        match self {
            Self::LfsPointer { path } => {
                let folder = path.parent().unwrap_or(path);
                Some(format!("git -C '{}' lfs pull", folder.display()))
            }
            Self::ModelRefused { next, .. } => Some(next.clone()),
            Self::UnknownName { list, .. } => Some(format!("whence list {list}")),
            Self::UnknownArchitecture { .. } => Some("whence list models".to_owned()),
            _ => None,
        }
    }

    /// Returns a short constant name, for the `error_code` column.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownName { .. } => "unknown_name",
            Self::Parameters { .. } => "parameters",
            Self::Specification { .. } => "specification",
            Self::ModelFile { .. } => "model_file",
            Self::ModelContent { .. } => "model_content",
            Self::LfsPointer { .. } => "lfs_pointer",
            Self::ModelRefused { .. } => "model_refused",
            Self::UnknownArchitecture { .. } => "unknown_architecture",
            Self::Tensor { .. } => "tensor",
            Self::Vocabulary { .. } => "vocabulary",
            Self::Sampler { .. } => "sampler",
            Self::EmptyText { .. } => "empty_text",
            Self::TooLong { .. } => "too_long",
            Self::NotAContinuation { .. } => "not_a_continuation",
            Self::NoTokens { .. } => "no_tokens",
            Self::OneToken { .. } => "one_token",
            Self::NothingFollows => "nothing_follows",
            Self::NoRoom { .. } => "no_room",
            Self::NoContrast { .. } => "no_contrast",
            Self::Spans { .. } => "spans",
            Self::Positions { .. } => "positions",
            Self::MemoryTooSmall { .. } => "memory_too_small",
            Self::Stopped => "stopped",
            Self::NotFinite { .. } => "not_finite",
            Self::TooLarge { .. } => "too_large",
            Self::Tokenize { .. } => "tokenize",
            Self::Messages { .. } => "messages",
            Self::Compute(_) => "internal",
        }
    }
}

fn nearest(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}
