//! A coordinator for tests, inside the test's process. It answers as its script says and records
//! its requests.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Status};
use whence_proto::Answer;
use whence_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};
use whence_proto::v1::{self, AttemptRef};

use super::Coordinator;

/// The requests it received, and the answers it will give.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Failures with which the next calls of each kind are answered, in order. Later calls succeed.
    pub(super) register_failures: VecDeque<Status>,
    pub(super) acquire_failures: VecDeque<Status>,
    pub(super) report_failures: VecDeque<Status>,
    /// Leases of the next answer. A request for leases waits until there are some.
    pub(super) leases: Vec<v1::Lease>,
    /// How many of the next requests for leases are told that the coordinator shuts down.
    pub(super) num_draining: usize,
    /// Rows of slots, each as one Arrow IPC stream. Those of other slots never arrive.
    pub(super) shards: BTreeMap<String, Vec<u8>>,
    /// Attempts that every worker that registers and every heartbeat is told to stop.
    pub(super) stop: Vec<AttemptRef>,
    /// URL of the storage root that it names when a worker registers.
    pub(super) store_url: String,
    /// How often it asks for heartbeats; every five seconds when absent.
    pub(super) heartbeat_interval: Option<Duration>,

    pub(super) registered: Vec<v1::RegisterRequest>,
    pub(super) acquired: Vec<v1::AcquireShardsRequest>,
    pub(super) heartbeats: Vec<v1::HeartbeatRequest>,
    pub(super) completed: Vec<v1::CompleteShardRequest>,
    pub(super) failed: Vec<v1::FailShardRequest>,
    pub(super) released: Vec<v1::ReleaseShardsRequest>,
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
    fn hear<T: Clone>(
        &self,
        request: &Request<T>,
        record: fn(&mut Script) -> &mut Vec<T>,
        failures: fn(&mut Script) -> &mut VecDeque<Status>,
    ) -> Result<(), Status> {
        let failure = {
            let mut script = self.script();
            record(&mut script).push(request.get_ref().clone());
            failures(&mut script).pop_front()
        };
        self.asked.notify_waiters();
        failure.map_or(Ok(()), Err)
    }
}

fn register_failures(script: &mut Script) -> &mut VecDeque<Status> {
    &mut script.register_failures
}

fn acquire_failures(script: &mut Script) -> &mut VecDeque<Status> {
    &mut script.acquire_failures
}

fn report_failures(script: &mut Script) -> &mut VecDeque<Status> {
    &mut script.report_failures
}

#[tonic::async_trait]
impl WorkerService for FakeCoordinator {
    async fn register(
        &self,
        request: Request<v1::RegisterRequest>,
    ) -> Answer<v1::RegisterResponse> {
        self.hear(&request, |script| &mut script.registered, register_failures)?;
        let script = self.script();
        let interval = script.heartbeat_interval.unwrap_or(Duration::from_secs(5));
        let answer = v1::RegisterResponse {
            store_url: script.store_url.clone(),
            epoch: 1,
            heartbeat_interval: interval.try_into().ok(),
            stop: script.stop.clone(),
        };
        Ok(answer.into())
    }

    async fn acquire_shards(
        &self,
        request: Request<v1::AcquireShardsRequest>,
    ) -> Answer<v1::AcquireShardsResponse> {
        self.hear(&request, |script| &mut script.acquired, acquire_failures)?;
        let left = self.script().num_draining.checked_sub(1);
        if let Some(left) = left {
            self.script().num_draining = left;
        } else {
            self.until(|script| !script.leases.is_empty()).await;
        }
        let answer = v1::AcquireShardsResponse {
            leases: std::mem::take(&mut self.script().leases),
            draining: left.is_some(),
        };
        Ok(answer.into())
    }

    type FetchShardStream =
        Pin<Box<dyn Stream<Item = Result<v1::FetchShardResponse, Status>> + Send>>;

    async fn fetch_shard(
        &self,
        request: Request<v1::FetchShardRequest>,
    ) -> Answer<Self::FetchShardStream> {
        let attempt = request.into_inner().attempt.unwrap_or_default();
        let rows: Self::FetchShardStream = match self.script().shards.get(&attempt.slot) {
            Some(ipc) => {
                let pieces: Vec<_> = ipc.chunks(100).map(<[u8]>::to_vec).collect();
                let response = |ipc| Ok(v1::FetchShardResponse { ipc });
                Box::pin(stream::iter(pieces).map(response))
            }
            None => Box::pin(stream::pending()),
        };
        Ok(rows.into())
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Answer<v1::HeartbeatResponse> {
        let stop = self.script().stop.clone();
        self.hear(&request, |script| &mut script.heartbeats, report_failures)?;
        Ok(v1::HeartbeatResponse { epoch: 1, stop }.into())
    }

    async fn complete_shard(
        &self,
        request: Request<v1::CompleteShardRequest>,
    ) -> Answer<v1::CompleteShardResponse> {
        self.hear(&request, |script| &mut script.completed, report_failures)?;
        Ok(v1::CompleteShardResponse {}.into())
    }

    async fn fail_shard(
        &self,
        request: Request<v1::FailShardRequest>,
    ) -> Answer<v1::FailShardResponse> {
        self.hear(&request, |script| &mut script.failed, report_failures)?;
        Ok(v1::FailShardResponse {}.into())
    }

    async fn release_shards(
        &self,
        request: Request<v1::ReleaseShardsRequest>,
    ) -> Answer<v1::ReleaseShardsResponse> {
        self.hear(&request, |script| &mut script.released, report_failures)?;
        Ok(v1::ReleaseShardsResponse {}.into())
    }
}
