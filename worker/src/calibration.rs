//! Measures what a job costs, by computing a few of its rows without writing anything.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use whence_engine::RowCounts;
use whence_schemas::{Attempt, Epoch, Footer, JobSpec, SlotId, SlotKind, chain, slot_file};

use crate::computation::attributing::Attributing;
use crate::computation::in_context::InContext;
use crate::computation::{Computation, Samples, storable};
use crate::config::Config;
use crate::device::Device;
use crate::error::Failure;
use crate::input::rows_of;
use crate::publish::{count_failed, rows_of_samples};
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
    let device = Device::start(config).map_err(|error| Failure::Model(chain(&error)))?;
    let never = CancellationToken::new();
    let examples: Vec<_> = rows.iter().map(|row| C::example(row, spec)).collect();
    let groups = examples.chunks(config.batch_size.max(1));
    let mut started = Instant::now();
    // One group is computed twice: the first time, the model is loaded and its weights are packed. A
    // long job pays that only once.
    if let Some(first) = groups.clone().find(|group| group.iter().any(Result::is_ok)) {
        device.compute_rows::<C>(spec, first, &never).await?;
    }
    let start = started.elapsed();
    let before = device.row_counts();
    let mut results: Vec<Samples<C::Output>> = Vec::new();
    started = Instant::now();
    for group in groups {
        let computed = device.compute_rows::<C>(spec, group, &never).await?;
        results.extend(computed.into_iter().map(storable::<C>));
        if started.elapsed() >= limit {
            break;
        }
    }
    let computing = started.elapsed();
    let forces = spec.forces_targets();
    let pairs = rows.iter().zip(&results);
    let table_rows = pairs.flat_map(|(row, samples)| rows_of_samples::<C>(row, samples, forces));
    let table_rows: Vec<_> = table_rows.collect();
    let empty_bytes = encoded::<C>(spec, &[])?;
    Ok(Cost {
        rows: results.len(),
        failed: count_failed(&results) as usize,
        start,
        computing,
        passes: device.row_counts() - before,
        empty_bytes,
        added_bytes: encoded::<C>(spec, &table_rows)?.saturating_sub(empty_bytes),
    })
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
    use crate::input::InputRow;
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
