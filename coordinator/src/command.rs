//! The arguments and the main loop of a coordinator process. Both the `whence-coordinator` program
//! and the `whence coordinator` subcommand use them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tracing::info;
use whence_schemas::user_path;

use crate::access::{AccessOptions, Visitors};
use crate::{Config, Coordinator, Error, http, server, standby};

/// How long callers of a coordinator wait that has just been started. One that does not serve by then is
/// in reserve for another.
const HANGS_UP_AFTER: Duration = Duration::from_secs(5);

/// Leases shards of datasets to workers and seals their tables.
#[derive(Debug, Parser)]
#[command(name = "whence-coordinator", version)]
pub struct Arguments {
    /// Storage root: a directory, or a folder of a bucket: `s3://bucket/prefix`, `gs://bucket/prefix`,
    /// `az://container/prefix`.
    #[arg(long, env = "WHENCE_ROOT", value_parser = user_path::expand)]
    root: String,
    /// Address to listen on. Port 0 picks a free port.
    #[arg(long, env = "WHENCE_LISTEN", default_value = "127.0.0.1:7700")]
    listen: String,
    /// Address for HTTP: the dashboard, `/healthz`, `/readyz` and `/metrics` for Prometheus. Default: none.
    #[arg(long, env = "WHENCE_HTTP_LISTEN", value_name = "ADDRESS")]
    http_listen: Option<String>,
    /// URL by which workers reach the storage root, if it differs from the coordinator's.
    #[arg(long, env = "WHENCE_ADVERTISED_ROOT")]
    advertised_root: Option<String>,
    /// How often a worker renews its leases.
    #[arg(long, env = "WHENCE_HEARTBEAT", default_value = "5s", value_parser = humantime::parse_duration)]
    heartbeat: Duration,
    /// How long a lease lasts if it is not renewed.
    #[arg(long, env = "WHENCE_LEASE_TTL", default_value = "30s", value_parser = humantime::parse_duration)]
    lease_ttl: Duration,
    /// Take over from another coordinator of the root at once, instead of waiting for its end.
    #[arg(long)]
    take_over: bool,
    #[command(flatten)]
    access: AccessOptions,
}

/// Serves until the process receives SIGTERM or SIGINT, then shuts down gracefully.
///
/// If another coordinator serves the root, waits for its end first. Fails if the address or the storage
/// root cannot be used, or a newer coordinator takes over.
pub async fn run(arguments: Arguments) -> Result<(), Error> {
    // Before anything else: as the first process of a container, one without handlers ignores signals.
    let no_signals = |error: std::io::Error| Error::Internal(format!("await signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let shutdown = CancellationToken::new();
    let serving = Box::pin(serve(arguments, shutdown.clone()));
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Serving ends once the requests in progress are finished.
    shutdown.cancel();
    serving.await
}

/// Serves until `shutdown`.
async fn serve(arguments: Arguments, shutdown: CancellationToken) -> Result<(), Error> {
    let (mut incoming, address) = server::listen(&arguments.listen).await?;
    let access = arguments.access.load(address)?;
    let http = match &arguments.http_listen {
        Some(address) => Some(http::listen(address).await?),
        None => None,
    };
    let config = Config {
        allowed: arguments.access.places(),
        tenancy: arguments.access.tenancy()?,
        address: Some(standby::reachable(address)),
        is_encrypted: access.tls.is_some(),
        takes_over: arguments.take_over,
        advertised_store_url: arguments.advertised_root,
        heartbeat_interval: arguments.heartbeat,
        lease_ttl: arguments.lease_ttl,
        ..Config::new(arguments.root)
    };
    let (coordinator, known) = watch::channel(None);
    let visitors = arguments.access.visitors(&access);
    let answering = answer(http, known, visitors, shutdown.clone());
    let leading = async {
        tokio::select! {
            free = stand_by(&config, &mut incoming) => free?,
            () = shutdown.cancelled() => return Ok(()),
        }
        let started = Coordinator::start(config).await?;
        info!(%address, "listening");
        coordinator.send_replace(Some(Arc::clone(&started)));
        Box::pin(server::serve(started, incoming, access, shutdown.clone())).await
    };
    tokio::try_join!(leading, answering).map(|_| ())
}

/// Answers over HTTP until `shutdown`, if there is a listener.
async fn answer(
    http: Option<(TcpListener, SocketAddr)>,
    known: http::Serving,
    visitors: Visitors,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let Some((listener, address)) = http else {
        return Ok(());
    };
    info!(%address, "answering over HTTP");
    http::serve(listener, known, visitors, shutdown).await
}

/// Waits as long as another coordinator serves the root. After a while, callers are hung up on.
async fn stand_by(config: &Config, incoming: &mut TcpListenerStream) -> Result<(), Error> {
    let standing_by = Coordinator::stand_by(config);
    let is_long = tokio::time::sleep(HANGS_UP_AFTER);
    tokio::pin!(standing_by, is_long);
    let mut hangs_up = false;
    loop {
        tokio::select! {
            ended = &mut standing_by => return ended,
            () = &mut is_long, if !hangs_up => hangs_up = true,
            // A caller must not wait for a coordinator that does not serve: hung up on, it asks again.
            Some(caller) = incoming.next(), if hangs_up => drop(caller),
        }
    }
}
