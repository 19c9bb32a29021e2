//! The contents of a heatmap, independent of how it is drawn: titles, tokens and numbers.

/// One heatmap: a row per attributed token, a column per generated token or query token.
#[derive(Debug, Clone, PartialEq)]
pub struct Heatmap {
    /// The title above the heatmap.
    pub title: String,
    /// A line that says what the columns and rows are.
    pub legend: &'static str,
    /// The tokens of the columns.
    pub columns: Vec<String>,
    /// The attributed tokens and their scores.
    pub rows: Vec<HeatmapRow>,
    /// Scores of the steps themselves: a name, and one value per column.
    pub step_scores: Vec<(String, Vec<f32>)>,
    /// The score drawn in the strongest color; its negative gets the strongest opposite color.
    pub limit: f32,
}

/// The legend of ordinary heatmaps, in the words of Inseq.
pub(super) const ATTRIBUTED: &str = "→ : Generated tokens, ↓ : Attributed tokens";
/// The legend of scores between tokens of the encoder.
pub(super) const QUERIES_AND_KEYS: &str = "→ : Query tokens, ↓ : Key tokens";

/// One row of a heatmap.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatmapRow {
    /// The attributed token.
    pub token: String,
    /// One score per column; `None` if this token comes after the prefix of the column's token.
    pub scores: Vec<Option<f32>>,
}

/// Formats `value` with at most `digits` decimals and at least one, as Python prints rounded
/// numbers.
pub(super) fn rounded(value: f32, digits: usize) -> String {
    let mut text = format!("{:.digits$}", f64::from(value));
    while text.ends_with('0') && !text.ends_with(".0") {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_as_inseq_rounds_them() {
        for (value, text) in [
            (0.2, "0.2"),
            (0.387, "0.39"),
            (1.0, "1.0"),
            (0.001, "0.0"),
            (-0.001, "-0.0"),
            (-12.345, "-12.35"),
        ] {
            assert_eq!(rounded(value, 2), text);
        }
    }
}
