//! Sums the scores of each token of one batch of slots: what `token_stats` is made of.
//!
//! Grouping `attributions` would build a row per score to add it to a handful of sums. Here scores are
//! added by position while their lists are at hand, and each position names its token once per example.
//! A token has a row per batch; [`statistics`] adds these up.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringViewArray,
    UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, UInt16Type};
use arrow::error::ArrowError;
use datafusion::catalog::TableProvider;
use datafusion::error::Result;
use datafusion::prelude::{SessionContext, col};
use whence_schemas::output;

use super::columns::partition_type;
use super::nested::{Elements, lists, span, wrong};
use super::positions::strongest;
use super::rows::{LongRows, constant};
use super::scores::StepTotals;
use crate::query::views::keys::PARTITIONS;

/// The columns that identify a row of `token_stats`.
const GROUP: [&str; 6] = ["job", "model", "method", "dataset", "side", "token"];

/// The expressions of the other columns, over the rows of this file's table.
const STATISTICS: [(&str, &str); 7] = [
    ("scores", "sum(scores)"),
    ("mean", "sum(total) / sum(scores)"),
    (
        "sd",
        "CASE WHEN sum(scores) > 1 THEN sqrt(greatest(0.0, \
         sum(squares) - sum(total) * sum(total) / sum(scores)) / (sum(scores) - 1)) END",
    ),
    ("mean_abs", "sum(absolute) / sum(scores)"),
    ("max_abs", "max(largest)"),
    ("mean_share", "sum(share_total) / nullif(sum(shares), 0)"),
    ("strongest", "sum(strongest)"),
];

/// Returns the columns of the sums.
pub(super) fn schema() -> Schema {
    let field = |name: &str| {
        let of_type = match name {
            _ if PARTITIONS.contains(&name) => partition_type(),
            "side" | "token" => DataType::Utf8View,
            "scores" | "shares" | "strongest" => DataType::Int64,
            "largest" => DataType::Float32,
            _ => DataType::Float64,
        };
        Field::new(name, of_type, true)
    };
    let sums = [
        "scores",
        "total",
        "squares",
        "absolute",
        "largest",
        "share_total",
        "shares",
        "strongest",
    ];
    Schema::new(GROUP.into_iter().chain(sums).map(field).collect::<Fields>())
}

/// Returns the lists of the slots that the columns `wanted` of the sums are made of, for one side.
pub(super) fn needs(wants: impl Fn(&str) -> bool, side: &str) -> Vec<String> {
    let mut needs = vec![format!("steps.{side}_scores"), format!("{side}_tokens")];
    if wants("share_total") || wants("shares") {
        needs.push("steps.source_scores".to_owned());
        needs.push("steps.target_scores".to_owned());
    }
    needs
}

/// Adds up the sums in `sums`, whose columns are those of [`schema`].
pub(crate) fn statistics(
    context: &SessionContext,
    sums: Arc<dyn TableProvider>,
) -> Result<Arc<dyn TableProvider>> {
    let sums = context.read_table(sums)?;
    let statistics = STATISTICS.map(|(name, expression)| {
        let parsed = sums.parse_sql_expr(expression);
        parsed.map(|expression| expression.alias(name))
    });
    let statistics = statistics.into_iter().collect::<Result<Vec<_>>>()?;
    let grouped = sums.aggregate(GROUP.map(col).to_vec(), statistics)?;
    Ok(grouped.into_view())
}

/// Returns one row per job and token of `side`.
pub(super) fn unnest(
    slots: &RecordBatch,
    side: &'static str,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let wants = |name: &str| schema.column_with_name(name).is_some();
    let name = format!("{side}_tokens");
    let tokens = lists(slots, &name)?;
    let texts = tokens.values().as_string_view_opt();
    let texts = texts.ok_or_else(|| wrong(&name))?;
    let steps = Elements::new(slots, output::STEPS)?;
    let scores = steps.scores(&format!("{side}_scores"))?;
    let totals = (wants("share_total") || wants("shares")).then(|| StepTotals::new(&steps));
    let totals = totals.transpose()?;
    let jobs = slots.column_by_name("job");
    let jobs = jobs.and_then(|jobs| jobs.as_dictionary_opt::<UInt16Type>());
    let jobs = jobs.ok_or_else(|| wrong("job"))?.keys().values();
    let ranked = wants("strongest");
    let mut rows = Rows::default();
    let (mut sums, mut first) = (Vec::new(), Vec::new());
    for example in 0..slots.num_rows() {
        sums.clear();
        for step in steps.of(example) {
            let total = totals.as_ref().map_or(0.0, |totals| totals.of(step));
            add_step(&mut sums, scores.of(step), total);
            if ranked {
                strongest(scores.of(step), 1, &mut first);
                for position in &first {
                    sums[*position as usize].strongest += 1;
                }
            }
        }
        let span = span(tokens, example);
        for (position, sum) in sums.iter().enumerate() {
            // A list that is too short has no token there, as in `attributions`.
            let index = span.start + position;
            let token = (index < span.end).then(|| (index as u32, texts.value(index)));
            rows.add((jobs[example], token), example as u32, sum);
        }
    }
    rows.build(slots, texts, side, schema)
}

