//! One of several processes that share a job without a coordinator between them.
//!
//! It is a cluster of its own: a coordinator for this one job, and one worker process that dials it over
//! a socket in a private folder. So leases, splits and evidence against rows are those of any cluster.
//! The processes know of each other only through the storage root.

use std::time::Duration;

use tempfile::TempDir;
use tonic::transport::Endpoint;
use whence_coordinator::config::Scope;
use whence_coordinator::job::Share;
use whence_coordinator::server::listen_at;
use whence_coordinator::{Config, Coordinator};

use crate::Failure;
use crate::job_url::JobUrl;
use crate::pipeline::Pipeline;
use crate::remote::Jobs;
use crate::supervisor::keep_running;

/// How often the worker renews its leases, and how long they last. The worker is on this machine, so its
/// end is noticed soon.
const HEARTBEAT: Duration = Duration::from_secs(1);
const LEASE_TTL: Duration = Duration::from_secs(10);
/// How often the table is looked at for what the others have done.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// How long the worker goes on if this process was killed.
const ORPHAN_GRACE: Duration = Duration::from_secs(30);

/// A running share of a job.
#[derive(Debug)]
pub(crate) struct Sharing {
    jobs: Jobs,
    pipeline: Pipeline,
    /// Holds the socket.
    _folder: TempDir,
}

impl Sharing {
    /// Starts to work on a share of the job at `url`.
    ///
    /// Fails if the storage root cannot be used or has no such job, and if the job was canceled or
    /// failed for good.
    pub(crate) async fn start(
        url: &JobUrl,
        share: Share,
        worker: &whence_worker::Config,
    ) -> Result<Self, Failure> {
        let coordinator = Coordinator::start(Config {
            scope: Scope::Submitted,
            share: Some(share),
            heartbeat_interval: HEARTBEAT,
            lease_ttl: LEASE_TTL,
            poll_interval: POLL_EVERY,
            ..Config::new(&url.root)
        });
        let coordinator = coordinator.await?;
        coordinator.jobs().resume(&url.id).await?;
        let folder = private_folder()?;
        let socket = folder.path().join("socket");
        let incoming = listen_at(&socket)?;
        let address = format!("unix://{}", socket.display());
        let endpoint = Endpoint::from_shared(address.clone());
        let endpoint = endpoint.map_err(|error| Failure::run(format!("`{address}`: {error}")))?;
        let mut pipeline = Pipeline::start(coordinator, incoming);
        let config = whence_worker::Config {
            orphan_grace: worker.orphan_grace.min(ORPHAN_GRACE),
            ..worker.clone()
        };
        let mut arguments = vec!["worker".to_owned(), "--coordinator".to_owned(), address];
        arguments.extend(config.arguments());
        pipeline.add_worker(move |ends| async move { keep_running(&arguments, ends).await });
        Ok(Self {
            jobs: Jobs::over(endpoint.connect_lazy()),
            pipeline,
            _folder: folder,
        })
    }

    /// Returns a client of the coordinator.
    pub(crate) fn jobs(&self) -> Jobs {
        self.jobs.clone()
    }

    /// Waits until the worker cannot go on or the coordinator ends, which are failures.
    pub(crate) async fn failed(&mut self) -> Failure {
        self.pipeline.failed().await
    }

    /// Stops the worker and waits for it. Finished rows are committed; the rest is given back.
    pub(crate) async fn drain(&mut self) {
        self.pipeline.drain().await;
    }

    /// Drains the worker, then ends the coordinator.
    pub(crate) async fn stop(self) {
        self.pipeline.stop(self.jobs).await;
    }
}

/// Makes a folder that only this user can enter. The path of a socket has at most 107 bytes, so a long
/// path for temporary files is not used.
fn private_folder() -> Result<TempDir, Failure> {
    const LONGEST: usize = 80;
    let builder = || {
        let mut builder = tempfile::Builder::new();
        builder.prefix("whence-");
        builder
    };
    let folder = if std::env::temp_dir().as_os_str().len() <= LONGEST {
        builder().tempdir()
    } else {
        builder().tempdir_in("/tmp")
    };
    folder.map_err(|error| Failure::run(format!("make a folder for a socket: {error}")))
}
