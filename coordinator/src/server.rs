//! Serving a coordinator: over TCP for a cluster, in memory for one process. The same services.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server};

use crate::service::{self, jobs, workers};
use crate::{Coordinator, Error};

/// A peer that vanished without a word is noticed within half a minute.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes a connection in memory holds: one piece of a shard.
const PIPE_BYTES: usize = 1 << 20;

/// Serves `coordinator` over `incoming` connections until `shutdown`, and reconciles its jobs meanwhile.
///
/// Fails if the connections fail, or a newer coordinator serves the root.
pub async fn serve<C>(
    coordinator: Arc<Coordinator>,
    incoming: impl Stream<Item = std::io::Result<C>>,
    shutdown: CancellationToken,
) -> Result<(), Error>
where
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let (health, health_service) = tonic_health::server::health_reporter();
    health
        .set_serving::<whence_proto::v1::job_service_server::JobServiceServer<service::Service>>()
        .await;
    health.set_serving::<whence_proto::v1::worker_service_server::WorkerServiceServer<service::Service>>().await;
    let stop = shutdown.child_token();
    let draining = {
        let (stop, coordinator) = (stop.clone(), Arc::clone(&coordinator));
        async move {
            stop.cancelled().await;
            coordinator.drain();
        }
    };
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .add_service(health_service)
        .add_service(jobs(&coordinator))
        .add_service(workers(&coordinator))
        .serve_with_incoming_shutdown(incoming, draining);
    let serving = async {
        server.await.map_err(|error| Error::Listen {
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

/// Listens on `address`; port 0 takes a free one. Returns the connections and the address.
pub async fn listen(address: &str) -> Result<(TcpListenerStream, SocketAddr), Error> {
    let failed = |error: std::io::Error| Error::Listen {
        address: address.to_owned(),
        reason: format!("{error}; give another with `--listen`"),
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((TcpListenerStream::new(listener), address))
}

/// Connects a channel to a coordinator of the same process. Returns the channel and the connections
/// to serve: nothing listens, nothing leaves the process.
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
