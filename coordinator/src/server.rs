//! Serves a coordinator: over TCP for a cluster, or in memory within one process. Both offer the
//! same gRPC services.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream, UnixListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server, ServerTlsConfig};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use whence_proto::v1::job_service_server::JobServiceServer;
use whence_proto::v1::worker_service_server::WorkerServiceServer;
use whence_telemetry::ServedCalls;

use crate::access::{Access, Guard};
use crate::service::{Service, jobs, workers};
use crate::{Coordinator, Error};

/// How often a connection is pinged, and how long to wait for the answer. A peer that vanished
/// without closing its connection is noticed within half a minute.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests in progress have after a shutdown began. Connections that are still open then are
/// cut: a peer that says nothing must not keep a coordinator from ending.
const DRAINED_WITHIN: Duration = Duration::from_secs(10);
/// Calls in progress over one connection. A worker needs about six, and a long poll is one.
const CALLS_AT_ONCE: u32 = 256;
/// Buffer size of an in-memory connection: enough for one piece of a shard.
const PIPE_BYTES: usize = 1 << 20;

/// The services, as health checks name them.
const JOB_SERVICE: &str = JobServiceServer::<Service>::NAME;
const WORKER_SERVICE: &str = WorkerServiceServer::<Service>::NAME;

/// Serves `coordinator` over `incoming` connections and does its background work, until `shutdown`.
/// `access` says what callers must show.
///
/// On shutdown it hands out no more slots and finishes the requests in progress, for at most ten
/// seconds. Fails if the connections fail, or if a newer coordinator serves the root.
pub async fn serve<C>(
    coordinator: Arc<Coordinator>,
    incoming: impl Stream<Item = std::io::Result<C>>,
    access: Access,
    shutdown: CancellationToken,
) -> Result<(), Error>
where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let (health, health_service) = tonic_health::server::health_reporter();
    let services = [JOB_SERVICE, WORKER_SERVICE, &coordinator.core.served_as].map(str::to_owned);
    for service in &services {
        health
            .set_service_status(service, ServingStatus::Serving)
            .await;
    }
    // A token of our own: when the background work ends, it must stop the server too, but must not
    // cancel the caller's token.
    let stop = shutdown.child_token();
    let draining = drained(stop.clone(), Arc::clone(&coordinator), health, services);
    let server = bounded(access.tls)?
        .layer(ServedCalls)
        .layer(Guard(access.tokens))
        .add_service(health_service)
        .add_service(reflection()?)
        .add_service(jobs(&coordinator))
        .add_service(workers(&coordinator))
        .serve_with_incoming_shutdown(incoming, draining);
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAINED_WITHIN).await;
    };
    let serving = async {
        let served = tokio::select! {
            served = server => served,
            () = overdue => {
                tracing::warn!("connections that are still open are cut");
                Ok(())
            }
        };
        served.map_err(|error| Error::Listen {
            address: "the given connections".to_owned(),
            reason: error.to_string(),
        })
    };
    let reconciling = async {
        let reconciled = coordinator.reconciler().run(stop.clone()).await;
        stop.cancel();
        reconciled
    };
    tokio::try_join!(serving, reconciling).map(|_| ())
}

/// Waits for `stop`, and then lets the coordinator hand out nothing more and says that it no longer serves.
async fn drained(
    stop: CancellationToken,
    coordinator: Arc<Coordinator>,
    health: HealthReporter,
    services: [String; 3],
) {
    stop.cancelled().await;
    coordinator.drain();
    for service in &services {
        health
            .set_service_status(service, ServingStatus::NotServing)
            .await;
    }
}

