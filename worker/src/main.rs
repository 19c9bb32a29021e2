//! `whence-worker`: works for a coordinator until it is told to stop.

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

/// Kept memory of large temporaries is what the engine lives on.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Attributes shards that a coordinator hands out, and writes their tables to its store.
#[derive(Parser)]
#[command(name = "whence-worker", version)]
struct Arguments {
    /// Where the coordinator listens.
    #[arg(
        long,
        env = "WHENCE_COORDINATOR",
        default_value = "http://127.0.0.1:7700"
    )]
    coordinator: Endpoint,
    #[command(flatten)]
    config: whence_worker::Config,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let shutdown = CancellationToken::new();
    let mut signals = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let run = whence_worker::run(
        arguments.config,
        arguments.coordinator.connect_lazy(),
        shutdown.clone(),
    );
    tokio::pin!(run);
    tokio::select! {
        ended = &mut run => return Ok(ended?),
        _ = signals.0.recv() => {}
        _ = signals.1.recv() => {}
    }
    shutdown.cancel();
    Ok(run.await?)
}
