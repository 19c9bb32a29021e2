//! The errors of the engine, and whom each of them concerns.

use std::path::PathBuf;
use std::slice::Chunks;

/// The result of tensor operations, unless another error type is given.
pub(crate) type Result<T, E = candle_core::Error> = std::result::Result<T, E>;

/// How much is affected by an [`Error`]: one example, or all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorScope {
    /// The specification asks for something that does not exist or cannot work: no example can be
    /// attributed with it.
    Specification,
    /// The model's files are missing, damaged or in an unknown format: no example can be
    /// attributed.
    Model,
    /// This example cannot be attributed; others can.
    Example,
    /// Nothing is wrong: the computation was asked to stop.
    Stopped,
    /// A bug in whence.
    Internal,
}

/// Why something could not be computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is not in the registry.
    #[error("unknown {what} `{name}`{}", nearest(.suggestion.as_deref()))]
    UnknownName {
        /// Kind of entry that was looked up.
        what: &'static str,
        /// The name that was given.
        name: String,
        /// The most similar name in the registry, if one is close.
        suggestion: Option<String>,
        /// Argument of `whence list`.
        list: &'static str,
    },
    /// A parameter that an entry does not have, or a value it cannot use.
    #[error("{what} `{name}` cannot use its parameters: {reason}")]
    Parameters {
        /// Kind of entry the parameters belong to.
        what: &'static str,
        /// Its name.
        name: String,
        /// Which parameter is wrong, and how.
        reason: String,
    },
    /// Options that exclude each other, or that do not work with the model.
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
        /// The error of the file system.
        #[source]
        source: std::io::Error,
    },
    /// A file of the model is damaged or in an unknown format.
    #[error("`{}` is damaged or of an unknown kind: {reason}", path.display())]
    ModelContent {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the model is a Git LFS pointer: the repository was cloned without fetching the
    /// contents.
    #[error("`{}` is a Git LFS pointer, not the file itself", path.display())]
    LfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// A model that whence cannot compute faithfully, such as a quantized one.
    #[error("`{}` {reason}", path.display())]
    ModelRefused {
        /// The model, or the file that shows the problem.
        path: PathBuf,
        /// What the problem is, phrased as the rest of a sentence that begins with the path.
        reason: String,
        /// What to do about it.
        next: String,
    },
    /// A model whose architecture is not supported.
    #[error("`{}` is a `{model_type}` model, which is not supported", path.display())]
    UnknownArchitecture {
        /// The model's `config.json`.
        path: PathBuf,
        /// `model_type` as written in that file.
        model_type: String,
    },
    /// A tensor is missing, or its shape does not match the configuration.
    #[error("tensor `{name}` of `{}`: {reason}", path.display())]
    Tensor {
        /// The file, or the folder if no file has it.
        path: PathBuf,
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The tokenizer can return ids that the model has no embedding for.
    #[error(
        "the tokenizer of `{}` has {tokens} tokens, its embedding `{tensor}` has {rows} rows; take the tokenizer the model was trained with",
        path.display()
    )]
    Vocabulary {
        /// The model.
        path: PathBuf,
        /// Number of ids the tokenizer can return.
        tokens: usize,
        /// Name of the embedding tensor.
        tensor: String,
        /// Number of rows of the embedding.
        rows: usize,
    },
    /// The masked language model cannot be used to propose replacement tokens.
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
    /// The example has a text, but the tokenizer produces no tokens for it.
    #[error("the tokenizer produces no tokens for the {field} text {text:?}")]
    NoTokens {
        /// `input` or `generated`.
        field: &'static str,
        /// The text, cut if it is long.
        text: String,
    },
    /// The text has a single token, which nothing precedes and thus nothing predicts.
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
        /// Its length in tokens.
        tokens: usize,
        /// The largest length the model accepts.
        limit: usize,
    },
    /// The forced target of a decoder-only model does not continue its prompt.
    #[error(
        "the generated text does not start with the input text, as it must for a decoder-only model: {difference}"
    )]
    NotAContinuation {
        /// Where the two texts diverge, and what to do.
        difference: String,
    },
    /// The target of a decoder-only model consists of its prompt alone.
    #[error("nothing follows the input text: the text to explain has no tokens of its own")]
    NothingFollows,
    /// No token can be generated after the prompt.
    #[error("no token can be generated: {reason}")]
    NoRoom {
        /// Why there is no room for a token.
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
    /// The texts of a context attribution cannot be analyzed as they are.
    #[error("{reason}")]
    ContextTexts {
        /// What is wrong with them, and what to give instead.
        reason: String,
    },
    /// Spans of tokens that the example does not have, or that are invalid.
    #[error("{reason}")]
    Spans {
        /// Which span is invalid, and why.
        reason: String,
    },
    /// Two attributions that `pair` cannot combine, because they are not over the same tokens.
    #[error("two attributions with different {what} cannot be paired")]
    Unpaired {
        /// What differs.
        what: &'static str,
    },
    /// The range of positions to attribute is empty once it is limited to the target.
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
    /// The example needs more memory than the budget allows.
    #[error(
        "the example needs about {} of working memory; --memory allows {}",
        rounded_up(*needed),
        rounded_down(*budget)
    )]
    TooLarge {
        /// Memory the example needs, in bytes.
        needed: u64,
        /// Memory the budget allows, in bytes.
        budget: u64,
    },
    /// The device's memory is full, although by our estimate everything should have fit.
    #[error(
        "the device's memory is full: another {} did not fit; use a device with more memory, or end \
         what else runs on it",
        rounded_up(*bytes as u64)
    )]
    DeviceFull {
        /// What did not fit, in bytes.
        bytes: usize,
    },
    /// Not even the smallest possible example fits into the memory budget.
    #[error(
        "--memory allows {} MiB, and this model needs at least {} MiB for the shortest text; raise --memory",
        budget >> 20,
        least.div_ceil(1 << 20)
    )]
    MemoryTooSmall {
        /// The smallest budget that works, in bytes.
        least: u64,
        /// Memory the budget allows, in bytes.
        budget: u64,
    },
    /// The computation was asked to stop.
    #[error("the computation was stopped")]
    Stopped,
    /// A score is NaN or infinite.
    #[error("step {step} has scores that are not finite")]
    NotFinite {
        /// Index of the step.
        step: usize,
    },
    /// The tokenizer could not encode the text.
    #[error("the tokenizer cannot encode the text: {reason}")]
    Tokenize {
        /// The tokenizer's error.
        reason: String,
    },
    /// The chat template rejected the messages, or the input is not a list of messages.
    #[error("the input text cannot be put into the chat template: {reason}")]
    Messages {
        /// The template's error, or what is wrong with the messages.
        reason: String,
    },
    /// A tensor operation failed. Our code should have made shapes and types fit, so this is a bug.
    #[error("tensor operation failed")]
    Compute(#[source] candle_core::Error),
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        match FullDevice::find(&error) {
            Some(FullDevice { bytes }) => Self::DeviceFull { bytes: *bytes },
            None => Self::Compute(error),
        }
    }
}

