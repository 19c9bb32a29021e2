//! What governs one generation, the job's choices put over the model's.

use whence_schemas::GenerationSpec;

/// What a processor is built from.
#[derive(Debug)]
pub(super) struct Choices {
    /// The job's choices over the model's.
    pub(super) spec: GenerationSpec,
    /// Tokens that end a sequence.
    pub(super) end: Vec<u32>,
    /// Fewest tokens that drawing must leave: beams need some that do not end them.
    pub(super) min_tokens_to_keep: usize,
}
