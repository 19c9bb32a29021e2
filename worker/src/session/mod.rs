//! The life of a worker: register, acquire, work, renew, report, drain.
//!
//! Leases are only for efficiency, so a worker that loses its coordinator goes on with the tasks it
//! has, commits them, and reports when a coordinator answers again. Two tasks for each device run at
//! once, so that one computes while the other fetches or uploads. [`link`] makes the calls, [`retry`] waits for a
//! coordinator that does not answer, [`heartbeat`] renews the leases of the [`running`] tasks, and
//! [`report`] tells the coordinator how they ended.

#[cfg(test)]
mod fake_coordinator;
mod heartbeat;
mod link;
mod report;
mod retry;
mod running;
#[cfg(test)]
mod tests;

pub use link::Coordinator;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info, info_span};
use whence_proto::v1;
use whence_schemas::{CrashPoint, WorkerId, store};
use whence_telemetry::propagation;

use crate::config::Config;
use crate::device::Device;
use crate::error::Error;
use crate::lease::Lease;
use crate::panics::caught;
use crate::spool::Spool;
use crate::task::{self, Ended, TaskContext};
use heartbeat::Heartbeat;
use link::{Link, Registered};
use report::Report;
use running::RunningTasks;

/// Number of tasks at once for each device: one computes while the other fetches or uploads.
const CREDITS: usize = 2;
/// Pause before a coordinator that is shutting down is asked again. Its successor needs a moment to
/// start.
const WHILE_DRAINING: Duration = Duration::from_millis(200);

/// Works for `coordinator` until `shutdown` is canceled, then ends the tasks and returns.
///
/// Fails if the memory limit is too small, the coordinator refuses this worker, its store cannot be
/// used, or no coordinator answers for [`Config::orphan_grace`].
pub async fn run(
    config: Config,
    coordinator: Coordinator,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let id = config.id.clone().unwrap_or_else(|| {
        format!("worker-{}", ulid::Ulid::new())
            .parse()
            .expect("a ULID is made of letters and digits")
    });
    let least = whence_engine::LEAST_MEMORY;
    if let Some(allowed) = config.memory.filter(|allowed| *allowed < least) {
        return Err(Error::Memory { allowed, least });
    }
    config.check_spool()?;
    let device = Device::start(&config)?;
    let session = Session {
        link: Link::new(coordinator, id.clone(), device.class()),
        id,
        device,
        config,
        running: RunningTasks::default(),
        progressed: Arc::default(),
    };
    session.live(&shutdown).await
}

struct Session {
    id: WorkerId,
    link: Link,
    device: Device,
    config: Config,
    running: RunningTasks,
    /// Notified when a task has progress to report.
    progressed: Arc<Notify>,
}

impl Session {
    /// Runs the session from registration to the end of the last task.
    async fn live(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let registered = tokio::select! {
            registered = self.register() => registered?,
            () = shutdown.cancelled() => return Ok(()),
        };
        info!(worker = %self.id, epoch = %registered.epoch, "registered");
        let context = self.context(&registered)?;
        let ended = CancellationToken::new();
        let heartbeat = Heartbeat {
            link: self.link.clone(),
            running: self.running.clone(),
            progressed: Arc::clone(&self.progressed),
            interval: registered.heartbeat_interval,
        };
        let mut heartbeats = JoinSet::new();
        heartbeats.spawn(heartbeat.run(ended.clone()));
        let mut tasks = JoinSet::new();
        let (left, stop) = (context.clone(), shutdown.clone());
        tasks.spawn(async move {
            let spool = &left.spool;
            spool.deliver_left_behind(left.store.as_ref(), &stop).await;
        });
        let result = self.work(&context, &mut tasks, shutdown).await;
        // Leases are renewed until the last task has ended, so the heartbeats stop after the tasks.
        self.drain(&mut tasks).await;
        ended.cancel();
        while heartbeats.join_next().await.is_some() {}
        result
    }

