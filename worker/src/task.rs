//! One lease, from top to bottom: fetch the rows, attribute them, encode the table, fill the slot.
//!
//! Rows that cannot be attributed become error rows of the same table, so that a bad row costs only
//! itself. Between groups of examples the task looks whether somebody still wants it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{AsArray, StructArray, UInt64Array};
use arrow::compute::take;
use arrow::error::ArrowError;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use whence_engine::{Attribution, Example, InputKind};
use whence_proto::v1::{FetchShardRequest, Outcome, worker_service_client::WorkerServiceClient};
use whence_schemas::store::SlotStore;
use whence_schemas::{
    DatasetSource, Footer, JobSpec, RowError, RowId, SlotKind, WorkerId, slot_file,
};

use crate::commit::commit;
use crate::device::Device;
use crate::error::Failure;
use crate::input::{self, InputRow, InputRows};
use crate::lease::Lease;
use crate::table::{self, TableRow};

/// A way to the coordinator.
pub type Client = WorkerServiceClient<tonic::transport::Channel>;

/// What every task of a worker shares.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// This worker's name.
    pub id: WorkerId,
    /// A way to the coordinator.
    pub client: Client,
    /// The store of the coordinator's root.
    pub store: Arc<dyn SlotStore>,
    /// The device.
    pub device: Device,
    /// Tokens attributed together.
    pub batch_tokens: usize,
    /// Examples attributed together at most.
    pub batch_size: usize,
    /// Largest result of one shard.
    pub max_result_bytes: usize,
    /// Woken when there is progress to report.
    pub progressed: Arc<tokio::sync::Notify>,
}

/// How far a task is. Read by the heartbeat.
#[derive(Debug, Default)]
pub struct TaskProgress {
    /// Rows attributed, error rows included.
    pub rows: AtomicU64,
    /// Tokens of attributed rows.
    pub tokens: AtomicU64,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// What stands in the slot.
    pub outcome: Outcome,
    /// Rows of the dataset it answers.
    pub rows: u64,
    /// How many of them have an error row.
    pub failed: u64,
    /// Tokens of what was attributed.
    pub tokens: u64,
    /// Length of the encoded table.
    pub bytes: u64,
}

/// Does what `lease` permits.
pub async fn run(
    context: &TaskContext,
    lease: &Lease,
    progress: &TaskProgress,
    stop: &CancellationToken,
) -> Result<Finished, Failure> {
    let spec = Arc::clone(&lease.spec);
    let input = input::decode(&fetch(context, lease, stop).await?)?;
    let results = attribute(context, &spec, &input, progress, stop).await?;
    let failed = count_failed(&results);
    let bytes = encode(context, lease, &spec, &input, results)?;
    if bytes.len() > context.max_result_bytes {
        return Err(Failure::TooLarge {
            bytes: bytes.len(),
            limit: context.max_result_bytes,
        });
    }
    let (length, bytes) = (bytes.len() as u64, Bytes::from(bytes));
    let outcome = commit(
        context.store.as_ref(),
        &lease.slot_key,
        &lease.attempt,
        bytes,
    )
    .await?;
    Ok(Finished {
        outcome,
        rows: input.rows.len() as u64,
        failed,
        tokens: progress.tokens.load(Ordering::Relaxed),
        bytes: length,
    })
}

/// Fetches the rows of the leased slot as one Arrow IPC stream.
async fn fetch(
    context: &TaskContext,
    lease: &Lease,
    stop: &CancellationToken,
) -> Result<Vec<u8>, Failure> {
    let failed = |status: tonic::Status| Failure::Fetch(Box::new(status));
    let request = FetchShardRequest {
        worker_id: context.id.to_string(),
        attempt: Some(lease.attempt_ref()),
    };
    let mut client = context.client.clone();
    let fetch = async {
        let mut pieces = client
            .fetch_shard(request)
            .await
            .map_err(failed)?
            .into_inner();
        let mut ipc = Vec::new();
        while let Some(piece) = pieces.message().await.map_err(failed)? {
            ipc.extend_from_slice(&piece.ipc);
        }
        Ok(ipc)
    };
    tokio::select! {
        fetched = fetch => fetched,
        () = stop.cancelled() => Err(Failure::Stopped),
    }
}

