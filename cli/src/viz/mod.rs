//! Heatmaps of attributions, laid out as in Inseq.
//!
//! A [`Heatmap`] holds the contents. `terminal` draws it as a table of colored numbers, `html` as a
//! page. Colors come from `color`. `context` shows context attributions as running texts.

mod cell;
mod color;
pub mod context;
mod heatmap;
pub mod html;
mod terminal;

use whence_engine::{Attribution, ScoreRows, SequenceScores, Side, StepAttribution, Token};

pub use color::{Colors, Rgb};
use heatmap::{ATTRIBUTED, QUERIES_AND_KEYS};
pub use heatmap::{Heatmap, HeatmapRow};
pub use terminal::render;

/// Returns the heatmaps of `attribution`: one for each side that has scores, then one for each of
/// its sequence scores.
///
/// `step_scores` names the step scores, in the order in which the attribution lists them. There
/// must be one score per token; raw scores cannot be drawn.
pub fn heatmaps(attribution: &Attribution, step_scores: &[String]) -> Vec<Heatmap> {
    let has = |side: fn(&StepAttribution) -> Option<&ScoreRows>| {
        attribution.steps.iter().any(|step| side(step).is_some())
    };
    let limit = largest_score(attribution);
    let table = |side: Side| Heatmap {
        title: match side {
            Side::Source => "Source Saliency Heatmap".to_owned(),
            Side::Target => "Target Saliency Heatmap".to_owned(),
        },
        legend: ATTRIBUTED,
        columns: attribution
            .steps
            .iter()
            .map(|step| column(attribution, step))
            .collect(),
        rows: side_rows(attribution, side),
        step_scores: step_scores
            .iter()
            .enumerate()
            .map(|(index, name)| (name.clone(), step_score_values(attribution, index)))
            .collect(),
        limit,
    };
    let mut tables = Vec::new();
    if has(|step| step.source.as_ref()) {
        tables.push(table(Side::Source));
    }
    // If neither side has scores, a target table without rows still shows the step scores.
    if has(|step| step.target.as_ref()) || tables.is_empty() {
        tables.push(table(Side::Target));
    }
    let sequences = attribution.sequence_scores.iter();
    tables.extend(sequences.map(|scores| sequence_heatmap(attribution, scores)));
    tables
}

fn largest_score(attribution: &Attribution) -> f32 {
    let steps = attribution.steps.iter();
    let sides = steps.flat_map(|step| [step.source.as_ref(), step.target.as_ref()]);
    let scores = sides
        .flatten()
        .flat_map(|scores| scores.values.iter().copied());
    scores.fold(0.0, f32::max)
}

/// Returns the heatmap of scores between tokens of the same stack (encoder or decoder).
fn sequence_heatmap(attribution: &Attribution, scores: &SequenceScores) -> Heatmap {
    let (columns, legend) = match scores.side {
        Side::Source => (
            attribution.source.iter().map(|t| t.text.clone()).collect(),
            QUERIES_AND_KEYS,
        ),
        Side::Target => {
            let steps = attribution.steps.iter();
            (
                steps.map(|step| column(attribution, step)).collect(),
                ATTRIBUTED,
            )
        }
    };
    let values = scores.columns.iter().flat_map(|column| &column.values);
    Heatmap {
        title: format!("{} Heatmap", scores.name),
        legend,
        columns,
        limit: values.copied().fold(0.0, f32::max),
        rows: rows(
            tokens(attribution, scores.side),
            &scores.columns.iter().map(Some).collect::<Vec<_>>(),
        ),
        step_scores: Vec::new(),
    }
}

/// Returns the header of a step's column: its token, or `contrast → token` if they differ.
fn column(attribution: &Attribution, step: &StepAttribution) -> String {
    let token = &attribution.target[step.target_pos];
    match &step.contrast {
        Some(contrast) if contrast.text != token.text => {
            format!("{} → {}", contrast.text, token.text)
        }
        _ => token.text.clone(),
    }
}

fn side_rows(attribution: &Attribution, side: Side) -> Vec<HeatmapRow> {
    let steps = attribution.steps.iter();
    let columns: Vec<_> = match side {
        Side::Source => steps.map(|step| step.source.as_ref()).collect(),
        Side::Target => steps.map(|step| step.target.as_ref()).collect(),
    };
    rows(tokens(attribution, side), &columns)
}

fn tokens(attribution: &Attribution, side: Side) -> &[Token] {
    match side {
        Side::Source => &attribution.source,
        Side::Target => &attribution.target[..attribution.attr_pos_end],
    }
}

/// Returns one row per token; no rows if no column has scores.
fn rows(tokens: &[Token], columns: &[Option<&ScoreRows>]) -> Vec<HeatmapRow> {
    if columns.iter().all(Option::is_none) {
        return Vec::new();
    }
    let row = |(index, token): (usize, &Token)| HeatmapRow {
        token: token.text.clone(),
        scores: columns
            .iter()
            .map(|column| column.as_ref()?.values.get(index).copied())
            .collect(),
    };
    tokens.iter().enumerate().map(row).collect()
}

fn step_score_values(attribution: &Attribution, index: usize) -> Vec<f32> {
    attribution
        .steps
        .iter()
        .map(|step| step.step_scores[index])
        .collect()
}
