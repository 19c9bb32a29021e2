//! The heatmaps of an attribution, laid out as in Inseq.

use whence_engine::{Attribution, ScoreRows, SequenceScores, Side, StepAttribution, Token};

use super::heatmap::{Axes, Column, Heatmap, HeatmapRow, largest};
use super::label::{Label, Vocabulary};

/// Returns the heatmaps of `attribution`: one for each side that has scores, then one for each of
/// its sequence scores.
///
/// `step_scores` names the step scores, in the order in which the attribution lists them. There
/// must be one score per token; raw scores cannot be drawn.
pub fn heatmaps(attribution: &Attribution, step_scores: &[String]) -> Vec<Heatmap> {
    let example = Example::new(attribution);
    let has = |side: fn(&StepAttribution) -> Option<&ScoreRows>| {
        attribution.steps.iter().any(|step| side(step).is_some())
    };
    let mut tables = Vec::new();
    if has(|step| step.source.as_ref()) {
        tables.push(example.table(Side::Source, step_scores));
    }
    // If neither side has scores, a target table without rows still shows the step scores.
    if has(|step| step.target.as_ref()) || tables.is_empty() {
        tables.push(example.table(Side::Target, step_scores));
    }
    let sequences = attribution.sequence_scores.iter();
    tables.extend(sequences.map(|scores| example.of_stack(scores)));
    tables
}

/// An attribution with its tokens decoded.
struct Example<'a> {
    attribution: &'a Attribution,
    source: Vec<Label>,
    /// The tokens up to the last attributed one.
    target: Vec<Label>,
    contrasts: Vec<Option<Label>>,
    /// The largest absolute score of the steps.
    limit: f32,
}

impl<'a> Example<'a> {
    fn new(attribution: &'a Attribution) -> Self {
        let target = &attribution.target[..attribution.attr_pos_end];
        let texts = |tokens: &'a [Token]| tokens.iter().map(|token| token.text.as_str());
        let vocabulary = Vocabulary::of(texts(&attribution.source).chain(texts(target)));
        let labels = |tokens: &'a [Token]| vocabulary.labels(&texts(tokens).collect::<Vec<_>>());
        let contrast = |step: &'a StepAttribution| {
            let contrast = step.contrast.as_ref()?;
            let labels = vocabulary.labels(&[contrast.text.as_str()]);
            let own = &attribution.target[step.target_pos];
            (labels.into_iter().next()).filter(|_| contrast.text != own.text)
        };
        let steps = attribution.steps.iter();
        let sides = steps.flat_map(|step| [step.source.as_ref(), step.target.as_ref()]);
        let scores = sides.flatten().flat_map(|scores| &scores.values).copied();
        Self {
            attribution,
            source: labels(&attribution.source),
            target: labels(target),
            contrasts: attribution.steps.iter().map(contrast).collect(),
            limit: largest(scores),
        }
    }

    /// Returns the heatmap of one side.
    fn table(&self, side: Side, step_scores: &[String]) -> Heatmap {
        let steps = &self.attribution.steps;
        let of_step = |step: &'a StepAttribution| match side {
            Side::Source => step.source.as_ref(),
            Side::Target => step.target.as_ref(),
        };
        let scores: Vec<_> = steps.iter().map(of_step).collect();
        let (title, axes) = match side {
            Side::Source => ("Source Saliency Heatmap", Axes::Source),
            Side::Target => ("Target Saliency Heatmap", Axes::Prefix),
        };
        let values = |index: usize| steps.iter().map(move |step| step.step_scores[index]);
        Heatmap {
            title: title.to_owned(),
            axes,
            columns: self.step_columns(side == Side::Target),
            rows: rows(self.labels(side), &scores),
            step_scores: (step_scores.iter().enumerate())
                .map(|(index, name)| (name.clone(), values(index).collect()))
                .collect(),
            example_limit: self.limit,
        }
    }

    /// Returns the heatmap of scores between tokens of the same stack (encoder or decoder).
    fn of_stack(&self, scores: &SequenceScores) -> Heatmap {
        let columns = match scores.side {
            Side::Source => (self.source.iter().enumerate())
                .map(|(row, token)| Column {
                    token: token.clone(),
                    contrast: None,
                    row: Some(row),
                })
                .collect(),
            Side::Target => self.step_columns(true),
        };
        let values = scores.columns.iter().flat_map(|column| &column.values);
        Heatmap {
            title: format!("{} Heatmap", scores.name),
            axes: match scores.side {
                Side::Source => Axes::Stack,
                Side::Target => Axes::Prefix,
            },
            columns,
            example_limit: largest(values.copied()),
            rows: rows(
                self.labels(scores.side),
                &scores.columns.iter().map(Some).collect::<Vec<_>>(),
            ),
            step_scores: Vec::new(),
        }
    }

    fn labels(&self, side: Side) -> &[Label] {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// Returns one column per step; `has_rows` tells whether the steps' tokens are rows, too.
    fn step_columns(&self, has_rows: bool) -> Vec<Column> {
        let steps = self.attribution.steps.iter().zip(&self.contrasts);
        let column = |(step, contrast): (&StepAttribution, &Option<Label>)| Column {
            token: self.target[step.target_pos].clone(),
            contrast: contrast.clone(),
            row: has_rows.then_some(step.target_pos),
        };
        steps.map(column).collect()
    }
}

/// Returns one row per token; no rows if no column has scores.
fn rows(tokens: &[Label], columns: &[Option<&ScoreRows>]) -> Vec<HeatmapRow> {
    if columns.iter().all(Option::is_none) {
        return Vec::new();
    }
    let row = |(index, token): (usize, &Label)| HeatmapRow {
        token: token.clone(),
        scores: columns
            .iter()
            .map(|column| column.as_ref()?.values.get(index).copied())
            .collect(),
    };
    tokens.iter().enumerate().map(row).collect()
}
