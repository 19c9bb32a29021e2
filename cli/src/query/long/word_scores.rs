//! Merges the scores of tokens into those of words: `word_attributions`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int32Array, RecordBatch, UInt32Array};
use arrow::datatypes::{Int32Type, SchemaRef};
use arrow::error::ArrowError;
use whence_schemas::output;

use super::nested::{Elements, ScoreLists, wrong};
use super::rows::{LongRows, constant};
use super::scores::total_of;
use super::words::{Side, WordTexts, Words};

/// Returns one row per generated word and word of `side`.
pub(super) fn unnest(
    slots: &RecordBatch,
    side: &'static str,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let wants = |name: &str| schema.column_with_name(name).is_some();
    let steps = Elements::new(slots, output::STEPS)?;
    let positions = steps
        .field(output::TARGET_POS)?
        .as_primitive_opt::<Int32Type>();
    let reading = Reading {
        scores: steps.scores(&format!("{side}_scores"))?,
        both: if wants("share") {
            vec![
                steps.scores(output::SOURCE_SCORES)?,
                steps.scores(output::TARGET_SCORES)?,
            ]
        } else {
            Vec::new()
        },
        positions: positions.ok_or_else(|| wrong(output::TARGET_POS))?,
    };
    let sources = Side::new(slots, side)?;
    let targets = Side::new(slots, output::SIDE_TARGET)?;
    let mut rows = Rows::default();
    for example in 0..slots.num_rows() {
        let of_steps = steps.of(example);
        if of_steps.is_empty() {
            continue;
        }
        let (source, target) = (sources.words(example), targets.words(example));
        let mut merged = Merged::new(source.count());
        for step in of_steps {
            let word = target.of_token.get(reading.positions.value(step) as usize);
            let word = *word.ok_or_else(|| wrong(output::TARGET_POS))?;
            if merged.target != Some(word) {
                rows.flush(example, &mut merged);
                merged.target = Some(word);
            }
            merged.add(&reading, step, &source);
        }
        rows.flush(example, &mut merged);
        rows.end_example(
            wants("source_text").then_some((&sources, &source)),
            wants("target_text").then_some((&targets, &target)),
            example,
        );
    }
    rows.build(slots, side, schema)
}

/// The columns of the steps that are merged.
struct Reading<'a> {
    scores: ScoreLists<'a>,
    /// The scores of both sides, whose sum a share is taken of; empty if no share is asked for.
    both: Vec<ScoreLists<'a>>,
    positions: &'a Int32Array,
}

/// The sums of the scores of one generated word, one per attributed word.
struct Merged {
    target: Option<u32>,
    words: Vec<Sum>,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    score: f64,
    share: Option<f64>,
    /// Steps of the generated word that see the attributed word.
    steps: u32,
    last_step: Option<usize>,
}

impl Merged {
    fn new(words: usize) -> Self {
        Self {
            target: None,
            words: vec![Sum::default(); words],
        }
    }

    fn add(&mut self, reading: &Reading, step: usize, source: &Words) {
        let total = total_of(reading.both.iter().map(|scores| scores.of(step)));
        for (score, word) in reading.scores.of(step).iter().zip(&source.of_token) {
            let sum = &mut self.words[*word as usize];
            sum.score += f64::from(*score);
            if total != 0.0 {
                let share = f64::from(score.abs()) / total;
                sum.share = Some(sum.share.unwrap_or(0.0) + share);
            }
            if sum.last_step != Some(step) {
                sum.last_step = Some(step);
                sum.steps += 1;
            }
        }
    }
}

/// The rows found so far, column by column.
#[derive(Default)]
struct Rows {
    examples: Vec<u32>,
    targets: Vec<i32>,
    sources: Vec<i32>,
    scores: Vec<f64>,
    shares: Vec<Option<f64>>,
    /// Rows whose texts are in the builders.
    finished: usize,
    source_texts: WordTexts,
    target_texts: WordTexts,
}

impl Rows {
    /// Adds the words that were merged, and clears them.
    fn flush(&mut self, example: usize, merged: &mut Merged) {
        let Some(target) = merged.target.take() else {
            return;
        };
        for (word, sum) in merged.words.iter_mut().enumerate() {
            let sum = std::mem::take(sum);
            if sum.steps > 0 {
                let steps = f64::from(sum.steps);
                self.examples.push(example as u32);
                self.targets.push(target as i32);
                self.sources.push(word as i32);
                self.scores.push(sum.score / steps);
                self.shares.push(sum.share.map(|share| share / steps));
            }
        }
    }

    fn end_example(
        &mut self,
        source: Option<(&Side, &Words)>,
        target: Option<(&Side, &Words)>,
        example: usize,
    ) {
        if let Some(words) = source {
            self.source_texts
                .add(words, example, numbers(&self.sources[self.finished..]));
        }
        if let Some(words) = target {
            self.target_texts
                .add(words, example, numbers(&self.targets[self.finished..]));
        }
        self.finished = self.examples.len();
    }

    fn build(
        self,
        slots: &RecordBatch,
        side: &'static str,
        schema: &SchemaRef,
    ) -> Result<RecordBatch, ArrowError> {
        let examples = UInt32Array::from(self.examples);
        let (targets, sources) = (
            Int32Array::from(self.targets),
            Int32Array::from(self.sources),
        );
        let scores = Float64Array::from(self.scores);
        let shares = Float64Array::from(self.shares);
        let (source_texts, target_texts) = (self.source_texts.build()?, self.target_texts.build()?);
        let own = |name: &str| -> Result<Option<ArrayRef>, ArrowError> {
            Ok(Some(match name {
                "side" => constant(side, examples.values().len()),
                "target_word" => Arc::new(targets.clone()),
                "target_text" => Arc::clone(&target_texts),
                "source_word" => Arc::new(sources.clone()),
                "source_text" => Arc::clone(&source_texts),
                "score" => Arc::new(scores.clone()),
                "share" => Arc::new(shares.clone()),
                _ => return Ok(None),
            }))
        };
        let rows = LongRows {
            slots,
            examples: &examples,
            elements: None,
        };
        rows.build(schema, own)
    }
}

fn numbers(words: &[i32]) -> impl Iterator<Item = u32> {
    words.iter().map(|word| *word as u32)
}
