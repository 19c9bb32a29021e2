//! `context_cues`: the tokens of the contexts that made the output depend on them.

use super::context_attributions;
use super::view::{Rows, View};

pub(super) const VIEW: View = View {
    name: "context_cues",
    about: "The rows of `context_attributions` that were selected as cues: what in a context made a \
            token depend on it.",
    columns: context_attributions::COLUMNS,
    rows: Rows::Query(|_| query()),
};

fn query() -> String {
    "SELECT * FROM context_attributions WHERE is_cue".to_owned()
}