    /// Takes leases and works on them until shutdown. Asks for leases only when another task may
    /// start.
    async fn work(
        &self,
        context: &TaskContext,
        tasks: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let credits = Arc::new(Semaphore::new(CREDITS * self.device.count()));
        loop {
            let mut free = tokio::select! {
                free = Arc::clone(&credits).acquire_owned() => vec![free.expect("never closed")],
                () = shutdown.cancelled() => return Ok(()),
            };
            // All free places are asked for at once.
            while let Ok(another) = Arc::clone(&credits).try_acquire_owned() {
                free.push(another);
            }
            while tasks.try_join_next().is_some() {}
            let leases = tokio::select! {
                leases = self.acquire(free.len()) => leases?,
                () = shutdown.cancelled() => return Ok(()),
            };
            for sent in leases {
                match Lease::try_from(&sent) {
                    Ok(lease) => self.start(context, lease, free.pop(), tasks),
                    Err(malformed) => {
                        error!(error = %malformed, "the coordinator sent a malformed lease");
                        let report = Report::malformed(&self.id, sent.attempt, &malformed);
                        let link = self.link.clone();
                        tasks.spawn(async move { report::send(report, &link).await });
                    }
                }
            }
        }
    }

    /// Starts the task of `lease`, which ends with its report to the coordinator. It holds `credit` as
    /// long as it needs the device.
    fn start(
        &self,
        context: &TaskContext,
        lease: Lease,
        credit: Option<OwnedSemaphorePermit>,
        tasks: &mut JoinSet<()>,
    ) {
        let task = self.running.start(&lease);
        let (job, slot, attempt) = (&lease.job, &lease.slot, &lease.attempt);
        let span = info_span!("task", %job, %slot, %attempt);
        propagation::follow(&span, &lease.traceparent);
        let (context, running) = (context.clone(), self.running.clone());
        let link = self.link.clone();
        let work = async move {
            let (progress, stop) = (&task.progress, &task.stop);
            let computed = caught(task::run(&context, &lease, progress, stop)).await;
            drop(credit);
            let ended = match computed {
                Ok(Ended::Published(finished)) => Ok(finished),
                Ok(Ended::Kept(kept, finished)) => {
                    task::deliver(&context, kept, finished, progress, stop).await
                }
                Err(failure) => Err(failure),
            };
            running.end(&lease.attempt);
            CrashPoint::WorkerBeforeReport.pass();
            let report = Report::of(&context.id, &lease, &ended);
            report::send(report, &link).await;
        };
        tasks.spawn(work.instrument(span));
    }

    /// Registers, as soon as a coordinator answers.
    async fn register(&self) -> Result<Registered, Error> {
        let grace = self.config.orphan_grace;
        retry::until_answered(&self.link, grace, || self.try_register()).await
    }

    /// Registers once, with the attempts that are running here. Stops those that the coordinator no
    /// longer needs.
    async fn try_register(&self) -> Result<Registered, tonic::Status> {
        let registered = self.link.register(self.running.attempts()).await?;
        self.running.stop(&registered.stop);
        Ok(registered)
    }

    /// Asks for leases until the coordinator has some.
    async fn acquire(&self, credits: usize) -> Result<Vec<v1::Lease>, Error> {
        loop {
            // After a failure, the next answer may come from a new coordinator, which does not know
            // this worker yet. So the worker registers again first.
            let is_known = AtomicBool::new(true);
            let ask = || async {
                if !is_known.load(Ordering::Relaxed) {
                    self.try_register().await?;
                }
                let loaded = self.device.loaded_models();
                let acquired = self.link.acquire(credits, loaded).await;
                is_known.store(acquired.is_ok(), Ordering::Relaxed);
                acquired
            };
            let grace = self.config.orphan_grace;
            let acquired = retry::until_answered(&self.link, grace, ask).await?;
            if !acquired.leases.is_empty() {
                return Ok(acquired.leases);
            }
            if acquired.draining {
                sleep(WHILE_DRAINING).await;
            }
        }
    }

    /// Asks the tasks to end, and waits until each has published its finished rows and reported.
    async fn drain(&self, tasks: &mut JoinSet<()>) {
        CrashPoint::WorkerDraining.pass();
        self.running.stop_all();
        while tasks.join_next().await.is_some() {}
    }

    /// Returns the context that all tasks share. Fails if the coordinator's store cannot be opened.
    fn context(&self, registered: &Registered) -> Result<TaskContext, Error> {
        Ok(TaskContext {
            id: self.id.clone(),
            client: self.link.client(),
            store: store::open(&registered.store_url)?,
            device: self.device.clone(),
            batch_tokens: self.config.batch_tokens,
            batch_size: self.config.batch_size,
            max_result_bytes: self.config.max_result_bytes,
            spool: Spool::new(
                &self.config.spool_folder(),
                self.config.spool_limit,
                &registered.store_url,
            ),
            progressed: Arc::clone(&self.progressed),
        })
    }
}
