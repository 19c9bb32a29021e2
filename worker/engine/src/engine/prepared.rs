//! Examples that are ready to be explained: plain data.

use crate::attribution::Offsets;
use crate::instance::Instance;

/// An example and one of its targets, encoded but not yet scored.
pub(crate) struct Prepared {
    pub(crate) instance: Instance,
    /// Offsets of the source tokens in the input text.
    pub(crate) source_offsets: Vec<Offsets>,
    pub(crate) target_offsets: Vec<Offsets>,
    pub(crate) generated_text: String,
    pub(crate) forced: bool,
}
