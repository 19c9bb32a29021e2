//! The whole pipeline in one process: a coordinator, workers and the calls between them.
//!
//! This is the same code that runs on a cluster, except that connections are in-memory pipes.
//! Stopping drains the workers: finished rows are committed and unfinished work is given back, so
//! running the same command again resumes.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use whence_coordinator::access::Access;
use whence_coordinator::config::Scope;
use whence_coordinator::server::{in_process, serve};
use whence_coordinator::{Config, Coordinator};

use crate::Failure;
use crate::remote::Jobs;

/// A running pipeline.
#[derive(Debug)]
pub(crate) struct Local {
    channel: Channel,
    /// Stops the workers. The coordinator has its own token because it must outlive them: they
    /// report their results to it while they drain.
    workers_end: CancellationToken,
    coordinator_ends: CancellationToken,
    workers: JoinSet<Result<(), Failure>>,
    coordinator: JoinSet<Result<(), Failure>>,
    root: String,
}

impl Local {
    /// Starts a coordinator for the storage root at `root`, without any workers.
    ///
    /// Fails if the root cannot be used.
    pub(crate) async fn start(root: &str) -> Result<Self, Failure> {
        let coordinator = Coordinator::start(Config {
            // Run only jobs submitted here: another coordinator may be serving the same root.
            scope: Scope::Submitted,
            ..Config::new(root)
        });
        let coordinator = coordinator.await?;
        let root = coordinator.store_url().to_owned();
        let (channel, incoming) = in_process();
        let coordinator_ends = CancellationToken::new();
        let mut serving = JoinSet::new();
        let ends = coordinator_ends.clone();
        serving
            .spawn(async move { Ok(serve(coordinator, incoming, Access::default(), ends).await?) });
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

    /// Returns a client of the coordinator.
    pub(crate) fn jobs(&self) -> Jobs {
        Jobs::over(self.channel.clone())
    }

    /// Returns the URL of the storage root.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// Waits until a worker or the coordinator ends by itself, which is always a failure.
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

    /// Stops the workers and waits for them. Finished rows are committed; the rest is given back.
    pub(crate) async fn drain(&mut self) {
        self.workers_end.cancel();
        while self.workers.join_next().await.is_some() {}
    }

    /// Drains the workers, then ends the coordinator.
    pub(crate) async fn stop(mut self) {
        self.drain().await;
        self.coordinator_ends.cancel();
        // The server waits for open calls, which end when the last channel to it is dropped.
        drop(self.channel);
        while self.coordinator.join_next().await.is_some() {}
    }
}
