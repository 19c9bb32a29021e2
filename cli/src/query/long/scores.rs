//! Unnests scores: `attributions`, and of them the strongest, `alignments`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Int32Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use whence_schemas::output;

use super::nested::{Elements, ScoreLists};
use super::positions::{Tokens, strength_order, strongest};
use super::rows::{LongRows, constant};

/// Returns one row per score of `side`. If `most` is given, only those with a rank up to it.
pub(super) fn unnest(
    slots: &RecordBatch,
    side: &'static str,
    most: Option<u32>,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let steps = Elements::new(slots, output::STEPS)?;
    let scores = steps.scores(&format!("{side}_scores"))?;
    let wants = |name: &str| schema.column_with_name(name).is_some();
    let totals = wants("share")
        .then(|| StepTotals::new(&steps))
        .transpose()?;
    let ranked = wants("rank");
    let mut found = Found::default();
    let mut order = Vec::new();
    for example in 0..slots.num_rows() {
        for step in steps.of(example) {
            let values = scores.of(step);
            let total = totals.as_ref().map_or(0.0, |totals| totals.of(step));
            found.begin(example, step, total);
            if let Some(most) = most {
                strongest(values, most as usize, &mut order);
                found.add_strongest(values, &order);
            } else if ranked {
                strength_order(values, &mut order);
                found.add_all(values, Some(&order));
            } else {
                found.add_all(values, None);
            }
        }
    }
    found.build(slots, &steps, side, schema)
}

/// The sum of the absolute scores of a step, over both sides.
pub(super) struct StepTotals<'a>([ScoreLists<'a>; 2]);

impl<'a> StepTotals<'a> {
    pub(super) fn new(steps: &Elements<'a>) -> Result<Self, ArrowError> {
        let [source, target] =
            [output::SOURCE_SCORES, output::TARGET_SCORES].map(|name| steps.scores(name));
        Ok(Self([source?, target?]))
    }

    pub(super) fn of(&self, step: usize) -> f64 {
        total_of(self.0.iter().map(|scores| scores.of(step)))
    }
}

/// Returns the sum of the absolute values of several lists.
pub(super) fn total_of<'a>(lists: impl Iterator<Item = &'a [f32]>) -> f64 {
    let sum = |list: &[f32]| list.iter().map(|score| f64::from(score.abs())).sum::<f64>();
    lists.map(sum).sum()
}

/// The rows found so far, column by column.
#[derive(Default)]
struct Found {
    example: u32,
    step: u32,
    total: f64,
    examples: Vec<u32>,
    steps: Vec<u32>,
    positions: Vec<i32>,
    scores: Vec<f32>,
    totals: Vec<f64>,
    ranks: Vec<i32>,
}

impl Found {
    /// Says to which step the scores belong that are added next.
    fn begin(&mut self, example: usize, step: usize, total: f64) {
        self.example = example as u32;
        self.step = step as u32;
        self.total = total;
    }

    fn add_all(&mut self, values: &[f32], order: Option<&Vec<u32>>) {
        let count = values.len();
        self.repeat(count);
        self.positions.extend(0..count as i32);
        self.scores.extend_from_slice(values);
        if let Some(order) = order {
            let first = self.ranks.len();
            self.ranks.resize(first + count, 0);
            for (place, position) in order.iter().enumerate() {
                self.ranks[first + *position as usize] = place as i32 + 1;
            }
        }
    }

    fn add_strongest(&mut self, values: &[f32], order: &[u32]) {
        self.repeat(order.len());
        self.positions
            .extend(order.iter().map(|position| *position as i32));
        self.scores
            .extend(order.iter().map(|position| values[*position as usize]));
        self.ranks.extend(1..=order.len() as i32);
    }

    fn repeat(&mut self, count: usize) {
        let add = |column: &mut Vec<u32>, value| column.resize(column.len() + count, value);
        add(&mut self.examples, self.example);
        add(&mut self.steps, self.step);
        self.totals.resize(self.totals.len() + count, self.total);
    }

    fn build(
        self,
        slots: &RecordBatch,
        steps: &Elements,
        side: &'static str,
        schema: &SchemaRef,
    ) -> Result<RecordBatch, ArrowError> {
        let examples = UInt32Array::from(self.examples);
        let positions = Int32Array::from(self.positions);
        let scores = Float32Array::from(self.scores);
        let ranks = Int32Array::from(self.ranks);
        let of_steps = UInt32Array::from(self.steps);
        let tokens = Tokens {
            slots,
            examples: &examples,
            positions: &positions,
        };
        let places = format!("{side}_token_offsets");
        let own = |name: &str| -> Result<Option<ArrayRef>, ArrowError> {
            Ok(Some(match name {
                "side" => constant(side, examples.len()),
                "source_position" => Arc::new(positions.clone()),
                "source_token" => tokens.values(&format!("{side}_tokens"))?,
                "source_start" => tokens.places(&places, output::START)?,
                "source_end" => tokens.places(&places, output::END)?,
                "score" => Arc::new(scores.clone()),
                "share" => Arc::new(shares(scores.values(), &self.totals)),
                "rank" => Arc::new(ranks.clone()),
                "target_token" => take(steps.field(output::TOKEN)?, &of_steps, None)?,
                _ => return Ok(None),
            }))
        };
        let rows = LongRows {
            slots,
            examples: &examples,
            elements: Some((steps.all, &of_steps)),
        };
        rows.build(schema, own)
    }
}

fn shares(scores: &[f32], totals: &[f64]) -> Float32Array {
    let share = |(score, total): (&f32, &f64)| {
        (*total != 0.0).then(|| (f64::from(score.abs()) / total) as f32)
    };
    Float32Array::from_iter(scores.iter().zip(totals).map(share))
}
