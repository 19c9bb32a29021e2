//! What runs in this process for a job: a coordinator, and the workers that report to it.

use std::sync::Arc;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use whence_coordinator::Coordinator;
use whence_coordinator::access::Access;
use whence_coordinator::server::serve;

use crate::Failure;

/// A coordinator that serves, and its workers.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// Stops the workers. The coordinator has its own token because it must outlive them: they
    /// report their results to it while they drain.
    workers_end: CancellationToken,
    coordinator_ends: CancellationToken,
    workers: JoinSet<Result<(), Failure>>,
    coordinator: JoinSet<Result<(), Failure>>,
}

impl Pipeline {
    /// Starts to serve `coordinator` over `incoming` connections, without any workers.
    pub(crate) fn start<C>(
        coordinator: Arc<Coordinator>,
        incoming: impl Stream<Item = std::io::Result<C>> + Send + 'static,
    ) -> Self
    where
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let coordinator_ends = CancellationToken::new();
        let mut serving = JoinSet::new();
        let ends = coordinator_ends.clone();
        serving
            .spawn(async move { Ok(serve(coordinator, incoming, Access::default(), ends).await?) });
        Self {
            workers_end: CancellationToken::new(),
            coordinator_ends,
            workers: JoinSet::new(),
            coordinator: serving,
        }
    }

    /// Starts a worker, which ends when the token that it is given is canceled.
    pub(crate) fn add_worker<W>(&mut self, worker: impl FnOnce(CancellationToken) -> W)
    where
        W: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.workers.spawn(worker(self.workers_end.clone()));
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

    /// Drains the workers, then ends the coordinator. The server waits for open calls, which end when
    /// `client`, the last one of it, is dropped.
    pub(crate) async fn stop(mut self, client: impl Sized) {
        self.drain().await;
        self.coordinator_ends.cancel();
        drop(client);
        while self.coordinator.join_next().await.is_some() {}
    }
}
