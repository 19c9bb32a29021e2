//! One lease, from top to bottom: fetch the rows, attribute them, encode the table, fill the slot.
//!
//! Rows that cannot be attributed become error rows of the same table, so that a bad row costs only
//! itself. A task that must end publishes the rows it has finished: only the group of examples that
//! was under way is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use whence_engine::Attribution;
use whence_proto::v1::{FetchShardRequest, Outcome, worker_service_client::WorkerServiceClient};
use whence_schemas::store::SlotStore;
use whence_schemas::{JobSpec, WorkerId};

use crate::device::Device;
use crate::error::Failure;
use crate::examples::{example, groups, storable};
use crate::input::{self, InputRows};
use crate::lease::Lease;
use crate::publish::{Publication, Samples, count_failed};

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
    /// Rows of the dataset that were answered.
    pub rows: u64,
    /// How many of them have an error row.
    pub failed: u64,
    /// Tokens of what was attributed.
    pub tokens: u64,
    /// Length of the encoded tables.
    pub bytes: u64,
}

/// Does what `lease` permits, or publishes what is finished of it when `stop` is cancelled.
pub async fn run(
    context: &TaskContext,
    lease: &Lease,
    progress: &TaskProgress,
    stop: &CancellationToken,
) -> Result<Finished, Failure> {
    let spec = Arc::clone(&lease.spec);
    let input = input::decode(&fetch(context, lease, stop).await?)?;
    let mut results = Vec::with_capacity(input.rows.len());
    let task = Task {
        context,
        spec: &spec,
        progress,
        stop,
    };
    match task.attribute(&input, &mut results).await {
        Ok(()) => {}
        Err(Failure::Stopped) if !results.is_empty() => {}
        Err(failure) => return Err(failure),
    }
    let publication = Publication {
        store: context.store.as_ref(),
        worker: &context.id,
        max_bytes: context.max_result_bytes,
        lease,
        input: &input,
        results: &results,
    };
    let published = publication.publish().await?;
    Ok(Finished {
        outcome: published.outcome,
        rows: results.len() as u64,
        failed: count_failed(&results),
        tokens: progress.tokens.load(Ordering::Relaxed),
        bytes: published.bytes,
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

/// A lease under way.
struct Task<'a> {
    context: &'a TaskContext,
    spec: &'a Arc<JobSpec>,
    progress: &'a TaskProgress,
    stop: &'a CancellationToken,
}

impl Task<'_> {
    /// Attributes the rows of `input`, one group after another, and adds to `results` what became of
    /// each. Where it fails, the rows before the group under way have their results.
    async fn attribute(
        &self,
        input: &InputRows,
        results: &mut Vec<Samples>,
    ) -> Result<(), Failure> {
        let rows = input.rows.iter();
        let rows: Vec<_> = rows.map(|row| example(row, &self.spec.dataset)).collect();
        let batch_tokens = self.context.batch_tokens / self.spec.num_samples();
        for group in groups(&rows, batch_tokens, self.context.batch_size) {
            let examples: Vec<_> = rows[group.clone()].iter().flatten().cloned().collect();
            let mut attributed = Vec::new().into_iter();
            if !examples.is_empty() {
                let spec = Arc::clone(self.spec);
                let computing = self.context.device.attribute(spec, examples, self.stop);
                attributed = computing.await?.into_iter();
            }
            for row in &rows[group] {
                let samples = match row {
                    Ok(_) => attributed.next().ok_or(Failure::Device)?,
                    Err(error) => vec![Err(error.clone())],
                };
                results.push(self.count(samples));
            }
            self.context.progressed.notify_one();
        }
        Ok(())
    }

    /// Counts what became of a row as progress. Returns it without what the table cannot hold.
    fn count(&self, samples: Samples) -> Samples {
        let tokens: usize = samples.iter().flatten().map(Attribution::num_tokens).sum();
        self.progress.rows.fetch_add(1, Ordering::Relaxed);
        self.progress
            .tokens
            .fetch_add(tokens as u64, Ordering::Relaxed);
        let samples = samples.into_iter();
        samples.map(|result| result.and_then(storable)).collect()
    }
}
