//! The work for one lease: fetch the rows, attribute them, encode the table, fill the slot.
//!
//! A row that cannot be attributed becomes an error row of the same table, so that a bad row costs
//! only itself. A task that must end publishes the rows it has finished, and loses only the group
//! of examples that was being computed. A result that the store does not take is kept on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use whence_engine::OUT_OF_MEMORY;
use whence_proto::access::Connection;
use whence_proto::v1::{FetchShardRequest, Outcome, worker_service_client::WorkerServiceClient};
use whence_schemas::store::SlotStore;
use whence_schemas::{CrashPoint, ErrorKind, WorkerId, chain};

use crate::commit;
use crate::computation::attributing::Attributing;
use crate::computation::in_context::InContext;
use crate::computation::{Computation, Samples, storable};
use crate::device::Device;
use crate::error::Failure;
use crate::examples::groups;
use crate::input::{self, InputRows};
use crate::lease::Lease;
use crate::publish::{Publication, Published, count_failed};
use crate::spool::{Kept, Spool};

/// The gRPC client of the coordinator.
pub type Client = WorkerServiceClient<Connection>;

/// What all tasks of a worker share.
#[derive(Debug, Clone)]
pub struct TaskContext {
    /// This worker's name.
    pub id: WorkerId,
    /// The client of the coordinator.
    pub client: Client,
    /// The store that the coordinator named.
    pub store: Arc<dyn SlotStore>,
    /// The device.
    pub device: Device,
    /// Maximum number of tokens attributed together, approximately.
    pub batch_tokens: usize,
    /// Maximum number of examples attributed together.
    pub batch_size: usize,
    /// Maximum size of one object, in bytes. A larger result is split.
    pub max_result_bytes: usize,
    /// Where results wait that the store does not take.
    pub spool: Spool,
    /// Notified when there is progress to report.
    pub progressed: Arc<tokio::sync::Notify>,
}

/// How far a task has come. Read by the heartbeat.
#[derive(Debug, Default)]
pub struct TaskProgress {
    /// Rows attributed, error rows included.
    pub rows: AtomicU64,
    /// Tokens of attributed rows.
    pub tokens: AtomicU64,
    /// Whether all rows are done and the result waits for the store.
    pub is_uploading: AtomicBool,
}

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// What is now in the leased slot.
    pub outcome: Outcome,
    /// Number of dataset rows that have a result.
    pub rows: u64,
    /// Number of those rows that have an error row.
    pub failed: u64,
    /// Number of tokens of the attributed examples.
    pub tokens: u64,
    /// Total size of the encoded objects, in bytes.
    pub bytes: u64,
}

/// What became of the rows of a lease.
#[derive(Debug)]
pub enum Ended {
    /// They are in the store.
    Published(Finished),
    /// They are on disk, because the store does not take them. What was finished has no outcome yet.
    Kept(Kept, Finished),
}

/// Computes and publishes the rows of `lease`, or those that are finished when `stop` is canceled.
///
/// Fails with [`Failure::Stopped`] if it was stopped before any row was finished.
pub async fn run(
    context: &TaskContext,
    lease: &Lease,
    progress: &TaskProgress,
    stop: &CancellationToken,
) -> Result<Ended, Failure> {
    debug!(rows = lease.rows, "task started");
    CrashPoint::WorkerLeased.pass();
    let task = Task {
        context,
        lease,
        progress,
        stop,
    };
    match lease.spec.context {
        Some(_) => task.run::<InContext>().await,
        None => task.run::<Attributing>().await,
    }
}