/// What the memory of a device had no room for, as tensor operations report it.
#[derive(Debug, thiserror::Error)]
#[error("the device has no {bytes} bytes of memory left")]
pub(crate) struct FullDevice {
    pub(crate) bytes: usize,
}

impl From<FullDevice> for candle_core::Error {
    fn from(full: FullDevice) -> Self {
        // The variant of candle that keeps an error as what it is.
        Self::Cuda(Box::new(full)).bt()
    }
}

impl FullDevice {
    /// Returns what a device had no room for, if that is what `error` is about.
    pub(crate) fn find(error: &candle_core::Error) -> Option<&Self> {
        use candle_core::Error;
        match error {
            Error::WithBacktrace { inner, .. } | Error::Context { inner, .. } => Self::find(inner),
            Error::Cuda(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

/// Code of an example that needs more memory than is allowed. With more, it could be attributed.
pub const OUT_OF_MEMORY: &str = "out_of_memory";

impl Error {
    /// Returns how much is affected by the error.
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
            | Self::ContextTexts { .. }
            | Self::Spans { .. }
            | Self::Unpaired { .. }
            | Self::Positions { .. }
            | Self::NotFinite { .. }
            | Self::TooLarge { .. }
            | Self::DeviceFull { .. }
            | Self::Tokenize { .. }
            | Self::Messages { .. } => ErrorScope::Example,
            Self::Stopped => ErrorScope::Stopped,
            Self::Compute(_) => ErrorScope::Internal,
        }
    }

    /// Returns the parts of `items` to try after all of them together have failed: halves if a device
    /// was full, else each of them alone.
    pub(crate) fn parts<'i, T>(&self, items: &'i [T]) -> Chunks<'i, T> {
        match self {
            Self::DeviceFull { .. } => items.chunks(items.len().div_ceil(2).max(1)),
            _ => items.chunks(1),
        }
    }

    /// Returns what the user can do about the error, if the message does not already say so.
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
            Self::ContextTexts { .. } => "context_texts",
            Self::Spans { .. } => "spans",
            Self::Unpaired { .. } => "unpaired",
            Self::Positions { .. } => "positions",
            Self::MemoryTooSmall { .. } => "memory_too_small",
            Self::Stopped => "stopped",
            Self::NotFinite { .. } => "not_finite",
            Self::TooLarge { .. } | Self::DeviceFull { .. } => OUT_OF_MEMORY,
            Self::Tokenize { .. } => "tokenize",
            Self::Messages { .. } => "messages",
            Self::Compute(_) => "internal",
        }
    }
}

/// From this amount on, messages count memory in GiB.
const LARGE_MEMORY: u64 = 10 << 30;

/// Returns an amount of memory that is needed, for a message.
fn rounded_up(bytes: u64) -> String {
    if bytes < LARGE_MEMORY {
        format!("{} MiB", bytes.div_ceil(1 << 20))
    } else {
        format!("{} GiB", bytes.div_ceil(1 << 30))
    }
}

/// Returns an amount of memory that is available, for a message.
fn rounded_down(bytes: u64) -> String {
    if bytes < LARGE_MEMORY {
        format!("{} MiB", bytes >> 20)
    } else {
        format!("{} GiB", bytes >> 30)
    }
}

fn nearest(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}
