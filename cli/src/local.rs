//! The whole pipeline in one process: a coordinator, workers and the calls between them.
//!
//! This is the same code that runs on a cluster, except that connections are in-memory pipes.
//! Stopping drains the workers: finished rows are committed and unfinished work is given back, so
//! running the same command again resumes.

use tonic::transport::Channel;
use whence_coordinator::config::Scope;
use whence_coordinator::server::in_process;
use whence_coordinator::{Config, Coordinator};

use crate::Failure;
use crate::pipeline::Pipeline;
use crate::remote::Jobs;

/// A running pipeline.
#[derive(Debug)]
pub(crate) struct Local {
    channel: Channel,
    pipeline: Pipeline,
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
        Ok(Self {
            channel,
            pipeline: Pipeline::start(coordinator, incoming),
            root,
        })
    }

    /// Starts `count` workers.
    pub(crate) fn add_workers(&mut self, count: u16, config: &whence_worker::Config) {
        for _ in 0..count {
            let coordinator =
                whence_worker::Coordinator::behind(self.channel.clone(), "in-process");
            let config = config.clone();
            self.pipeline.add_worker(move |ends| async move {
                Ok(whence_worker::run(config, coordinator, ends).await?)
            });
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
        self.pipeline.failed().await
    }

    /// Stops the workers and waits for them. Finished rows are committed; the rest is given back.
    pub(crate) async fn drain(&mut self) {
        self.pipeline.drain().await;
    }

    /// Drains the workers, then ends the coordinator.
    pub(crate) async fn stop(self) {
        self.pipeline.stop(self.channel).await;
    }
}
