//! The machines of one simulation, and the course that it takes.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use turmoil::{Builder, Sim};
use whence_coordinator::access::Access;
use whence_coordinator::{Config, Coordinator, server};
use whence_proto::v1::job_service_client::JobServiceClient;
use whence_proto::v1::{GetJobRequest, JobState, SubmitJobRequest};
use whence_schemas::JobSpec;
use whence_schemas::retry::simulate_jitter;
use whence_schemas::store::{self, SlotStore};
use whence_tests::history::{History, Undisturbed};
use whence_tests::seeds::Random;

use crate::disturbance::{self, Planned};
use crate::network;
use crate::store::FailingStore;

/// How long things go wrong.
const DISTURBED: Duration = Duration::from_mins(1);
/// A job that has not ended by then never will.
const LIMIT: Duration = Duration::from_mins(30);
/// How long a group of examples takes.
const COMPUTING: Duration = Duration::from_secs(2);
const WORKERS: usize = 4;
const COORDINATORS: usize = 2;

/// One simulation.
pub(crate) struct World {
    seed: u64,
    spec: JobSpec,
    store: Arc<FailingStore>,
    disturbances: Vec<Planned>,
    coordinators: Vec<String>,
    workers: Vec<String>,
    /// Where results wait that the store does not take.
    spool: TempDir,
}

impl World {
    /// Plans the simulation of `seed`.
    pub(crate) fn new(seed: u64, spec: &JobSpec) -> Self {
        let mut random = Random::new(seed);
        let name = |kind: &'static str| move |number| format!("{kind}-{number}");
        let coordinators: Vec<_> = (0..COORDINATORS).map(name("coordinator")).collect();
        let workers: Vec<_> = (0..WORKERS).map(name("worker")).collect();
        let disturbances = disturbance::plan(&mut random, &workers, &coordinators, DISTURBED);
        let url = format!("memory://simulation-{seed}");
        Self {
            seed,
            spec: spec.clone(),
            store: FailingStore::new(&url, random),
            disturbances,
            coordinators,
            workers,
            spool: tempfile::tempdir().unwrap(),
        }
    }

    /// Returns what goes wrong.
    pub(crate) fn disturbances(&self) -> &[Planned] {
        &self.disturbances
    }

    /// Runs the simulation and checks the table. Returns how long the job took.
    pub(crate) fn run(self, undisturbed: &Undisturbed) -> Duration {
        let mut history = History::of_seed("simulation", self.seed);
        store::share(Arc::clone(&self.store) as Arc<dyn SlotStore>);
        simulate_jitter(self.seed);
        let mut simulation = self.machines();
        self.store.set_failing(true);
        let mut next = self.disturbances.iter().peekable();
        let mut running: Vec<&Planned> = Vec::new();
        // Until the client, which waits for the job, is done.
        while !simulation.step().unwrap() {
            let now = simulation.elapsed();
            running.retain(|planned| {
                let is_over = planned.until <= now;
                if is_over {
                    planned.what.end(&mut simulation);
                }
                !is_over
            });
            while let Some(planned) = next.next_if(|planned| planned.from <= now) {
                planned.what.begin(&mut simulation);
                running.push(planned);
                history.killed();
            }
            if now > DISTURBED {
                self.store.set_failing(false);
            }
        }
        let took = simulation.elapsed();
        drop(simulation);
        history.went_wrong(self.store.faults());
        history.note(format!("{} simulated seconds", took.as_secs()));
        let copy = tempfile::tempdir().unwrap();
        self.store.download(copy.path());
        history.ends_as(undisturbed, copy.path());
        store::unshare(self.store.url());
        took
    }

    /// Returns the machines: coordinators, workers, and the one of the user.
    fn machines(&self) -> Sim<'static> {
        let mut simulation = Builder::new()
            .rng_seed(self.seed)
            .simulation_duration(LIMIT)
            .tick_duration(Duration::from_millis(50))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(200))
            .tcp_capacity(4096)
            .build();
        let url = self.store.url().to_owned();
        for name in &self.coordinators {
            let url = url.clone();
            simulation.host(name.as_str(), move || coordinator(url.clone()));
        }
        for (number, name) in self.workers.iter().enumerate() {
            let config = whence_worker::Config {
                orphan_grace: Duration::from_secs(15),
                spool: Some(self.spool.path().join(name)),
                simulated: Some(COMPUTING),
                ..whence_worker::Config::default()
            };
            let mut dialled = self.coordinators.clone();
            dialled.rotate_left(number % COORDINATORS);
            simulation.host(name.as_str(), move || {
                worker(config.clone(), dialled.clone())
            });
        }
        let (spec, coordinators) = (self.spec.clone(), self.coordinators.clone());
        simulation.client("user", async move {
            wait_for(&spec, &coordinators).await;
            Ok(())
        });
        simulation
    }
}

/// A coordinator under a supervisor that starts it again whenever it ends.
async fn coordinator(url: String) -> turmoil::Result {
    loop {
        let config = Config {
            heartbeat_interval: Duration::from_secs(1),
            lease_ttl: Duration::from_secs(5),
            poll_interval: Duration::from_secs(3),
            ..Config::new(&url)
        };
        let serving = async {
            let coordinator = Coordinator::start(config).await.ok()?;
            let incoming = network::listen().await.ok()?;
            let forever = CancellationToken::new();
            let served = server::serve(coordinator, incoming, Access::default(), forever);
            served.await.ok()
        };
        let _: Option<()> = Box::pin(serving).await;
        // Long enough for the other one to get something done.
        sleep(Duration::from_secs(15)).await;
    }
}

/// A worker under a supervisor that starts it again whenever it ends, with the next coordinator.
async fn worker(config: whence_worker::Config, coordinators: Vec<String>) -> turmoil::Result {
    for host in coordinators.iter().cycle() {
        let coordinator = whence_worker::Coordinator::behind(network::channel(host), host);
        let forever = CancellationToken::new();
        let _ = Box::pin(whence_worker::run(config.clone(), coordinator, forever)).await;
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// Submits a job to whichever coordinator takes it, and asks until it is sealed.
async fn wait_for(spec: &JobSpec, coordinators: &[String]) {
    let spec_json = serde_json::to_string(spec).unwrap();
    for host in coordinators.iter().cycle() {
        sleep(Duration::from_secs(1)).await;
        let asked = Box::pin(ask(network::channel(host), &spec_json));
        let until = Instant::now() + Duration::from_secs(20);
        if let Ok(Ok(JobState::Sealed)) = tokio::time::timeout_at(until, asked).await {
            return;
        }
    }
}

/// Submits a job that may be there already, and returns its state.
async fn ask(
    channel: tonic::transport::Channel,
    spec_json: &str,
) -> Result<JobState, tonic::Status> {
    let mut client = JobServiceClient::new(channel);
    let spec_json = spec_json.to_owned();
    let submitted = client.submit_job(SubmitJobRequest { spec_json }).await?;
    let job_id = submitted.into_inner().job_id;
    let found = client.get_job(GetJobRequest { job_id }).await?.into_inner();
    Ok(found.status.unwrap_or_default().state())
}
