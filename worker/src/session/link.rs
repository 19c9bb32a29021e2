//! A worker's calls to its coordinator. Each call has a deadline, and its answer is checked.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use whence_proto::access::{AccessError, AccessOptions, Connection, Credentials, connection};
use whence_proto::v1::worker_service_client::WorkerServiceClient;
use whence_proto::v1::{self, AttemptRef};
use whence_schemas::job::NUMERICS_VERSION;
use whence_schemas::{Epoch, WorkerClass, WorkerId};

/// How long the coordinator may hold a request for leases until it has some (long polling).
const ACQUIRE_WAIT: Duration = Duration::from_secs(20);
/// Deadline of every other call.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Limit for one message. Messages carry shards and specifications, and tonic's default of 4 MiB is
/// too small for long texts.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// The coordinator that a worker works for.
#[derive(Debug, Clone)]
pub struct Coordinator {
    connection: Connection,
    address: Arc<str>,
}

impl Coordinator {
    /// Returns the coordinator that listens at `endpoint` and is reached as `access` says. Nothing is
    /// connected before the first call.
    ///
    /// Fails if a file of `access` cannot be used, or a token would be sent unencrypted.
    pub fn at(endpoint: Endpoint, access: &AccessOptions) -> Result<Self, AccessError> {
        let (endpoint, credentials) = access.apply(endpoint)?;
        let connection = connection(endpoint.connect_lazy(), credentials);
        Ok(Self::over(connection, &endpoint.uri().to_string()))
    }

    /// Returns the coordinator behind `channel`, which messages to the user call `address`.
    pub fn behind(channel: Channel, address: &str) -> Self {
        Self::over(connection(channel, Credentials::default()), address)
    }

    fn over(connection: Connection, address: &str) -> Self {
        Self {
            connection,
            address: address.trim_end_matches('/').into(),
        }
    }
}

/// A connection to the coordinator, with the worker's id. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Link {
    client: WorkerServiceClient<Connection>,
    address: Arc<str>,
    worker: WorkerId,
    class: v1::WorkerClass,
}

/// The coordinator's answer to a worker that registers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Registered {
    /// URL of the storage root.
    pub(super) store_url: String,
    pub(super) epoch: Epoch,
    pub(super) heartbeat_interval: Duration,
    /// Attempts to stop, because their results are no longer needed.
    pub(super) stop: Vec<AttemptRef>,
}

impl Link {
    pub(super) fn new(coordinator: Coordinator, worker: WorkerId, class: WorkerClass) -> Self {
        let client = WorkerServiceClient::new(coordinator.connection);
        Self {
            client: client.max_decoding_message_size(MAX_MESSAGE_BYTES),
            address: coordinator.address,
            worker,
            class: v1::WorkerClass {
                device: class.device,
                numerics: class.numerics,
                memory_bytes: class.memory,
            },
        }
    }

    /// Returns the address by which messages name the coordinator.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the client, for streaming calls, which have no single answer to wait for.
    pub(super) fn client(&self) -> WorkerServiceClient<Connection> {
        self.client.clone()
    }

    /// Registers the worker. `in_flight` are the attempts it is still running, so that a new
    /// coordinator knows of them.
    pub(super) async fn register(&self, in_flight: Vec<AttemptRef>) -> Result<Registered, Status> {
        let request = v1::RegisterRequest {
            worker_id: self.worker.to_string(),
            protocol_version: whence_proto::PROTOCOL_VERSION,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            numerics_version: NUMERICS_VERSION,
            worker_class: Some(self.class.clone()),
            in_flight,
        };
        registered(in_time(CALL_TIMEOUT, self.client().register(request)).await?)
    }

    /// Asks for at most `credits` leases. `loaded_models` are digests of the models in memory.
    pub(super) async fn acquire(
        &self,
        credits: usize,
        loaded_models: Vec<String>,
    ) -> Result<v1::AcquireShardsResponse, Status> {
        let request = v1::AcquireShardsRequest {
            worker_id: self.worker.to_string(),
            credits: credits as u32,
            wait: ACQUIRE_WAIT.try_into().ok(),
            loaded_models,
            worker_class: Some(self.class.clone()),
        };
        // The wait is spent at the coordinator on purpose; only what comes on top of it counts as
        // slow.
        let deadline = ACQUIRE_WAIT + CALL_TIMEOUT;
        in_time(deadline, self.client().acquire_shards(request)).await
    }