/// What became of one row of the dataset: one result a sequence, and one where the row is bad.
type Samples = Vec<Result<Attribution, RowError>>;

/// Attributes every row, groups of similar length together, and returns the results in row order.
async fn attribute(
    context: &TaskContext,
    spec: &Arc<JobSpec>,
    input: &InputRows,
    progress: &TaskProgress,
    stop: &CancellationToken,
) -> Result<Vec<Samples>, Failure> {
    let mut results: Vec<Samples> = vec![Vec::new(); input.rows.len()];
    let mut examples = Vec::new();
    for (index, row) in input.rows.iter().enumerate() {
        match example(row, &spec.dataset) {
            Ok(example) => examples.push((index, example)),
            Err(error) => results[index].push(Err(error)),
        }
    }
    progress.rows.fetch_add(
        (input.rows.len() - examples.len()) as u64,
        Ordering::Relaxed,
    );
    let batch_tokens = context.batch_tokens / spec.num_samples();
    for group in groups(examples, batch_tokens, context.batch_size) {
        if stop.is_cancelled() {
            return Err(Failure::Stopped);
        }
        let (indices, examples): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let attributed = context.device.attribute(Arc::clone(spec), examples).await?;
        for (index, samples) in indices.into_iter().zip(attributed) {
            let tokens: usize = samples.iter().flatten().map(Attribution::num_tokens).sum();
            progress.rows.fetch_add(1, Ordering::Relaxed);
            progress.tokens.fetch_add(tokens as u64, Ordering::Relaxed);
            let samples = samples.into_iter();
            results[index] = samples.map(|result| result.and_then(storable)).collect();
        }
        context.progressed.notify_one();
    }
    Ok(results)
}

/// Returns how many rows of the dataset have a result that is an error.
fn count_failed(results: &[Samples]) -> u64 {
    let has_failed = |samples: &&Samples| samples.iter().any(Result::is_err);
    results.iter().filter(has_failed).count() as u64
}

/// Returns the example a row describes, or what is wrong with the row.
fn example(row: &InputRow, dataset: &DatasetSource) -> Result<Example, RowError> {
    let error = |code: &str, message: String| {
        Err(RowError {
            code: code.to_owned(),
            message,
        })
    };
    if let Some(reason) = &row.row_error {
        return error("unreadable_row", reason.clone());
    }
    let Some(input_text) = row.input_text.clone() else {
        return error("missing_text", "the row has no input text".to_owned());
    };
    let optional = [
        (&dataset.generated_field, &row.generated_text, "generated"),
        (
            &dataset.contrast_source_field,
            &row.contrast_source,
            "contrast source",
        ),
        (
            &dataset.contrast_target_field,
            &row.contrast_target,
            "contrast target",
        ),
    ];
    if let Some((.., which)) = optional
        .into_iter()
        .find(|(field, text, _)| field.is_some() && text.is_none())
    {
        return error("missing_text", format!("the row has no {which} text"));
    }
    Ok(Example {
        id: row.example_id,
        input_text,
        input_kind: if row.is_messages {
            InputKind::Messages
        } else {
            InputKind::Text
        },
        generated_text: row.generated_text.clone(),
        contrast_source: row.contrast_source.clone(),
        contrast_target: row.contrast_target.clone(),
    })
}

/// Refuses scores the table has no column for.
fn storable(attribution: Attribution) -> Result<Attribution, RowError> {
    let mut sides = attribution
        .steps
        .iter()
        .flat_map(|step| [&step.source, &step.target])
        .flatten();
    let is_raw = sides.any(|scores| !scores.row_shape.is_empty());
    drop(sides);
    if is_raw {
        let message = "the scores are not aggregated to one a token; name as many aggregators as the method has axes";
        return Err(RowError {
            code: "not_aggregated".to_owned(),
            message: message.to_owned(),
        });
    }
    Ok(attribution)
}

