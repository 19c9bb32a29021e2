//! The whole pipeline in one process: a coordinator, workers and the calls between them.
//!
//! The same code as on a cluster; only the connections are pipes in memory. Stopping it drains:
//! what a worker has computed is committed or given back, and the same command resumes.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use whence_coordinator::config::Scope;
use whence_coordinator::server::{in_process, serve};
use whence_coordinator::{Config, Coordinator};

use crate::Failure;
use crate::remote::Jobs;

/// A running pipeline.
#[derive(Debug)]
pub(crate) struct Local {
    channel: Channel,
    /// Ends the workers; the coordinator outlives them, so that they can report.
    workers_end: CancellationToken,
    coordinator_ends: CancellationToken,
    workers: JoinSet<Result<(), Failure>>,
    coordinator: JoinSet<Result<(), Failure>>,
    root: String,
}

impl Local {
    /// Starts a coordinator that serves the storage root at `root`. No worker yet.
    ///
    /// Fails if the root cannot be used.
    pub(crate) async fn start(root: &str) -> Result<Self, Failure> {
        let coordinator = Coordinator::start(Config {
            scope: Scope::Submitted,
            ..Config::new(root)
        });
        let coordinator = coordinator.await?;
        let root = coordinator.store_url().to_owned();
        let (channel, incoming) = in_process();
        let coordinator_ends = CancellationToken::new();
        let mut serving = JoinSet::new();
        let ends = coordinator_ends.clone();
        serving.spawn(async move { Ok(serve(coordinator, incoming, ends).await?) });
        Ok(Self {
            channel,
            workers_end: CancellationToken::new(),
            coordinator_ends,
            workers: JoinSet::new(),
            coordinator: serving,
            root,
        })
    }

    /// Starts `count` workers.
    pub(crate) fn add_workers(&mut self, count: u16, config: &whence_worker::Config) {
        for _ in 0..count {
            let coordinator =
                whence_worker::Coordinator::behind(self.channel.clone(), "in-process");
            let config = config.clone();
            let ends = self.workers_end.clone();
            self.workers
                .spawn(async move { Ok(whence_worker::run(config, coordinator, ends).await?) });
        }
    }

    /// Returns the way to the coordinator.
    pub(crate) fn jobs(&self) -> Jobs {
        Jobs::over(self.channel.clone())
    }

    /// Returns the URL of the storage root.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Waits for the first part that ends by itself: none should.
    pub(crate) async fn failed(&mut self) -> Failure {
        let ended = tokio::select! {
            Some(ended) = self.workers.join_next() => ended,
            Some(ended) = self.coordinator.join_next() => ended,
            else => return Failure::run("nothing runs"),
        };
        match ended {
            Ok(Err(failure)) => failure,
            Ok(Ok(())) => Failure::run("a part of the pipeline ended early"),
            Err(panicked) => Failure::run(format!("a part of the pipeline failed: {panicked}")),
        }
    }

    /// Ends the workers: what they have computed is committed, what they have not is given back.
    pub(crate) async fn drain(&mut self) {
        self.workers_end.cancel();
        while self.workers.join_next().await.is_some() {}
    }

    /// Drains the workers, then ends the coordinator.
    pub(crate) async fn stop(mut self) {
        self.drain().await;
        self.coordinator_ends.cancel();
        // Open calls keep the server; they end with the last way to it.
        drop(self.channel);
        while self.coordinator.join_next().await.is_some() {}
    }
}
