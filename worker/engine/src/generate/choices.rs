//! The options for one generation: the job's override the model's.

use whence_schemas::GenerationSpec;

/// The options that processors are built from.
#[derive(Debug)]
pub(super) struct Choices {
    /// The job's options, with the model's where the job gives none.
    pub(super) spec: GenerationSpec,
    /// Tokens that end a sequence.
    pub(super) end: Vec<u32>,
    /// Fewest tokens that sampling filters must leave over. Beam search needs several, because
    /// some of them may end a sequence.
    pub(super) min_tokens_to_keep: usize,
}
