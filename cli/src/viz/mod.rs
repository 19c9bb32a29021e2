//! Heatmaps of attributions, as Inseq lays them out.
//!
//! [`Heatmap`] is what is drawn, whoever draws it: `terminal` writes it as a table of coloured
//! numbers, `html` as a page. Colours come from `color`.

mod color;
pub mod html;
mod terminal;

use whence_engine::{Attribution, ScoreRows, StepAttribution};

pub use color::{Colors, Rgb};
pub use terminal::render;

/// One table: a row an attributed token, a column a generated token.
#[derive(Debug, Clone, PartialEq)]
pub struct Heatmap {
    /// `Source` or `Target`.
    pub side: Side,
    /// The generated tokens.
    pub columns: Vec<String>,
    /// The attributed tokens and their scores.
    pub rows: Vec<HeatmapRow>,
    /// Scores of the steps themselves: a name and a value a column.
    pub step_scores: Vec<(String, Vec<f32>)>,
    /// The value that has the strongest colour; its negative has the opposite one.
    pub limit: f32,
}

/// What a heatmap's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Tokens the encoder saw.
    Source,
    /// Tokens the decoder saw.
    Target,
}

impl Side {
    /// Returns its name in titles.
    pub fn name(self) -> &'static str {
        match self {
            Self::Source => "Source",
            Self::Target => "Target",
        }
    }
}

/// One row of a heatmap.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatmapRow {
    /// The attributed token.
    pub token: String,
    /// One score a column; none where the token came later than the column's.
    pub scores: Vec<Option<f32>>,
}

/// Returns the heatmaps of `attribution`: of the source, of the target, or both.
///
/// `step_scores` names the step scores in the order the attribution has them. Raw scores are not
/// drawn: every score must be one a token.
pub fn heatmaps(attribution: &Attribution, step_scores: &[String]) -> Vec<Heatmap> {
    let has = |side: fn(&StepAttribution) -> Option<&ScoreRows>| {
        attribution.steps.iter().any(|step| side(step).is_some())
    };
    let limit = attribution
        .steps
        .iter()
        .flat_map(|step| [step.source.as_ref(), step.target.as_ref()])
        .flatten()
        .flat_map(|scores| scores.values.iter().copied())
        .fold(0.0, f32::max);
    let table = |side: Side| Heatmap {
        side,
        columns: attribution
            .steps
            .iter()
            .map(|step| column(attribution, step))
            .collect(),
        rows: rows(attribution, side),
        step_scores: step_scores
            .iter()
            .enumerate()
            .map(|(index, name)| (name.clone(), of_steps(attribution, index)))
            .collect(),
        limit,
    };
    let mut tables = Vec::new();
    if has(|step| step.source.as_ref()) {
        tables.push(table(Side::Source));
    }
    // With neither side, the step scores still have a table.
    if has(|step| step.target.as_ref()) || tables.is_empty() {
        tables.push(table(Side::Target));
    }
    tables
}

/// Returns what stands above a step's column: its token, and what it is contrasted with.
fn column(attribution: &Attribution, step: &StepAttribution) -> String {
    let token = &attribution.target[step.target_pos];
    match &step.contrast {
        Some(contrast) if contrast.text != token.text => {
            format!("{} → {}", contrast.text, token.text)
        }
        _ => token.text.clone(),
    }
}

fn rows(attribution: &Attribution, side: Side) -> Vec<HeatmapRow> {
    let scores_of = |step: &StepAttribution| match side {
        Side::Source => step.source.clone(),
        Side::Target => step.target.clone(),
    };
    let columns: Vec<_> = attribution.steps.iter().map(scores_of).collect();
    if columns.iter().all(Option::is_none) {
        return Vec::new();
    }
    let tokens = match side {
        Side::Source => &attribution.source[..],
        Side::Target => &attribution.target[..attribution.attr_pos_end],
    };
    let row = |(index, token): (usize, &whence_engine::Token)| HeatmapRow {
        token: token.text.clone(),
        scores: columns
            .iter()
            .map(|column| column.as_ref()?.values.get(index).copied())
            .collect(),
    };
    tokens.iter().enumerate().map(row).collect()
}

fn of_steps(attribution: &Attribution, index: usize) -> Vec<f32> {
    attribution
        .steps
        .iter()
        .map(|step| step.step_scores[index])
        .collect()
}

/// Returns `value` with at most `digits` decimals and at least one, as Python prints rounded numbers.
fn rounded(value: f32, digits: usize) -> String {
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
