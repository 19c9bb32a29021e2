//! An example ready to be explained: plain data.

use crate::attribution::Offsets;
use crate::instance::Instance;

/// An example and one of its targets, on their way from text to scores.
pub(super) struct Prepared {
    pub(super) instance: Instance,
    /// Where the tokens stand in their texts.
    pub(super) source_offsets: Vec<Offsets>,
    pub(super) target_offsets: Vec<Offsets>,
    pub(super) generated_text: String,
    pub(super) forced: bool,
}
