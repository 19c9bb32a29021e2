//! The table of aggregators. `whence list aggregators` shows it.

use serde_json::Value;

use super::scores::{self, Scores};
use super::stage::Stage;
use super::{normalize, pair, rescale, slices, spans, split, subwords, weight_attributions};
use crate::kernels::reduction::Reduction;
use crate::registry::{self, Describe, Entry};

/// Builds the table row of a function that is short for `scores`.
macro_rules! function {
    ($reduction:ident, $name:literal, $summary:literal) => {
        Entry {
            name: $name,
            aliases: &[],
            summary: $summary,
            parameters: scores::parameters_without_function,
            build: |parameters| {
                let scores = Scores::with_function(Reduction::$reduction, parameters)?;
                Ok(Box::new(scores.into()))
            },
        }
    };
}
/// Every aggregator, in the order `whence list aggregators` shows them: first the stages, then the
/// functions that are short for `scores`.
pub const AGGREGATORS: &[Entry<Stage>] = &[
    entry::<Scores>(),
    entry::<spans::Spans>(),
    entry::<subwords::Subwords>(),
    entry::<split::Split>(),
    entry::<slices::Slices>(),
    entry::<pair::Pair>(),
    entry::<weight_attributions::WeightAttributions>(),
    entry::<normalize::Normalize>(),
    entry::<rescale::Rescale>(),
    function!(VNorm, "vnorm", "`scores` by the length of the vector"),
    function!(Mean, "mean", "`scores` by the arithmetic mean"),
    function!(Sum, "sum", "`scores` by the sum"),
    function!(Prod, "prod", "`scores` by the product"),
    function!(Min, "min", "`scores` by the smallest value"),
    function!(Max, "max", "`scores` by the largest value"),
    function!(
        AbsMax,
        "absmax",
        "`scores` by the value farthest from zero, with its sign"
    ),
];

/// Builds one row of the table.
const fn entry<A: Into<Stage> + Describe>() -> Entry<Stage> {
    Entry {
        name: A::NAME,
        aliases: A::ALIASES,
        summary: A::SUMMARY,
        parameters: registry::parameters::<A>,
        build: |parameters: &Value| Ok(Box::new(registry::read::<A>(parameters)?.into())),
    }
}
