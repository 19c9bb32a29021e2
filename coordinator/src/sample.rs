//! What a job would be: its plan, and a few of its rows, without submitting it.
//!
//! The rows are spread evenly over the whole job, so that what is measured on them can be extended to
//! all rows.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use whence_schemas::{JobSpec, Plan, SlotId, input};

use crate::Error;
use crate::blocking::blocking;
use crate::planning::{generated, plan};
use crate::rows::{Generated, read_rows};

/// Shards that rows are taken from, at most. Each has to be read up to the last of its rows.
const MAX_SHARDS: usize = 16;

/// The plan of a job, and some of its rows.
#[derive(Debug, Clone)]
pub struct Sample {
    /// How the job's rows are cut into shards.
    pub plan: Plan,
    /// Batches of one row each.
    pub rows: Vec<SampledRow>,
}

/// A row of a job.
#[derive(Debug, Clone)]
pub struct SampledRow {
    /// A batch of [`input::schema`] with this row alone.
    pub batch: RecordBatch,
    /// Its share of the plan's estimated work, in tokens.
    pub estimated_tokens: u64,
}

/// Plans the job of `spec`, and takes about `num_rows` of its rows.
///
/// Fails if the dataset cannot be read or planned.
pub async fn sample(spec: &JobSpec, num_rows: usize) -> Result<Sample, Error> {
    let plan = Arc::new(plan(spec).await?);
    let generated = generated(spec);
    let (spec, planned) = (spec.clone(), Arc::clone(&plan));
    let taken = move || take(&spec, &planned, generated, num_rows);
    let rows = blocking("read sampled rows", taken).await?;
    Ok(Sample {
        plan: Arc::unwrap_or_clone(plan),
        rows,
    })
}

fn take(
    spec: &JobSpec,
    plan: &Arc<Plan>,
    generated: Generated,
    num_rows: usize,
) -> Result<Vec<SampledRow>, Error> {
    let num_shards = plan.shards.len().min(MAX_SHARDS);
    let mut sampled = Vec::with_capacity(num_rows);
    for number in 0..num_shards {
        let shard = middle(number, num_shards, plan.shards.len());
        let rows = &plan.shards[shard].rows;
        let in_shard = (rows.end - rows.start) as usize;
        // The first shards take the rows that do not divide evenly.
        let share = num_rows / num_shards + usize::from(number < num_rows % num_shards);
        let share = share.min(in_shard);
        let mut wanted = (0..share)
            .map(|row| middle(row, share, in_shard))
            .peekable();
        let mut reader = read_rows(&spec.dataset, plan, &SlotId::of_shard(shard))?
            .for_attribution(&spec.attribution);
        let mut first = 0;
        while wanted.peek().is_some() {
            let Some(batch) = reader.next_batch()? else {
                break;
            };
            while let Some(row) = wanted.next_if(|row| *row < first + batch.num_rows()) {
                let batch = batch.slice(row - first, 1);
                sampled.push(SampledRow {
                    estimated_tokens: generated.estimated_tokens(text_bytes(&batch)),
                    batch,
                });
            }
            first += batch.num_rows();
        }
    }
    Ok(sampled)
}

/// Returns the index in the middle of part `number` when `total` things are cut into `parts`.
fn middle(number: usize, parts: usize, total: usize) -> usize {
    (2 * number + 1) * total / (2 * parts)
}

/// Returns the length of the texts of a batch with one row.
fn text_bytes(batch: &RecordBatch) -> u64 {
    let texts = [
        input::INPUT_TEXT,
        input::GENERATED_TEXT,
        input::CONTRAST_SOURCE,
        input::CONTRAST_TARGET,
        input::INPUT_CONTEXT,
        input::OUTPUT_CONTEXT,
    ];
    let columns = texts.iter().filter_map(|name| batch.column_by_name(name));
    let lengths = columns.filter_map(|column| {
        let texts = column.as_string_opt::<i32>()?;
        texts.is_valid(0).then(|| texts.value(0).len() as u64)
    });
    lengths.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Stage;

    #[tokio::test]
    async fn sampled_rows_are_spread_over_the_whole_job() {
        let stage = Stage::new().await;
        let mut spec = stage.job(40);
        spec.dataset.generated_field = Some("text".to_owned());
        spec.shard_tokens = 20;
        let sample = sample(&spec, 8).await.unwrap();
        assert!(sample.plan.shards.len() > 2);
        let ids = sample.rows.iter().map(|row| {
            let ids = row.batch.column_by_name(input::EXAMPLE_ID).unwrap();
            ids.as_primitive::<arrow::datatypes::Int64Type>().value(0)
        });
        let ids: Vec<_> = ids.collect();
        assert_eq!(ids.len(), 8);
        assert!(ids.is_sorted() && ids[0] < 5 && ids[7] >= 35, "{ids:?}");
        let all: u64 = sample
            .plan
            .shards
            .iter()
            .map(|shard| shard.estimated_tokens)
            .sum();
        let of_rows: u64 = sample.rows.iter().map(|row| row.estimated_tokens).sum();
        // The rows have equal lengths, or nearly.
        let expected = all * 8 / 40;
        assert!(of_rows.abs_diff(expected) <= 8, "{of_rows} {expected}");
    }

    #[test]
    fn parts_are_taken_from_their_middles() {
        let middles: Vec<_> = (0..3).map(|number| middle(number, 3, 30)).collect();
        assert_eq!(middles, [5, 15, 25]);
        assert_eq!((middle(0, 1, 1), middle(1, 2, 2)), (0, 1));
    }
}