    /// Renews the leases of the attempts in `progress`. Returns the attempts to stop.
    pub(super) async fn heartbeat(
        &self,
        progress: Vec<v1::AttemptProgress>,
    ) -> Result<Vec<AttemptRef>, Status> {
        let request = v1::HeartbeatRequest {
            worker_id: self.worker.to_string(),
            progress,
        };
        let answer = in_time(CALL_TIMEOUT, self.client().heartbeat(request)).await?;
        Ok(answer.stop)
    }

    pub(super) async fn complete(&self, request: v1::CompleteShardRequest) -> Result<(), Status> {
        let call = in_time(CALL_TIMEOUT, self.client().complete_shard(request)).await;
        call.map(drop)
    }

    pub(super) async fn fail(&self, request: v1::FailShardRequest) -> Result<(), Status> {
        let call = in_time(CALL_TIMEOUT, self.client().fail_shard(request)).await;
        call.map(drop)
    }

    pub(super) async fn release(&self, attempts: Vec<AttemptRef>) -> Result<(), Status> {
        let request = v1::ReleaseShardsRequest {
            worker_id: self.worker.to_string(),
            attempts,
        };
        let call = in_time(CALL_TIMEOUT, self.client().release_shards(request)).await;
        call.map(drop)
    }
}

/// Checks the coordinator's answer. Fails, with the name of the field, if a field that the worker
/// needs is missing or unusable.
fn registered(response: v1::RegisterResponse) -> Result<Registered, Status> {
    let interval = response
        .heartbeat_interval
        .and_then(|interval| Duration::try_from(interval).ok())
        .filter(|interval| !interval.is_zero());
    let heartbeat_interval = interval.ok_or_else(|| {
        Status::invalid_argument("the coordinator's answer has no usable `heartbeat_interval`")
    })?;
    if response.store_url.is_empty() {
        let message = "the coordinator's answer has no `store_url`";
        return Err(Status::invalid_argument(message));
    }
    Ok(Registered {
        store_url: response.store_url,
        epoch: Epoch(response.epoch),
        heartbeat_interval,
        stop: response.stop,
    })
}

/// Makes `call`. Fails with `DEADLINE_EXCEEDED` if it takes longer than `deadline`.
async fn in_time<T>(
    deadline: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match timeout(deadline, call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("the coordinator did not answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> v1::RegisterResponse {
        v1::RegisterResponse {
            store_url: "file:///root".to_owned(),
            epoch: 4,
            heartbeat_interval: Duration::from_secs(5).try_into().ok(),
            stop: Vec::new(),
        }
    }

    #[test]
    fn an_answer_without_what_a_worker_needs_is_refused_by_name() {
        let checked = registered(answer()).unwrap();
        assert_eq!(checked.heartbeat_interval, Duration::from_secs(5));
        for interval in [None, Some(prost_types::Duration::default())] {
            let refused = registered(v1::RegisterResponse {
                heartbeat_interval: interval,
                ..answer()
            });
            let message = refused.unwrap_err().message().to_owned();
            assert!(message.contains("`heartbeat_interval`"), "{message}");
        }
        let refused = registered(v1::RegisterResponse {
            store_url: String::new(),
            ..answer()
        });
        let message = refused.unwrap_err().message().to_owned();
        assert!(message.contains("`store_url`"), "{message}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_answers_ends_and_may_pass() {
        let silence = std::future::pending::<Result<tonic::Response<()>, Status>>();
        let status = in_time(CALL_TIMEOUT, silence).await.unwrap_err();
        let kind = whence_proto::status::kind(&status);
        assert_eq!(kind, whence_schemas::ErrorKind::Unavailable);
    }
}
