//! A cluster in this process: a coordinator on a free port and any number of workers.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use whence_coordinator::access::Access;
use whence_coordinator::{Config, Coordinator, server};
use whence_proto::v1::job_service_client::JobServiceClient;
use whence_proto::v1::{JobState, JobStatus, SubmitJobRequest, WatchJobRequest};
use whence_schemas::{JobSpec, chain};

/// A coordinator and workers. Dropping it stops them abruptly, like `kill -9`.
#[derive(Debug)]
pub struct Cluster {
    /// The coordinator.
    pub coordinator: Arc<Coordinator>,
    /// A channel to the coordinator.
    pub channel: Channel,
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Where results wait that the store does not take.
    spool: TempDir,
    shutdown: CancellationToken,
    tasks: JoinSet<Result<(), String>>,
}

/// Returns a configuration with short timeouts: what takes minutes in production takes a moment.
pub fn impatient(root: &str) -> Config {
    Config {
        heartbeat_interval: Duration::from_millis(200),
        lease_ttl: Duration::from_secs(2),
        poll_interval: Duration::from_millis(500),
        watch_interval: Duration::from_millis(20),
        ..Config::new(root)
    }
}

impl Cluster {
    /// Starts a coordinator with `config`, without workers.
    pub async fn start(config: Config) -> Result<Self, whence_coordinator::Error> {
        let coordinator = Coordinator::start(config).await?;
        let (incoming, address) = server::listen("127.0.0.1:0").await?;
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let serving = server::serve(
            Arc::clone(&coordinator),
            incoming,
            Access::default(),
            shutdown.clone(),
        );
        tasks.spawn(async { serving.await.map_err(|error| chain(&error)) });
        let endpoint = Endpoint::try_from(format!("http://{address}")).expect("an address");
        Ok(Self {
            coordinator,
            channel: endpoint.connect_lazy(),
            address,
            spool: tempfile::tempdir().expect("a temporary folder"),
            shutdown,
            tasks,
        })
    }

    /// Starts an [`impatient`] coordinator of the storage root `root`, and one worker.
    ///
    /// # Panics
    ///
    /// If the root cannot be used.
    pub async fn with_worker(root: impl Display) -> Self {
        let started = Self::start(impatient(&root.to_string())).await;
        let mut cluster = started.expect("the root can be used");
        cluster.add_worker(whence_worker::Config::default());
        cluster
    }

    /// Starts a worker with these settings.
    pub fn add_worker(&mut self, mut config: whence_worker::Config) {
        config
            .spool
            .get_or_insert_with(|| self.spool.path().to_owned());
        let coordinator = whence_worker::Coordinator::behind(self.channel.clone(), "the cluster");
        let worker = whence_worker::run(config, coordinator, self.shutdown.clone());
        self.tasks
            .spawn(async { worker.await.map_err(|error| error.to_string()) });
    }

    /// Submits a job. Returns its id.
    pub async fn submit(&self, spec: &JobSpec) -> Result<String, tonic::Status> {
        let spec_json = serde_json::to_string(spec).expect("a specification is JSON");
        let mut client = JobServiceClient::new(self.channel.clone());
        let submitted = client.submit_job(SubmitJobRequest { spec_json }).await?;
        Ok(submitted.into_inner().job_id)
    }

    /// Watches a job until a status satisfies `is_enough`, or until the job ends. Returns the last
    /// status.
    pub async fn watch(&self, job_id: &str, is_enough: impl Fn(&JobStatus) -> bool) -> JobStatus {
        watch(self.channel.clone(), job_id, is_enough).await
    }

    /// Submits a job and waits for its end.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn run(&self, spec: &JobSpec) -> JobStatus {
        let id = self.submit(spec).await.expect("the job is accepted");
        self.watch(&id, |_| false).await
    }

    /// Stops everything and waits for it.
    ///
    /// # Panics
    ///
    /// If the coordinator or a worker ended with an error.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("nothing panics").expect("nothing fails");
        }
    }
}

/// Returns a channel to the coordinator at `address`. It connects on first use.
///
/// # Panics
///
/// If the address is invalid.
pub fn channel(address: &str) -> Channel {
    let endpoint = Endpoint::try_from(format!("http://{address}"));
    endpoint.expect("an address").connect_lazy()
}

/// Watches a job over `channel` until a status satisfies `is_enough`, or until the job ends.
/// Returns the last status.
///
/// # Panics
///
/// If the coordinator does not know the job or goes away.
pub async fn watch(
    channel: Channel,
    job_id: &str,
    is_enough: impl Fn(&JobStatus) -> bool,
) -> JobStatus {
    let job_id = job_id.to_owned();
    let mut client = JobServiceClient::new(channel);
    let statuses = client
        .watch_job(WatchJobRequest { job_id })
        .await
        .expect("the job is known");
    let mut statuses = statuses.into_inner();
    let mut last = None;
    while let Some(next) = statuses.message().await.expect("the coordinator stays") {
        let status = next.status.expect("a status in every answer");
        let is_over = status.state() != JobState::Running || is_enough(&status);
        last = Some(status);
        if is_over {
            break;
        }
    }
    last.expect("watching starts with a status")
}
