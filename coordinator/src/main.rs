//! `whence-coordinator`: serves a storage root until it is told to stop.

use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;
use whence_coordinator::{Config, Coordinator, server};

/// Hands shards of datasets to workers and seals their tables.
#[derive(Parser)]
#[command(name = "whence-coordinator", version)]
struct Arguments {
    /// Storage root: a directory, `file:///…` or `s3://bucket/prefix`.
    #[arg(long, env = "WHENCE_ROOT")]
    root: String,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "WHENCE_LISTEN", default_value = "127.0.0.1:7700")]
    listen: String,
    /// URL by which workers reach the storage root, where it is another than the coordinator's.
    #[arg(long, env = "WHENCE_ADVERTISED_ROOT")]
    advertised_root: Option<String>,
    /// How often a worker renews its leases.
    #[arg(long, env = "WHENCE_HEARTBEAT", default_value = "5s", value_parser = humantime::parse_duration)]
    heartbeat: Duration,
    /// How long a lease lives unrenewed.
    #[arg(long, env = "WHENCE_LEASE_TTL", default_value = "30s", value_parser = humantime::parse_duration)]
    lease_ttl: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let (incoming, address) = server::listen(&arguments.listen).await?;
    let coordinator = Coordinator::start(Config {
        advertised_store_url: arguments.advertised_root,
        heartbeat_interval: arguments.heartbeat,
        lease_ttl: arguments.lease_ttl,
        ..Config::new(arguments.root)
    })
    .await?;
    info!(%address, "listening");
    let shutdown = CancellationToken::new();
    let mut signals = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let serving = server::serve(coordinator, incoming, shutdown.clone());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        _ = signals.0.recv() => {}
        _ = signals.1.recv() => {}
    }
    shutdown.cancel();
    Ok(serving.await?)
}
