//! Merges runs of tokens into one token each: shared by `spans`, `subwords` and `split`.
//!
//! The columns (generated tokens) are merged first, then the rows (tokens they are attributed to).
//! A cell is missing if its row's token does not come before its column's token. If the reduction
//! ignores missing cells, as `absmax` does, a merged token keeps one extra row after its prefix:
//! what its own later pieces owe to its earlier ones. In sequence scores both axes have the same
//! tokens, and both are merged.

use std::ops::Range;

use super::{Context, Reduction};
use crate::attribution::Offsets;
use crate::{Attribution, ScoreRows, SequenceScores, Side, StepAttribution, Token};

/// Runs of tokens to merge, and how.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// Runs of source tokens.
    pub(super) source: Vec<Range<usize>>,
    /// Runs of target tokens.
    pub(super) target: Vec<Range<usize>>,
    /// How cells and step scores are merged. When absent, cells are merged by `absmax` and step
    /// scores as their functions say.
    pub(super) reduction: Option<Reduction>,
    /// Order of the norm if the reduction is `vnorm`.
    pub(super) order: f64,
}

impl Merge {
    /// Merges tokens, scores and positions of `attribution`.
    pub(super) fn apply(&self, attribution: Attribution, context: &Context<'_>) -> Attribution {
        let (first, steps) = (attribution.attr_pos_start, attribution.steps.len());
        let columns = groups(&self.runs_of_steps(first, steps), steps);
        let source_rows = groups(&self.source, attribution.source.len());
        let target_rows = groups(&self.target, attribution.target.len());
        let new_first = target_rows.iter().take_while(|run| run.end <= first);
        let new_first = new_first.count();
        let merged = |map: Map, columns: &[Range<usize>], rows: &[Range<usize>]| {
            map.merge_columns(columns, self)
                .merge_rows(rows, self)
                .into_columns()
        };
        let side = |side: fn(&StepAttribution) -> Option<&ScoreRows>, rows: &[Range<usize>]| {
            let scores: Option<Vec<_>> = attribution.steps.iter().map(side).collect();
            let map = Map::from_columns(&scores?, &attribution)?;
            Some(merged(map, &columns, rows))
        };
        let of_sequence = |scores: &SequenceScores| {
            let (columns, rows) = match scores.side {
                Side::Source => (&source_rows, &source_rows),
                Side::Target => (&columns, &target_rows),
            };
            let map = Map::from_columns(&scores.columns.iter().collect::<Vec<_>>(), &attribution);
            let merged = map.map(|map| merged(map, columns, rows));
            SequenceScores {
                columns: merged.into_iter().flatten().collect(),
                ..scores.clone()
            }
        };
        let sequence_scores = attribution.sequence_scores.iter().map(of_sequence);
        let sequence_scores = sequence_scores.collect();
        let mut source = side(|step| step.source.as_ref(), &source_rows);
        let mut target = side(|step| step.target.as_ref(), &target_rows);
        let merged_step = |(index, run): (usize, &Range<usize>)| {
            let pieces = &attribution.steps[run.clone()];
            StepAttribution {
                target_pos: new_first + index,
                source: source.as_mut().and_then(Iterator::next),
                target: target.as_mut().and_then(Iterator::next),
                step_scores: self.merge_step_scores(pieces, context),
                contrast: merge_contrasts(pieces),
            }
        };
        let steps: Vec<_> = columns.iter().enumerate().map(merged_step).collect();
        Attribution {
            source: merge_tokens(&attribution.source, &source_rows, &self.source),
            target: merge_tokens(&attribution.target, &target_rows, &self.target),
            attr_pos_start: new_first,
            attr_pos_end: new_first + steps.len(),
            steps,
            sequence_scores,
            ..attribution
        }
    }

    /// Returns the runs of generated tokens, counted from the first generated token. A run that
    /// begins in the prompt is included, but only with its generated pieces.
    fn runs_of_steps(&self, first: usize, steps: usize) -> Vec<Range<usize>> {
        self.target
            .iter()
            .filter(|span| span.end > first)
            .map(|span| span.start.saturating_sub(first)..(span.end - first).min(steps))
            .filter(|span| !span.is_empty())
            .collect()
    }

    fn reduce(&self, values: &[f64]) -> f64 {
        let reduction = self.reduction.unwrap_or(Reduction::AbsMax);
        reduction.reduce(values, self.order)
    }

    fn merge_step_scores(&self, pieces: &[StepAttribution], context: &Context<'_>) -> Vec<f32> {
        let of_score = |(index, (_, merged_by)): (usize, &(String, Reduction))| {
            let values: Vec<_> = pieces
                .iter()
                .map(|piece| f64::from(piece.step_scores[index]))
                .collect();
            let reduction = self.reduction.unwrap_or(*merged_by);
            reduction.reduce(&values, self.order) as f32
        };
        let scores = context.step_scores.iter().enumerate();
        scores.map(of_score).collect()
    }
}