/// What is known of the scores of one token.
#[derive(Clone, Copy, Default)]
struct Sum {
    scores: i64,
    total: f64,
    squares: f64,
    absolute: f64,
    largest: f32,
    share_total: f64,
    shares: i64,
    strongest: i64,
}

impl Sum {
    fn add(&mut self, score: f32) {
        let exact = f64::from(score);
        self.scores += 1;
        self.total += exact;
        self.squares += exact * exact;
        self.absolute += exact.abs();
        self.largest = self.largest.max(score.abs());
    }

    fn merge(&mut self, other: &Self) {
        self.scores += other.scores;
        self.total += other.total;
        self.squares += other.squares;
        self.absolute += other.absolute;
        self.largest = self.largest.max(other.largest);
        self.share_total += other.share_total;
        self.shares += other.shares;
        self.strongest += other.strongest;
    }
}

/// Adds the scores of one step to the sums of their positions. `total` is the sum of the absolute scores
/// of both sides; 0 if nobody asks for shares.
fn add_step(sums: &mut Vec<Sum>, scores: &[f32], total: f64) {
    if sums.len() < scores.len() {
        sums.resize(scores.len(), Sum::default());
    }
    for (sum, score) in sums.iter_mut().zip(scores) {
        sum.add(*score);
    }
    if total != 0.0 {
        for (sum, score) in sums.iter_mut().zip(scores) {
            sum.share_total += f64::from(score.abs()) / total;
            sum.shares += 1;
        }
    }
}

/// A job and a token's text.
type Key<'a> = (u16, Option<&'a str>);

/// The rows found so far.
#[derive(Default)]
struct Rows<'a> {
    of_key: HashMap<Key<'a>, usize>,
    sums: Vec<Sum>,
    /// An example of each row's job.
    examples: Vec<u32>,
    /// Index of each row's token among those of all examples; none if it has no text.
    tokens: Vec<Option<u32>>,
}

impl<'a> Rows<'a> {
    fn add(&mut self, (job, token): (u16, Option<(u32, &'a str)>), example: u32, sum: &Sum) {
        let key = (job, token.map(|(_, text)| text));
        let row = *self.of_key.entry(key).or_insert_with(|| {
            self.sums.push(Sum::default());
            self.examples.push(example);
            self.tokens.push(token.map(|(index, _)| index));
            self.sums.len() - 1
        });
        self.sums[row].merge(sum);
    }

    fn build(
        &self,
        slots: &RecordBatch,
        texts: &StringViewArray,
        side: &'static str,
        schema: &SchemaRef,
    ) -> Result<RecordBatch, ArrowError> {
        let examples = UInt32Array::from(self.examples.clone());
        let count = |of: fn(&Sum) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(self.sums.iter().map(of)))
        };
        let sum = |of: fn(&Sum) -> f64| -> ArrayRef {
            Arc::new(Float64Array::from_iter_values(self.sums.iter().map(of)))
        };
        let own = |name: &str| -> Result<Option<ArrayRef>, ArrowError> {
            Ok(Some(match name {
                "side" => constant(side, self.sums.len()),
                "token" => take(texts, &UInt32Array::from(self.tokens.clone()), None)?,
                "scores" => count(|sum| sum.scores),
                "total" => sum(|sum| sum.total),
                "squares" => sum(|sum| sum.squares),
                "absolute" => sum(|sum| sum.absolute),
                "largest" => {
                    let largest = self.sums.iter().map(|sum| sum.largest);
                    Arc::new(Float32Array::from_iter_values(largest))
                }
                "share_total" => sum(|sum| sum.share_total),
                "shares" => count(|sum| sum.shares),
                "strongest" => count(|sum| sum.strongest),
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
