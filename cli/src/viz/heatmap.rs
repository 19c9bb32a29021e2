//! What is drawn, whoever draws it: titles, tokens and numbers.

/// One table: one row per attributed token, one column per generated token or query token.
#[derive(Debug, Clone, PartialEq)]
pub struct Heatmap {
    /// What stands above.
    pub title: String,
    /// What columns and rows are.
    pub legend: &'static str,
    /// The tokens of the columns.
    pub columns: Vec<String>,
    /// The attributed tokens and their scores.
    pub rows: Vec<HeatmapRow>,
    /// Scores of the steps themselves: a name, and one value per column.
    pub step_scores: Vec<(String, Vec<f32>)>,
    /// The value that has the strongest color; its negative has the opposite one.
    pub limit: f32,
}

/// The legend of Inseq's heatmaps.
pub(super) const ATTRIBUTED: &str = "→ : Generated tokens, ↓ : Attributed tokens";
/// The legend of scores that the tokens of one stack have for each other.
pub(super) const QUERIES_AND_KEYS: &str = "→ : Query tokens, ↓ : Key tokens";

/// One row of a heatmap.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatmapRow {
    /// The attributed token.
    pub token: String,
    /// One score per column; none where the token came later than the column's.
    pub scores: Vec<Option<f32>>,
}

/// Returns `value` with at most `digits` decimals and at least one, as Python prints rounded numbers.
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
