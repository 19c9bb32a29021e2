//! A coordinator for tests, inside the test's process. It answers as its script says and records
//! its requests.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::Stream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use whence_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use whence_proto::v1::{
    AcquireShardsRequest, AcquireShardsResponse, AttemptRef, CompleteShardRequest,
    CompleteShardResponse, FailShardRequest, FailShardResponse, FetchShardRequest,
    FetchShardResponse, HeartbeatRequest, HeartbeatResponse, RegisterRequest, RegisterResponse,
    ReleaseShardsRequest, ReleaseShardsResponse,
};

use super::Coordinator;

/// The requests it received, and the answers it will give.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Failures with which the next calls of each kind are answered, in order. Later calls succeed.
    pub(super) register_failures: VecDeque<Status>,
    pub(super) acquire_failures: VecDeque<Status>,
    pub(super) report_failures: VecDeque<Status>,
    /// Leases of the next answer. Later requests for leases are never answered.
    pub(super) leases: Vec<whence_proto::v1::Lease>,
    /// Attempts that every heartbeat is told to stop.
    pub(super) stop: Vec<AttemptRef>,
    /// URL of the storage root that it names when a worker registers.
    pub(super) store_url: String,

    pub(super) registered: Vec<RegisterRequest>,
    pub(super) num_acquired: usize,
    pub(super) heartbeats: Vec<HeartbeatRequest>,
    pub(super) completed: Vec<CompleteShardRequest>,
    pub(super) failed: Vec<FailShardRequest>,
    pub(super) released: Vec<ReleaseShardsRequest>,
}

/// The coordinator. Clones share their script.
#[derive(Debug, Clone, Default)]
pub(super) struct FakeCoordinator {
    script: Arc<Mutex<Script>>,
    asked: Arc<tokio::sync::Notify>,
}

impl FakeCoordinator {
    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Waits until the script and the requests so far satisfy `is_enough`.
    pub(super) async fn until(&self, is_enough: impl Fn(&Script) -> bool) {
        loop {
            let asked = self.asked.notified();
            if is_enough(&self.script()) {
                return;
            }
            asked.await;
        }
    }

    /// Starts serving in `tasks`, over in-memory connections. Returns how to reach it.
    pub(super) fn serve(&self, tasks: &mut JoinSet<()>) -> Coordinator {
        let (sender, incoming) = mpsc::channel(1);
        let connect = tower::service_fn(move |_| {
            let sender = sender.clone();
            async move {
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                sender.send(Ok::<_, std::io::Error>(theirs)).await.unwrap();
                Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(ours))
            }
        });
        let server = Server::builder().add_service(WorkerServiceServer::new(self.clone()));
        let serving = server.serve_with_incoming(ReceiverStream::new(incoming));
        tasks.spawn(async { serving.await.unwrap() });
        let channel = Endpoint::from_static("http://fake").connect_with_connector_lazy(connect);
        Coordinator::behind(channel, "http://fake")
    }

    /// Records a call, and fails it if the script says so.
    fn hear(
        &self,
        remember: impl FnOnce(&mut Script),
        failures: fn(&mut Script) -> &mut VecDeque<Status>,
    ) -> Result<(), Status> {
        let failure = {
            let mut script = self.script();
            remember(&mut script);
            failures(&mut script).pop_front()
        };
        self.asked.notify_waiters();
        failure.map_or(Ok(()), Err)
    }
}

#[tonic::async_trait]
impl WorkerService for FakeCoordinator {
    async fn register(
        &self,
        request: Request<RegisterRequest>,
    ) -> Result<Response<RegisterResponse>, Status> {
        let request = request.into_inner();
        self.hear(
            |script| script.registered.push(request),
            |script| &mut script.register_failures,
        )?;
        Ok(Response::new(RegisterResponse {
            store_url: self.script().store_url.clone(),
            epoch: 1,
            heartbeat_interval: Duration::from_secs(5).try_into().ok(),
            stop: Vec::new(),
        }))
    }

    async fn acquire_shards(
        &self,
        _request: Request<AcquireShardsRequest>,
    ) -> Result<Response<AcquireShardsResponse>, Status> {
        self.hear(
            |script| script.num_acquired += 1,
            |script| &mut script.acquire_failures,
        )?;
        let leases = std::mem::take(&mut self.script().leases);
        if leases.is_empty() {
            // A long poll that never ends.
            std::future::pending::<()>().await;
        }
        Ok(Response::new(AcquireShardsResponse {
            leases,
            draining: false,
        }))
    }

    type FetchShardStream = Pin<Box<dyn Stream<Item = Result<FetchShardResponse, Status>> + Send>>;

    async fn fetch_shard(
        &self,
        _request: Request<FetchShardRequest>,
    ) -> Result<Response<Self::FetchShardStream>, Status> {
        // The rows never arrive, so the task runs until it is stopped.
        Ok(Response::new(Box::pin(futures::stream::pending())))
    }

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        let request = request.into_inner();
        let stop = self.script().stop.clone();
        self.hear(
            |script| script.heartbeats.push(request),
            |script| &mut script.report_failures,
        )?;
        Ok(Response::new(HeartbeatResponse { epoch: 1, stop }))
    }

    async fn complete_shard(
        &self,
        request: Request<CompleteShardRequest>,
    ) -> Result<Response<CompleteShardResponse>, Status> {
        let request = request.into_inner();
        self.hear(
            |script| script.completed.push(request),
            |script| &mut script.report_failures,
        )?;
        Ok(Response::new(CompleteShardResponse {}))
    }

    async fn fail_shard(
        &self,
        request: Request<FailShardRequest>,
    ) -> Result<Response<FailShardResponse>, Status> {
        let request = request.into_inner();
        self.hear(
            |script| script.failed.push(request),
            |script| &mut script.report_failures,
        )?;
        Ok(Response::new(FailShardResponse {}))
    }

    async fn release_shards(
        &self,
        request: Request<ReleaseShardsRequest>,
    ) -> Result<Response<ReleaseShardsResponse>, Status> {
        let request = request.into_inner();
        self.hear(
            |script| script.released.push(request),
            |script| &mut script.report_failures,
        )?;
        Ok(Response::new(ReleaseShardsResponse {}))
    }
}
