//! One worker's life: register, acquire, work, renew, report, drain.
//!
//! Leases are for efficiency: a worker that loses its coordinator goes on with what it has, commits,
//! and reports when somebody answers again. Two tasks run at once, one computing while the other
//! fetches or uploads.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tracing::{Instrument, info, info_span, warn};
use whence_proto::v1::{self, AttemptRef, Lease};
use whence_schemas::job::NUMERICS_VERSION;
use whence_schemas::{WorkerId, store};

use crate::config::Config;
use crate::device::Device;
use crate::error::{Error, Failure};
use crate::panics::caught;
use crate::task::{self, Client, TaskContext, TaskProgress};

/// Tasks at once: one computes while the other fetches or uploads.
const CREDITS: usize = 2;
/// How long a request for leases may wait at the coordinator.
const ACQUIRE_WAIT: Duration = Duration::from_secs(20);
/// Answer time of every other call.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Least time between two heartbeats that were sent early to show progress.
const EARLY_HEARTBEAT: Duration = Duration::from_millis(250);
/// First wait after a call that nobody answered; doubled up to the longest.
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// Messages carry shards and specifications; tonic's own limit is too small for long texts.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Works for the coordinator behind `channel` until `shutdown`.
///
/// Fails if the coordinator refuses this worker, its store cannot be used, or nobody answers for
/// [`Config::orphan_grace`].
pub async fn run(
    config: Config,
    channel: tonic::transport::Channel,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let id = config.id.clone().unwrap_or_else(|| {
        format!("worker-{}", ulid::Ulid::new())
            .parse()
            .expect("a ULID is made of letters and digits")
    });
    let client = Client::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let device =
        Device::start(config.loaded_models, config.memory).map_err(|error| Error::Refused {
            reason: error.to_string(),
        })?;
    let mut session = Session {
        id,
        client,
        device,
        config,
        running: Arc::default(),
        progressed: Arc::default(),
    };
    session.live(shutdown).await
}

struct Session {
    id: WorkerId,
    client: Client,
    device: Device,
    config: Config,
    running: Running,
    progressed: Arc<Notify>,
}

/// The tasks under way, by attempt.
type Running = Arc<Mutex<HashMap<String, RunningTask>>>;

#[derive(Debug, Clone)]
struct RunningTask {
    attempt: AttemptRef,
    progress: Arc<TaskProgress>,
    stop: CancellationToken,
}

