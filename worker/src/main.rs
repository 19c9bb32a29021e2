//! `whence-worker`: works for a coordinator until it is told to stop.

use clap::Parser;
use whence_worker::command::{Arguments, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    Ok(run(arguments).await?)
}