/// Cuts examples into groups of similar length, none with more than about `max_tokens` tokens.
///
/// What a group costs is known only after tokenising; the length of its texts is near enough.
fn groups(
    mut examples: Vec<(usize, Example)>,
    max_tokens: usize,
    max_size: usize,
) -> Vec<Vec<(usize, Example)>> {
    examples.sort_by_key(|(index, example)| (estimated_tokens(example), *index));
    let mut groups: Vec<Vec<_>> = Vec::new();
    let mut tokens = 0;
    for example in examples {
        let own = estimated_tokens(&example.1);
        match groups.last_mut() {
            Some(group) if tokens + own <= max_tokens && group.len() < max_size => {
                tokens += own;
                group.push(example);
            }
            _ => {
                tokens = own;
                groups.push(vec![example]);
            }
        }
    }
    groups
}

/// Estimates an example's tokens: text has about four bytes a token, and a target that is to be
/// generated is about as long as its source.
fn estimated_tokens(example: &Example) -> usize {
    let target = example
        .generated_text
        .as_ref()
        .map_or(example.input_text.len(), String::len);
    (example.input_text.len() + target) / 4 + 2
}

fn encode(
    context: &TaskContext,
    lease: &Lease,
    spec: &JobSpec,
    input: &InputRows,
    results: Vec<Samples>,
) -> Result<Vec<u8>, Failure> {
    let errors = count_failed(&results);
    let (rows, columns) = table_rows(spec, input, results)?;
    let step_scores = spec.attribution.step_score_labels();
    let batch = table::encode(&rows, &step_scores, columns.as_ref())?;
    let footer = Footer {
        slot: lease.slot.clone(),
        attempt: lease.attempt.clone(),
        kind: SlotKind::Full,
        examples: input.rows.len() as u64,
        errors,
        worker: context.id.clone(),
        epoch: lease.epoch,
        spec_json: spec.canonical_json(),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(slot_file::encode(&batch, &footer)?)
}

/// Returns a row of the table for every result, and the carried columns of each.
fn table_rows(
    spec: &JobSpec,
    input: &InputRows,
    results: Vec<Samples>,
) -> Result<(Vec<TableRow>, Option<StructArray>), ArrowError> {
    let forces = spec.forces_targets();
    let mut rows = Vec::with_capacity(results.len());
    let mut origins = Vec::with_capacity(results.len());
    for (origin, (row, samples)) in input.rows.iter().zip(results).enumerate() {
        for (sample, result) in (0..).zip(samples) {
            let example = row.example_id;
            origins.push(origin as u64);
            rows.push(TableRow {
                id: RowId { example, sample },
                input_text: row.input_text.clone(),
                forced: result.as_ref().map_or(forces, |result| result.forced),
                result,
            });
        }
    }
    let columns = match &input.columns {
        None => None,
        Some(columns) => {
            let taken = take(columns, &UInt64Array::from(origins), None)?;
            Some(taken.as_struct().clone())
        }
    };
    Ok((rows, columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_length(id: i64, bytes: usize) -> (usize, Example) {
        (
            id as usize,
            Example::new(id, &"x".repeat(bytes)).with_generated_text(""),
        )
    }

    #[test]
    fn groups_hold_similar_lengths_within_the_budget() {
        let examples = vec![
            of_length(0, 400),
            of_length(1, 8),
            of_length(2, 40),
            of_length(3, 8),
        ];
        let ids = |group: &Vec<(usize, Example)>| {
            group.iter().map(|(index, _)| *index).collect::<Vec<_>>()
        };
        let groups: Vec<_> = groups(examples, 30, 64).iter().map(ids).collect();
        assert_eq!(groups, [vec![1, 3, 2], vec![0]]);
    }

    #[test]
    fn a_row_without_text_says_so() {
        let row = InputRow {
            example_id: 1,
            input_text: None,
            is_messages: false,
            generated_text: None,
            contrast_source: None,
            contrast_target: None,
            row_error: None,
        };
        let generates = DatasetSource {
            files: vec![],
            split: "train".to_owned(),
            input_field: "text".to_owned(),
            generated_field: None,
            contrast_source_field: None,
            contrast_target_field: None,
            columns: vec![],
        };
        let forces = DatasetSource {
            generated_field: Some("target".to_owned()),
            ..generates.clone()
        };
        assert_eq!(example(&row, &generates).unwrap_err().code, "missing_text");
        let row = InputRow {
            input_text: Some("a".to_owned()),
            ..row
        };
        assert!(example(&row, &generates).is_ok());
        assert_eq!(
            example(&row, &forces).unwrap_err().message,
            "the row has no generated text"
        );
    }
}