impl Session {
    async fn live(&mut self, shutdown: CancellationToken) -> Result<(), Error> {
        let registered = self.register(&shutdown).await?;
        let Some(registered) = registered else {
            return Ok(());
        };
        let context = TaskContext {
            id: self.id.clone(),
            client: self.client.clone(),
            store: store::open(&registered.store_url)?,
            device: self.device.clone(),
            batch_tokens: self.config.batch_tokens,
            batch_size: self.config.batch_size,
            max_result_bytes: self.config.max_result_bytes,
            progressed: Arc::clone(&self.progressed),
        };
        info!(worker = %self.id, epoch = registered.epoch, "registered");
        let interval = interval(&registered);
        let mut tasks = JoinSet::new();
        let mut heartbeats = JoinSet::new();
        let ended = CancellationToken::new();
        heartbeats.spawn(self.heartbeat(interval, ended.clone()));

        let mut result = Ok(());
        while !shutdown.is_cancelled() {
            while tasks.len() >= CREDITS {
                tokio::select! {
                    _ = tasks.join_next() => {}
                    () = shutdown.cancelled() => break,
                }
            }
            while tasks.try_join_next().is_some() {}
            if shutdown.is_cancelled() {
                break;
            }
            match self.acquire(CREDITS - tasks.len(), &shutdown).await {
                Ok(leases) => {
                    for lease in leases {
                        let (context, task) = (context.clone(), self.start(&lease));
                        let span = info_span!("task", attempt = %task.attempt.attempt, slot = %task.attempt.slot);
                        let running = Arc::clone(&self.running);
                        tasks.spawn(work(context, lease, task, running).instrument(span));
                    }
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.drain(&mut tasks).await;
        ended.cancel();
        while heartbeats.join_next().await.is_some() {}
        result
    }

    /// Registers, however long nobody answers. Returns `None` on shutdown.
    async fn register(
        &self,
        shutdown: &CancellationToken,
    ) -> Result<Option<v1::RegisterResponse>, Error> {
        let mut budget = RetryBudget::new(self.config.orphan_grace);
        loop {
            let request = v1::RegisterRequest {
                worker_id: self.id.to_string(),
                protocol_version: whence_proto::PROTOCOL_VERSION,
                code_version: env!("CARGO_PKG_VERSION").to_owned(),
                numerics_version: NUMERICS_VERSION,
                device: "cpu".to_owned(),
                in_flight: in_flight(&self.running),
            };
            let mut client = self.client.clone();
            let status = match call(client.register(request)).await {
                Ok(response) => {
                    stop_all(&self.running, &response.stop);
                    return Ok(Some(response));
                }
                Err(status) => status,
            };
            budget.wait_after(&status, shutdown).await?;
            if shutdown.is_cancelled() {
                return Ok(None);
            }
        }
    }

    /// Asks for leases until there are some, or until shutdown.
    async fn acquire(
        &self,
        credits: usize,
        shutdown: &CancellationToken,
    ) -> Result<Vec<Lease>, Error> {
        let mut budget = RetryBudget::new(self.config.orphan_grace);
        loop {
            let request = v1::AcquireShardsRequest {
                worker_id: self.id.to_string(),
                credits: credits as u32,
                wait: prost_duration(ACQUIRE_WAIT),
                loaded_models: self.device.loaded_models(),
            };
            let mut client = self.client.clone();
            let asked = timeout(ACQUIRE_WAIT + CALL_TIMEOUT, client.acquire_shards(request));
            let answer = tokio::select! {
                answer = asked => answer,
                () = shutdown.cancelled() => return Ok(Vec::new()),
            };
            let status = match answer {
                Ok(Ok(response)) => {
                    let response = response.into_inner();
                    if !response.leases.is_empty() {
                        return Ok(response.leases);
                    }
                    if response.draining {
                        tokio::select! { () = sleep(FIRST_RETRY) => {}, () = shutdown.cancelled() => {} }
                    }
                    // Nothing to do is not a failure: somebody answered.
                    budget = RetryBudget::new(self.config.orphan_grace);
                    continue;
                }
                Ok(Err(status)) => status,
                Err(_) => tonic::Status::deadline_exceeded("the coordinator did not answer"),
            };
            budget.wait_after(&status, shutdown).await?;
            if shutdown.is_cancelled() {
                return Ok(Vec::new());
            }
            // It may be another coordinator that answers next, which does not know us.
            if self.register(shutdown).await?.is_none() {
                return Ok(Vec::new());
            }
        }
    }

    fn start(&self, lease: &Lease) -> RunningTask {
        let task = RunningTask {
            attempt: lease.attempt.clone().unwrap_or_default(),
            progress: Arc::default(),
            stop: CancellationToken::new(),
        };
        self.running
            .lock()
            .expect("no holder panics")
            .insert(task.attempt.attempt.clone(), task.clone());
        task
    }

    /// Renews leases until `ended`: at every interval, and soon after progress.
    fn heartbeat(
        &self,
        interval: Duration,
        ended: CancellationToken,
    ) -> impl Future<Output = ()> + use<> {
        let (id, mut client) = (self.id.clone(), self.client.clone());
        let (running, progressed) = (Arc::clone(&self.running), Arc::clone(&self.progressed));
        async move {
            let mut last = Instant::now();
            loop {
                let early = async {
                    progressed.notified().await;
                    tokio::time::sleep_until(last + EARLY_HEARTBEAT).await;
                };
                tokio::select! {
                    () = early => {}
                    () = sleep(interval) => {}
                    () = ended.cancelled() => return,
                }
                last = Instant::now();
                let progress = running
                    .lock()
                    .expect("no holder panics")
                    .values()
                    .map(report)
                    .collect::<Vec<_>>();
                let request = v1::HeartbeatRequest {
                    worker_id: id.to_string(),
                    progress,
                };
                match call(client.heartbeat(request)).await {
                    Ok(response) => stop_all(&running, &response.stop),
                    Err(status) => warn!(code = ?status.code(), "heartbeat failed"),
                }
            }
        }
    }

    /// Gives back what is not finished, and waits for the tasks to notice.
    async fn drain(&self, tasks: &mut JoinSet<()>) {
        let unfinished = in_flight(&self.running);
        for task in self.running.lock().expect("no holder panics").values() {
            task.stop.cancel();
        }
        if !unfinished.is_empty() {
            let request = v1::ReleaseShardsRequest {
                worker_id: self.id.to_string(),
                attempts: unfinished,
            };
            if let Err(status) = call(self.client.clone().release_shards(request)).await {
                warn!(code = ?status.code(), "leases could not be given back, they will expire");
            }
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// Does one task and reports how it ended.
async fn work(context: TaskContext, lease: Lease, task: RunningTask, running: Running) {
    let ended = caught(task::run(&context, &lease, &task.progress, &task.stop)).await;
    running
        .lock()
        .expect("no holder panics")
        .remove(&task.attempt.attempt);
    let worker_id = context.id.to_string();
    let attempt = Some(task.attempt.clone());
    match ended {
        Ok(finished) => {
            info!(outcome = ?finished.outcome, rows = finished.rows, failed = finished.failed, "slot filled");
            let request = v1::CompleteShardRequest {
                worker_id,
                attempt,
                outcome: finished.outcome.into(),
                rows: finished.rows,
                rows_failed: finished.failed,
                tokens: finished.tokens,
                bytes: finished.bytes,
            };
            report_until_heard(&context, Report::Completed(request)).await;
        }
        Err(Failure::Stopped) => info!("stopped"),
        Err(failure) => {
            warn!(%failure, "attempt failed");
            let request = v1::FailShardRequest {
                worker_id,
                attempt,
                failure_class: failure.class().into(),
                message: failure.to_string(),
            };
            report_until_heard(&context, Report::Failed(request)).await;
        }
    }
}

/// How an attempt ended.
enum Report {
    Completed(v1::CompleteShardRequest),
    Failed(v1::FailShardRequest),
}

impl Report {
    async fn tell(&self, mut client: Client) -> Result<(), tonic::Status> {
        match self {
            Self::Completed(request) => {
                call(client.complete_shard(request.clone())).await.map(drop)
            }
            Self::Failed(request) => call(client.fail_shard(request.clone())).await.map(drop),
        }
    }
}

/// Tells the coordinator, a few times if need be. It would find out without: the slot is filled, or
/// the lease expires.
async fn report_until_heard(context: &TaskContext, report: Report) {
    const TRIES: usize = 5;
    let mut wait = FIRST_RETRY;
    for _ in 0..TRIES {
        match report.tell(context.client.clone()).await {
            Ok(()) => return,
            Err(status) if !may_pass(&status) => {
                warn!(code = ?status.code(), "the coordinator did not take the report");
                return;
            }
            Err(_) => sleep(wait).await,
        }
        wait *= 2;
    }
    warn!("the report reached nobody");
}

/// How long to go on asking when nobody answers.
struct RetryBudget {
    since: Instant,
    grace: Duration,
    wait: Duration,
}

impl RetryBudget {
    fn new(grace: Duration) -> Self {
        Self {
            since: Instant::now(),
            grace,
            wait: FIRST_RETRY,
        }
    }

    /// Waits before the next try. Fails if `status` will not pass, or it has lasted too long.
    async fn wait_after(
        &mut self,
        status: &tonic::Status,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        if !may_pass(status) {
            return Err(Error::Refused {
                reason: status.message().to_owned(),
            });
        }
        if self.since.elapsed() > self.grace {
            return Err(Error::Orphaned { grace: self.grace });
        }
        warn!(code = ?status.code(), "no coordinator, trying again");
        // Up to half as long again, so that workers of a cluster do not all come back at once.
        let jitter = self
            .wait
            .mul_f64((ulid::Ulid::new().random() % 1024) as f64 / 2048.0);
        tokio::select! {
            () = sleep(self.wait + jitter) => {}
            () = shutdown.cancelled() => {}
        }
        self.wait = (self.wait * 2).min(LONGEST_RETRY);
        Ok(())
    }
}

/// Returns whether trying again may help.
fn may_pass(status: &tonic::Status) -> bool {
    !matches!(
        status.code(),
        Code::FailedPrecondition
            | Code::InvalidArgument
            | Code::Unauthenticated
            | Code::PermissionDenied
            | Code::Unimplemented
    )
}

async fn call<T>(
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>>,
) -> Result<T, tonic::Status> {
    match timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(tonic::Status::deadline_exceeded(
            "the coordinator did not answer",
        )),
    }
}

fn in_flight(running: &Running) -> Vec<AttemptRef> {
    running
        .lock()
        .expect("no holder panics")
        .values()
        .map(|task| task.attempt.clone())
        .collect()
}

fn stop_all(running: &Running, attempts: &[AttemptRef]) {
    let running = running.lock().expect("no holder panics");
    for task in attempts
        .iter()
        .filter_map(|attempt| running.get(&attempt.attempt))
    {
        task.stop.cancel();
    }
}

fn report(task: &RunningTask) -> v1::AttemptProgress {
    v1::AttemptProgress {
        attempt: Some(task.attempt.clone()),
        rows_done: task.progress.rows.load(Ordering::Relaxed),
        tokens_done: task.progress.tokens.load(Ordering::Relaxed),
    }
}

fn interval(registered: &v1::RegisterResponse) -> Duration {
    const DEFAULT: Duration = Duration::from_secs(5);
    registered
        .heartbeat_interval
        .and_then(|interval| interval.try_into().ok())
        .unwrap_or(DEFAULT)
}

fn prost_duration(duration: Duration) -> Option<prost_types::Duration> {
    duration.try_into().ok()
}