/// Commits a result that was kept on disk as soon as the store takes it.
///
/// Fails if it must end before that, or if the slot cannot be filled with it.
pub async fn deliver(
    context: &TaskContext,
    kept: Kept,
    finished: Finished,
    progress: &TaskProgress,
    stop: &CancellationToken,
) -> Result<Finished, Failure> {
    progress.is_uploading.store(true, Ordering::Relaxed);
    context.progressed.notify_one();
    let outcome = kept.deliver(context.store.as_ref(), stop).await?;
    Ok(Finished {
        outcome,
        ..finished
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

/// A lease that is being worked on.
struct Task<'a> {
    context: &'a TaskContext,
    lease: &'a Lease,
    progress: &'a TaskProgress,
    stop: &'a CancellationToken,
}

impl Task<'_> {
    /// Fetches the rows, computes them and fills the slot.
    async fn run<C: Computation>(&self) -> Result<Ended, Failure> {
        let (context, lease) = (self.context, self.lease);
        let input = input::decode(&fetch(context, lease, self.stop).await?, lease.rows)?;
        let mut results = Vec::with_capacity(input.rows.len());
        match self.compute::<C>(&input, &mut results).await {
            Ok(()) => {}
            Err(Failure::Stopped) if !results.is_empty() => {}
            Err(failure) => return Err(failure),
        }
        // Not interrupted by `stop`: finished rows are published even if the task must end.
        if lease.larger_worker {
            withhold::<C>(&mut results)?;
        }
        let is_whole = results.iter().flatten().count() == input.rows.len();
        let publication = Publication::<C> {
            // What can be kept here need not wait for a store that takes nothing.
            policy: if is_whole && context.spool.is_waiting() {
                commit::ONCE
            } else {
                commit::COMMITTING
            },
            store: context.store.as_ref(),
            worker: &context.id,
            max_bytes: context.max_result_bytes,
            lease,
            input: &input,
            results: &results,
        };
        let finished = |published: Published| Finished {
            outcome: published.outcome,
            rows: results.iter().flatten().count() as u64,
            failed: count_failed(results.iter().flatten()),
            tokens: self.progress.tokens.load(Ordering::Relaxed),
            bytes: published.bytes,
        };
        match publication.publish().await {
            Ok(published) => Ok(Ended::Published(finished(published))),
            Err(Failure::Store(error)) if error.kind() == ErrorKind::Unavailable => {
                let Some((kept, published)) = self.keep(&publication)? else {
                    return Err(Failure::Store(error));
                };
                let cause = chain(&error);
                warn!(
                    cause,
                    "the store does not take the result; it waits on this machine"
                );
                Ok(Ended::Kept(kept, finished(published)))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Keeps a result on disk. Returns `None` if it does not fill its slot, or there is no room for it.
    fn keep<C: Computation>(
        &self,
        publication: &Publication<'_, C>,
    ) -> Result<Option<(Kept, Published)>, Failure> {
        let Some(object) = publication.whole()? else {
            return Ok(None);
        };
        let (lease, spool) = (self.lease, &self.context.spool);
        match spool.keep(&lease.slot_key, &lease.attempt, &object) {
            Ok(kept) => Ok(kept.map(|kept| {
                let published = Published {
                    outcome: Outcome::Unspecified,
                    bytes: object.len() as u64,
                };
                (kept, published)
            })),
            Err(error) => {
                warn!(%error, "the result cannot be kept on this machine either");
                Ok(None)
            }
        }
    }

    /// Computes the rows of `input` group by group, and appends each row's results to `results`. If
    /// it fails, `results` holds the rows before the group that was being computed.
    async fn compute<C: Computation>(
        &self,
        input: &InputRows,
        results: &mut Vec<Option<Samples<C::Output>>>,
    ) -> Result<(), Failure> {
        let spec = &self.lease.spec;
        let rows: Vec<_> = input.rows.iter().map(|row| C::example(row, spec)).collect();
        // Every example of a group is attributed once per generated sequence.
        let batch_tokens = self.context.batch_tokens / spec.num_samples();
        for group in groups::<C>(&rows, batch_tokens, self.context.batch_size) {
            let device = &self.context.device;
            let computed = device.compute_rows::<C>(spec, &rows[group], self.stop);
            let samples = computed.await?.into_iter();
            results.extend(samples.map(|samples| Some(self.count::<C>(samples))));
            self.context.progressed.notify_one();
        }
        Ok(())
    }

    /// Adds a row to the progress. Replaces results that the table cannot hold by errors, and
    /// returns the results.
    fn count<C: Computation>(&self, samples: Samples<C::Output>) -> Samples<C::Output> {
        let tokens: usize = samples.iter().flatten().map(C::num_tokens).sum();
        self.progress.rows.fetch_add(1, Ordering::Relaxed);
        self.progress
            .tokens
            .fetch_add(tokens as u64, Ordering::Relaxed);
        storable::<C>(samples)
    }
}

/// Takes away the results of rows that need more memory, so that a larger worker computes them.
///
/// Fails if no row has a result then.
fn withhold<C: Computation>(results: &mut [Option<Samples<C::Output>>]) -> Result<(), Failure> {
    let mut lacking = None;
    for samples in results.iter_mut() {
        let mut errors = samples
            .iter()
            .flatten()
            .filter_map(|sample| sample.as_ref().err());
        if let Some(needs) = errors.find(|error| error.code == OUT_OF_MEMORY) {
            lacking = Some(needs.message.clone());
            *samples = None;
        }
    }
    match lacking {
        Some(message) if results.iter().all(Option::is_none) => Err(Failure::OutOfMemory(message)),
        _ => Ok(()),
    }
}
