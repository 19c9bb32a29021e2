//! A cluster of the real programs, each of which a test can kill, stop or crash.
//!
//! Leases are short, so that a test does not wait long for those of the dead.

use std::collections::BTreeSet;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;
use tonic::transport::Channel;
use whence_proto::v1::job_service_client::JobServiceClient;
use whence_proto::v1::{JobStatus, SubmitJobRequest};
use whence_schemas::crash_point::VARIABLE;
use whence_schemas::{Attempt, CrashPoint, JobSpec, SlotId};

use crate::cluster;
use crate::log::Log;
use crate::processes::Process;

/// Heartbeats and lifetime of leases.
const TIMES: [&str; 4] = ["--heartbeat", "200ms", "--lease-ttl", "1s"];

/// A coordinator and workers as processes.
#[derive(Debug)]
pub struct Machines {
    root: String,
    address: String,
    coordinator: Option<Process>,
    /// The messages of all workers that were ever started.
    logs: Vec<Log>,
    /// Where results wait that the store does not take.
    spool: TempDir,
}

impl Machines {
    /// Starts a coordinator for the storage root `root`, on a free port.
    pub async fn start(root: &str) -> Self {
        Self::start_with(root, &[]).await
    }

    /// Starts a coordinator that aborts at `point`.
    pub async fn start_crashing(root: &str, point: CrashPoint) -> Self {
        Self::start_with(root, &[(VARIABLE, point.name())]).await
    }

    async fn start_with(root: &str, environment: &[(&str, &str)]) -> Self {
        let coordinator = coordinator(root, "127.0.0.1:0", environment);
        let address = address(&coordinator).await;
        Self {
            root: root.to_owned(),
            address,
            coordinator: Some(coordinator),
            logs: Vec::new(),
            spool: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// Submits a job. Returns its id.
    ///
    /// # Panics
    ///
    /// If it is not accepted.
    pub async fn submit(&self, spec: &JobSpec) -> String {
        self.try_submit(spec).await.expect("the job is accepted")
    }

    /// Submits a job to a coordinator that may crash. Returns its id.
    pub async fn try_submit(&self, spec: &JobSpec) -> Result<String, tonic::Status> {
        let spec_json = serde_json::to_string(spec).expect("a specification is JSON");
        let mut client = JobServiceClient::new(self.channel());
        let submitted = client.submit_job(SubmitJobRequest { spec_json }).await?;
        Ok(submitted.into_inner().job_id)
    }

    /// Watches a job until a status satisfies `is_enough`, or until the job ends. Returns the last
    /// status.
    pub async fn watch(&self, job: &str, is_enough: impl Fn(&JobStatus) -> bool) -> JobStatus {
        cluster::watch(self.channel(), job, is_enough).await
    }

    /// Starts a worker with `arguments`, besides those that name the coordinator.
    pub fn worker(&mut self, arguments: &[&str]) -> Process {
        self.worker_with(arguments, &[])
    }

    /// Starts a worker that aborts at `point`.
    pub fn crashing_worker(&mut self, point: CrashPoint, arguments: &[&str]) -> Process {
        self.worker_with(arguments, &[(VARIABLE, point.name())])
    }

    fn worker_with(&mut self, arguments: &[&str], environment: &[(&str, &str)]) -> Process {
        let address = format!("http://{}", self.address);
        let spool = self.spool.path().display().to_string();
        let arguments = [&["--coordinator", &address, "--spool", &spool], arguments].concat();
        let worker = Process::start_with("whence-worker", &arguments, environment);
        self.logs.push(worker.log().clone());
        worker
    }

    /// Kills the coordinator with SIGKILL.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn kill_coordinator(&mut self) {
        self.take_coordinator().kill();
    }

    /// Returns the coordinator, which is then no longer the cluster's.
    ///
    /// # Panics
    ///
    /// If it was taken before.
    pub fn take_coordinator(&mut self) -> Process {
        self.coordinator.take().expect("there is a coordinator")
    }

    /// Starts another coordinator at the same address. Returns how long it takes until it answers.
    pub async fn restart_coordinator(&mut self) -> Duration {
        let start = Instant::now();
        let coordinator = coordinator(&self.root, &self.address, &[]);
        address(&coordinator).await;
        self.coordinator = Some(coordinator);
        start.elapsed()
    }

    /// Returns every attempt that a worker has started, with its slot.
    pub fn attempts(&self) -> BTreeSet<(SlotId, Attempt)> {
        self.logs.iter().flat_map(|log| log.all(started)).collect()
    }

    fn channel(&self) -> Channel {
        cluster::channel(&self.address)
    }
}

/// Starts a coordinator that may end before it listens.
///
/// # Panics
///
/// If it cannot be started.
pub fn coordinator(root: &str, listen: &str, environment: &[(&str, &str)]) -> Process {
    let arguments = [&["--root", root, "--listen", listen], &TIMES[..]].concat();
    Process::start_with("whence-coordinator", &arguments, environment)
}

/// Waits until a coordinator listens. Returns its address.
async fn address(coordinator: &Process) -> String {
    let said = |line: &str| Some(line.split_once("listening address=")?.1.trim().to_owned());
    coordinator.log().until(said).await
}

/// Returns slot and attempt of the task that a worker says to have started.
fn started(line: &str) -> Option<(SlotId, Attempt)> {
    let (span, _) = line.split_once("task started")?;
    let field = |name: &str| {
        let (_, value) = span.split_once(name)?;
        value.split([' ', '}']).next()
    };
    let slot = field("slot=")?.parse().ok()?;
    Some((slot, field("attempt=")?.parse().ok()?))
}