/// Returns runs that cover `0..len`: those of `spans`, and every other position as a run of one.
fn groups(spans: &[Range<usize>], len: usize) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut next = 0;
    for span in spans {
        groups.extend((next..span.start).map(|position| position..position + 1));
        groups.push(span.clone());
        next = span.end;
    }
    groups.extend((next..len).map(|position| position..position + 1));
    groups
}

/// Returns one token per run. Tokens merged by one of `spans` have no id.
fn merge_tokens(tokens: &[Token], runs: &[Range<usize>], spans: &[Range<usize>]) -> Vec<Token> {
    let merged = |run: &Range<usize>| match &tokens[run.clone()] {
        [token] if !spans.contains(run) => token.clone(),
        pieces => Token {
            id: None,
            text: pieces.iter().map(|token| token.text.as_str()).collect(),
            offsets: merge_offsets(pieces),
        },
    };
    runs.iter().map(merged).collect()
}

/// Returns the offsets from the start of the first piece to the end of the last.
fn merge_offsets(pieces: &[Token]) -> Offsets {
    let offsets = || pieces.iter().filter_map(|token| token.offsets);
    let start = offsets().map(|(start, _)| start).min()?;
    let end = offsets().map(|(_, end)| end).max()?;
    Some((start, end))
}

fn merge_contrasts(pieces: &[StepAttribution]) -> Option<Token> {
    if let [piece] = pieces {
        return piece.contrast.clone();
    }
    let contrasts: Option<Vec<_>> = pieces.iter().map(|piece| piece.contrast.as_ref()).collect();
    Some(Token {
        id: None,
        text: contrasts?.iter().map(|token| token.text.as_str()).collect(),
        offsets: None,
    })
}

/// A table of scores with `width` numbers per cell; missing cells are NaN.
struct Map {
    rows: usize,
    columns: usize,
    width: usize,
    row_shape: Vec<usize>,
    /// `[rows, columns, width]`
    cells: Vec<f64>,
}

impl Map {
    /// Builds the table from the scores `of_columns` of `attribution`; `None` if there are no
    /// scores.
    fn from_columns(of_columns: &[&ScoreRows], attribution: &Attribution) -> Option<Self> {
        let row_shape = of_columns.first()?.row_shape.clone();
        let (columns, width) = (of_columns.len(), row_shape.iter().product());
        if width == 0 {
            return None;
        }
        let rows = attribution.source.len().max(attribution.target.len());
        let mut cells = vec![f64::NAN; rows * columns * width];
        for (column, scores) in of_columns.iter().enumerate() {
            for (row, values) in scores.values.chunks_exact(width).enumerate() {
                let cell = &mut cells[(row * columns + column) * width..][..width];
                for (cell, value) in cell.iter_mut().zip(values) {
                    *cell = f64::from(*value);
                }
            }
        }
        Some(Self {
            rows,
            columns,
            width,
            row_shape,
            cells,
        })
    }

    fn merge_columns(&self, runs: &[Range<usize>], merge: &Merge) -> Self {
        self.gather(self.rows, runs.len(), |row, column, entry| {
            let pieces = runs[column].clone();
            let values: Vec<_> = pieces.map(|piece| self.at(row, piece, entry)).collect();
            merge.reduce(&values)
        })
    }

    fn merge_rows(&self, runs: &[Range<usize>], merge: &Merge) -> Self {
        self.gather(runs.len(), self.columns, |row, column, entry| {
            let pieces = runs[row].clone();
            let values: Vec<_> = pieces.map(|piece| self.at(piece, column, entry)).collect();
            merge.reduce(&values)
        })
    }

    fn at(&self, row: usize, column: usize, entry: usize) -> f64 {
        self.cells[(row * self.columns + column) * self.width + entry]
    }

    fn gather(
        &self,
        rows: usize,
        columns: usize,
        value: impl Fn(usize, usize, usize) -> f64,
    ) -> Self {
        let mut cells = Vec::with_capacity(rows * columns * self.width);
        for row in 0..rows {
            for column in 0..columns {
                cells.extend((0..self.width).map(|entry| value(row, column, entry)));
            }
        }
        Self {
            rows,
            columns,
            width: self.width,
            row_shape: self.row_shape.clone(),
            cells,
        }
    }

    /// Returns the columns, each without the missing rows at its end.
    fn into_columns(self) -> impl Iterator<Item = ScoreRows> {
        (0..self.columns).map(move |column| {
            let start = |row: usize| (row * self.columns + column) * self.width;
            let rows = (0..self.rows).map(|row| &self.cells[start(row)..][..self.width]);
            let there = rows.take_while(|row| !row.iter().all(|value| value.is_nan()));
            ScoreRows {
                values: there.flatten().map(|&value| value as f32).collect(),
                row_shape: self.row_shape.clone(),
            }
        })
    }
}
