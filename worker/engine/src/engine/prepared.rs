//! Examples that are ready to be explained: plain data.

use crate::attribution::Offsets;
use crate::instance::Instance;

/// An example and one of its targets, encoded but not yet scored.
pub(super) struct Prepared {
    pub(super) instance: Instance,
    /// Offsets of the source tokens in the input text.
    pub(super) source_offsets: Vec<Offsets>,
    pub(super) target_offsets: Vec<Offsets>,
    pub(super) generated_text: String,
    pub(super) forced: bool,
}
