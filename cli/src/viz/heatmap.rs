//! The contents of a heatmap, independent of how it is drawn: titles, tokens and numbers.

use clap::ValueEnum;

use super::label::Label;

/// One heatmap: a row per attributed token, a column per generated token or query token.
#[derive(Debug, Clone, PartialEq)]
pub struct Heatmap {
    /// The title above the heatmap.
    pub title: String,
    /// What the rows and columns are.
    pub axes: Axes,
    /// The tokens of the columns.
    pub columns: Vec<Column>,
    /// The attributed tokens and their scores.
    pub rows: Vec<HeatmapRow>,
    /// Scores of the steps themselves: a name, and one value per column.
    pub step_scores: Vec<(String, Vec<f32>)>,
    /// The largest absolute score of the whole example.
    pub example_limit: f32,
}

/// What the rows and columns of a heatmap are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axes {
    /// Rows are tokens of the source, columns generated tokens.
    Source,
    /// Rows are tokens of the prefix, columns generated tokens.
    Prefix,
    /// Rows and columns are tokens of one stack: keys and queries of its attention.
    Stack,
}

impl Axes {
    /// Returns a line that says what columns and rows are, in the words of Inseq.
    pub(super) fn legend(self) -> &'static str {
        match self {
            Self::Source | Self::Prefix => "→ : Generated tokens, ↓ : Attributed tokens",
            Self::Stack => "→ : Query tokens, ↓ : Key tokens",
        }
    }
}

/// The token at the head of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The token.
    pub token: Label,
    /// The token that it is contrasted with, if that is another one.
    pub contrast: Option<Label>,
    /// The row of the same token; `None` if it has none.
    pub row: Option<usize>,
}

/// One row of a heatmap.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatmapRow {
    /// The attributed token.
    pub token: Label,
    /// One score per column; `None` if this token comes after the prefix of the column's token.
    pub scores: Vec<Option<f32>>,
}

/// The scores that share one scale of colors: the largest of them, by its absolute value, has the
/// strongest color.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorScale {
    /// All scores of an example.
    #[default]
    Example,
    /// The scores of one heatmap.
    Table,
    /// The scores of one column, so that one strong column does not pale the others.
    Column,
}

impl Column {
    /// Returns the heading: the token, or `contrast → token`.
    pub(super) fn heading(&self, text: impl Fn(&Label) -> String) -> String {
        match &self.contrast {
            Some(contrast) => format!("{} → {}", text(contrast), text(&self.token)),
            None => text(&self.token),
        }
    }
}

impl Heatmap {
    /// Returns for each column the absolute score that has the strongest color.
    pub fn limits(&self, scale: ColorScale) -> Vec<f32> {
        let columns = 0..self.columns.len();
        let of_column = |column: usize| {
            let scores = self.rows.iter().map(move |row| row.scores[column]);
            largest(scores.flatten())
        };
        match scale {
            ColorScale::Example => vec![self.example_limit; columns.len()],
            ColorScale::Table => {
                let limit = columns.clone().map(of_column).fold(0.0, f32::max);
                vec![limit; columns.len()]
            }
            ColorScale::Column => columns.map(of_column).collect(),
        }
    }

    /// Returns whether any score is negative.
    pub(super) fn has_negative(&self) -> bool {
        let scores = self.rows.iter().flat_map(|row| &row.scores);
        scores.flatten().any(|score| *score < 0.0)
    }
}

/// Returns the largest absolute value among the finite `scores`; 0 if there is none.
pub(super) fn largest(scores: impl Iterator<Item = f32>) -> f32 {
    let sizes = scores.map(f32::abs).filter(|size| size.is_finite());
    sizes.fold(0.0, f32::max)
}

/// Returns where a score is on a scale that ends at `limit`: -1 for `-limit`, 0 for zero, 1 for
/// `limit`. A score that is not a number is drawn as zero.
pub(super) fn share(score: f32, limit: f32) -> f64 {
    if score.is_nan() || limit <= 0.0 {
        return 0.0;
    }
    (f64::from(score) / f64::from(limit)).clamp(-1.0, 1.0)
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

    #[test]
    fn a_scale_ends_at_the_largest_score_that_shares_it() {
        let column = |text: &str| Column {
            token: Label::of_raw(text),
            contrast: None,
            row: None,
        };
        let row = |scores: [Option<f32>; 2]| HeatmapRow {
            token: Label::of_raw("t"),
            scores: scores.to_vec(),
        };
        let heatmap = Heatmap {
            title: String::new(),
            axes: Axes::Prefix,
            columns: vec![column("a"), column("b")],
            rows: vec![row([Some(0.25), Some(f32::NAN)]), row([None, Some(-0.5)])],
            step_scores: Vec::new(),
            example_limit: 2.0,
        };
        assert_eq!(heatmap.limits(ColorScale::Example), [2.0, 2.0]);
        assert_eq!(heatmap.limits(ColorScale::Table), [0.5, 0.5]);
        assert_eq!(heatmap.limits(ColorScale::Column), [0.25, 0.5]);
        assert_eq!(share(-0.5, 0.5), -1.0);
        assert_eq!(
            (share(f32::INFINITY, 2.0), share(f32::NAN, 2.0)),
            (1.0, 0.0)
        );
        assert_eq!(share(0.0, 0.0), 0.0);
    }
}
