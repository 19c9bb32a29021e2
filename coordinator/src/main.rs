//! The `whence-coordinator` program: serves a storage root until it receives SIGTERM or SIGINT.

#![allow(
    clippy::print_stderr,
    reason = "what ends the program is told to whoever started it"
)]

use std::process::ExitCode;

use clap::Parser;
use whence_coordinator::command::{Arguments, run};
use whence_proto::status::exit_status;
use whence_schemas::chain;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // `RUST_LOG` chooses what is logged. Without it, or if it cannot be parsed, that is `info`.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(console::colors_enabled_stderr())
        .init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::from(exit_status(error.kind()))
        }
    }
}