/// Returns the service by which tools such as `grpcurl` learn of the calls.
fn reflection() -> Result<ServerReflectionServer<impl ServerReflection>, Error> {
    let built = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(whence_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    built.map_err(|error| Error::Internal(format!("describe the services: {error}")))
}

/// Returns a server that encrypts its connections if there are certificates, and that no caller can keep
/// busy. Fails if the certificates cannot be used.
fn bounded(tls: Option<ServerTlsConfig>) -> Result<Server, Error> {
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(Some(CALLS_AT_ONCE));
    let Some(tls) = tls else {
        return Ok(server);
    };
    server.tls_config(tls).map_err(|error| Error::Listen {
        address: "encrypted connections".to_owned(),
        reason: format!("the certificates cannot be used: {error}"),
    })
}

/// Listens on `address`, where port 0 means any free port. Returns the incoming connections and the
/// address with the actual port.
pub async fn listen(address: &str) -> Result<(TcpListenerStream, SocketAddr), Error> {
    let failed = |error: std::io::Error| Error::Listen {
        address: address.to_owned(),
        reason: format!("{error}; give another with `--listen`"),
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((TcpListenerStream::new(listener), address))
}

/// Listens on a socket in the file system, which other processes of this machine reach as
/// `unix://PATH`. Who may is decided by the permissions of its folder.
pub fn listen_at(path: &Path) -> Result<UnixListenerStream, Error> {
    let listener = UnixListener::bind(path).map_err(|error| Error::Listen {
        address: path.display().to_string(),
        reason: error.to_string(),
    })?;
    Ok(UnixListenerStream::new(listener))
}

/// Returns a channel to a coordinator in the same process, and the connections to [`serve`].
///
/// The two are joined by in-memory pipes, so that no port is opened.
pub fn in_process() -> (Channel, impl Stream<Item = std::io::Result<DuplexStream>>) {
    let (sender, receiver) = mpsc::channel(1);
    let connect = tower::service_fn(move |_| {
        let sender = sender.clone();
        async move {
            let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
            let gone = |_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            sender.send(Ok(theirs)).await.map_err(gone)?;
            Ok::<_, std::io::Error>(hyper_util::rt::TokioIo::new(ours))
        }
    });
    let endpoint = Endpoint::from_static("http://in-process");
    (
        endpoint.connect_with_connector_lazy(connect),
        ReceiverStream::new(receiver),
    )
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;
    use whence_proto::v1::ListJobsRequest;
    use whence_proto::v1::job_service_client::JobServiceClient;
    use whence_schemas::ErrorKind;

    use super::*;
    use crate::testing::Stage;

    #[tokio::test]
    async fn a_served_coordinator_answers_until_it_is_shut_down() {
        let stage = Stage::new().await;
        let (channel, incoming) = in_process();
        let shutdown = CancellationToken::new();
        let serving = serve(
            Arc::clone(&stage.coordinator),
            incoming,
            Access::default(),
            shutdown.clone(),
        );
        let asking = async {
            let mut jobs = JobServiceClient::new(channel.clone());
            let listed = jobs.list_jobs(ListJobsRequest {}).await.unwrap();
            assert!(listed.into_inner().jobs.is_empty());
            for service in ["attribution.v1.JobService", "attribution.v1.WorkerService"] {
                let service = service.to_owned();
                let request = HealthCheckRequest { service };
                let health = HealthClient::new(channel.clone()).check(request).await;
                let status = health.unwrap().into_inner().status();
                assert_eq!(status, ServingStatus::Serving);
            }
            shutdown.cancel();
        };
        // The channel is still open, as those of a cluster are.
        let (served, ()) = tokio::join!(serving, asking);
        served.unwrap();
        let drained = stage.coordinator.jobs().submit(stage.job(1)).await;
        assert!(matches!(drained, Err(Error::Draining)), "{drained:?}");
    }

    #[tokio::test]
    async fn tools_learn_of_the_services() {
        use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
        use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
        use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

        let stage = Stage::new().await;
        let (channel, incoming) = in_process();
        let coordinator = Arc::clone(&stage.coordinator);
        let shutdown = CancellationToken::new();
        let serving = serve(coordinator, incoming, Access::default(), shutdown.clone());
        let asking = async {
            let request = tonic_reflection::pb::v1::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let mut client = ServerReflectionClient::new(channel);
            let asked = client.server_reflection_info(tokio_stream::once(request));
            let answer = asked.await.unwrap().into_inner().message().await.unwrap();
            let Some(MessageResponse::ListServicesResponse(listed)) =
                answer.and_then(|answer| answer.message_response)
            else {
                panic!("a list of services");
            };
            let names: Vec<_> = listed.service.iter().map(|service| &service.name).collect();
            for name in ["attribution.v1.JobService", "attribution.v1.WorkerService"] {
                assert!(names.iter().any(|found| *found == name), "{names:?}");
            }
            shutdown.cancel();
        };
        let (served, ()) = tokio::join!(serving, asking);
        served.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_coordinator_that_steps_down_stops_serving_and_says_why() {
        let mut stage = Stage::new().await;
        let older = Arc::clone(&stage.coordinator);
        stage.restart().await;
        let (_channel, incoming) = in_process();
        let caller = CancellationToken::new();
        let ended = serve(older, incoming, Access::default(), caller.clone())
            .await
            .unwrap_err();
        assert!(matches!(ended, Error::SteppedDown { .. }), "{ended}");
        // Whatever else the caller runs goes on.
        assert!(!caller.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_does_not_keep_a_coordinator_from_ending() {
        let stage = Stage::new().await;
        let (mut peer, ours) = tokio::io::duplex(PIPE_BYTES);
        // Half of what opens an HTTP/2 connection.
        tokio::io::AsyncWriteExt::write_all(&mut peer, b"PRI * HTTP/2.0")
            .await
            .unwrap();
        let incoming = tokio_stream::iter([Ok(ours)]).chain(tokio_stream::pending());
        let shutdown = CancellationToken::new();
        let serving = serve(
            Arc::clone(&stage.coordinator),
            incoming,
            Access::default(),
            shutdown.clone(),
        );
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            shutdown.cancel();
        };
        let both = Box::pin(async { tokio::join!(serving, stopping).0 });
        let ended = tokio::time::timeout(Duration::from_secs(30), both).await;
        ended.expect("it ends").unwrap();
    }

    #[tokio::test]
    async fn a_free_port_is_named_and_one_in_use_refused_with_the_next_step() {
        let (_incoming, address) = listen("127.0.0.1:0").await.unwrap();
        assert_ne!(address.port(), 0);
        let refused = listen(&address.to_string()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        let message = refused.to_string();
        assert!(message.contains(&address.to_string()), "{message}");
        assert!(message.contains("`--listen`"), "{message}");
    }
}
