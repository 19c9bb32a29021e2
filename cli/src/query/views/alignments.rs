//! `alignments`: the strongest tokens of each step.

use super::attributions;
use super::python;
use super::view::{LongTableKind, Rows, Unnested, View};

/// Ranks that the view keeps. The first answers most questions; the next two tell how clear it is.
pub(crate) const STRONGEST: u32 = 3;

pub(super) const VIEW: View = View {
    name: "alignments",
    about: "The rows of `attributions` with `rank` 1 to 3: the tokens of each side that contributed \
            most to a generated token. `WHERE side = 'source' AND rank = 1` aligns each generated \
            token with one source token.",
    columns: attributions::COLUMNS,
    rows: Rows::Unnested(Unnested {
        kind: LongTableKind::Alignments,
        duckdb: |_| query(),
        polars: |_| python::sql(&query()),
        python: "",
    }),
};

fn query() -> String {
    format!("SELECT * FROM attributions WHERE rank <= {STRONGEST}")
}
