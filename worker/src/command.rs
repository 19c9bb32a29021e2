//! The command line of a worker process, shared by `whence-worker` and `whence worker`.

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;
use whence_proto::access::AccessOptions;

use crate::{Config, Coordinator, Error};

/// Attributes the shards that a coordinator leases to it, and writes the tables to its store.
#[derive(Debug, Parser)]
#[command(name = "whence-worker", version)]
pub struct Arguments {
    /// URL of the coordinator.
    #[arg(
        long,
        env = "WHENCE_COORDINATOR",
        default_value = "http://127.0.0.1:7700"
    )]
    coordinator: Endpoint,
    #[command(flatten)]
    access: AccessOptions,
    #[command(flatten)]
    config: Config,
}

/// Runs a worker until the process receives SIGTERM or SIGINT. It then ends its tasks and returns.
///
/// Fails in the same cases as [`crate::run`], and if the system cannot deliver signals.
pub async fn run(arguments: Arguments) -> Result<(), Error> {
    let no_signals = |source| Error::System {
        action: "listen for signals",
        source,
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let shutdown = CancellationToken::new();
    let coordinator = Coordinator::at(arguments.coordinator, &arguments.access)?;
    let working = crate::run(arguments.config, coordinator, shutdown.clone());
    tokio::pin!(working);
    tokio::select! {
        ended = &mut working => return ended,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    shutdown.cancel();
    // Polled again, not dropped: the worker still commits and reports the rows it has finished.
    working.await
}
