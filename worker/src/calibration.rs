//! Measures what a job costs, by computing a few of its rows without writing anything.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use whence_engine::RowCounts;
use whence_schemas::{Attempt, Epoch, Footer, JobSpec, RowId, SlotId, SlotKind, slot_file};

use crate::computation::attributing::Attributing;
use crate::computation::in_context::InContext;
use crate::computation::{Computation, Samples};
use crate::config::Config;
use crate::device::Device;
use crate::error::Failure;
use crate::input::{InputRow, rows_of};
use crate::table::TableRow;

/// What some rows of a job cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// How many of the rows were computed: the first ones.
    pub rows: usize,
    /// How many of them failed.
    pub failed: usize,
    /// Time to load the model and to get going.
    pub start: Duration,
    /// Time to compute the rows after that.
    pub computing: Duration,
    /// Rows that went through the model.
    pub passes: RowCounts,
    /// Size of a table file without rows.
    pub empty_bytes: usize,
    /// Size that the rows add to it.
    pub added_bytes: usize,
}

/// Computes `batches` in groups of at most `config.batch_size` rows until `limit` is spent, at least
/// one group. `batches` are batches of [`whence_schemas::input::schema`].
///
/// Fails if the model cannot be loaded, or if the job cannot be computed as it is specified.
pub async fn measure(
    spec: &Arc<JobSpec>,
    config: &Config,
    batches: &[RecordBatch],
    limit: Duration,
) -> Result<Cost, Failure> {
    match spec.context {
        Some(_) => of_kind::<InContext>(spec, config, batches, limit).await,
        None => of_kind::<Attributing>(spec, config, batches, limit).await,
    }
}

async fn of_kind<C: Computation>(
    spec: &Arc<JobSpec>,
    config: &Config,
    batches: &[RecordBatch],
    limit: Duration,
) -> Result<Cost, Failure> {
    let mut rows = Vec::new();
    for batch in batches {
        rows.extend(rows_of(batch)?);
    }
    let device = Device::start(config).map_err(|_| Failure::Device)?;
    let groups = rows.chunks(config.batch_size.max(1));
    let mut started = Instant::now();
    // The first group is computed twice: the first time, the model is loaded and its weights are
    // packed. A long job pays that only once.
    if let Some(first) = groups.clone().next() {
        compute::<C>(&device, spec, first).await?;
    }
    let start = started.elapsed();
    let before = device.row_counts();
    let mut results: Vec<Samples<C::Output>> = Vec::new();
    started = Instant::now();
    for group in groups {
        results.extend(compute::<C>(&device, spec, group).await?);
        if started.elapsed() >= limit {
            break;
        }
    }
    let computing = started.elapsed();
    let is_failed = |samples: &&Samples<C::Output>| samples.iter().any(Result::is_err);
    let empty_bytes = encoded::<C>(spec, &[])?;
    Ok(Cost {
        rows: results.len(),
        failed: results.iter().filter(is_failed).count(),
        start,
        computing,
        passes: device.row_counts() - before,
        empty_bytes,
        added_bytes: encoded::<C>(spec, &table_rows::<C>(&rows, results))?
            .saturating_sub(empty_bytes),
    })
}

/// Computes `rows`. Rows that cannot be read have an error as their result.
async fn compute<C: Computation>(
    device: &Device,
    spec: &Arc<JobSpec>,
    rows: &[InputRow],
) -> Result<Vec<Samples<C::Output>>, Failure> {
    let never = CancellationToken::new();
    let examples: Vec<_> = rows.iter().map(|row| C::example(row, spec)).collect();
    let good = examples.iter().flatten().cloned().collect();
    let mut computed = device
        .compute::<C>(Arc::clone(spec), good, &never)
        .await?
        .into_iter();
    let results = examples.into_iter().map(|example| match example {
        Ok(_) => computed.next().ok_or(Failure::Device),
        Err(error) => Ok(vec![Err(error)]),
    });
    results.collect()
}

fn table_rows<C: Computation>(
    rows: &[InputRow],
    results: Vec<Samples<C::Output>>,
) -> Vec<TableRow<C::Output>> {
    let pairs = rows.iter().zip(results);
    let rows = pairs.flat_map(|(row, samples)| {
        (0..).zip(samples).map(|(sample, result)| TableRow {
            id: RowId {
                example: row.example_id,
                sample,
            },
            input_text: row.input_text.clone(),
            forced: result.as_ref().is_ok_and(C::is_forced),
            result: result.and_then(C::storable),
        })
    });
    rows.collect()
}

/// Returns the size of the table file of `rows`, without carried columns.
fn encoded<C: Computation>(spec: &JobSpec, rows: &[TableRow<C::Output>]) -> Result<usize, Failure> {
    let batch = C::encode(rows, spec, None)?;
    let footer = Footer {
        slot: SlotId::of_shard(0),
        attempt: Attempt::of(ulid::Ulid::nil()),
        kind: SlotKind::Full,
        examples: rows.len() as u64,
        errors: 0,
        worker: "calibration".parse().expect("a valid name"),
        epoch: Epoch(0),
        spec_json: spec.canonical_json(),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(slot_file::encode(&batch, &footer)?.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn the_cost_of_rows_is_counted_without_the_start() {
        let mut spec = testing::spec();
        spec.model = testing::model(&testing::model_folder("lo-en-fr-tiny"));
        spec.dataset.generated_field = Some("target".to_owned());
        whence_engine::pin(&mut spec.attribution).unwrap();
        let spec = Arc::new(spec);
        let row = |id| InputRow {
            generated_text: Some("Ouvrez-le.".to_owned()),
            ..testing::row(id, "Open it.")
        };
        let unreadable = InputRow {
            input_text: None,
            row_error: Some("not JSON".to_owned()),
            ..testing::row(2, "")
        };
        let config = Config {
            batch_size: 2,
            ..Config::default()
        };
        let cost = async |rows: &[InputRow], limit| {
            let batch = testing::batch(rows, None);
            measure(&spec, &config, &[batch], limit).await.unwrap()
        };
        let one = cost(&[row(0)], Duration::MAX).await;
        assert!(one.passes.forward > 0 && one.passes.backward > one.passes.forward);
        assert!(one.added_bytes > 0 && one.empty_bytes > 0);
        let three = cost(&[row(0), row(1), unreadable.clone()], Duration::MAX).await;
        assert_eq!((three.rows, three.failed), (3, 1));
        assert_eq!(three.passes.forward, 2 * one.passes.forward);
        assert_eq!(three.passes.backward, 2 * one.passes.backward);
        let hurried = cost(&[row(0), row(1), unreadable], Duration::ZERO).await;
        assert_eq!(hurried.rows, 2);
    }
}
