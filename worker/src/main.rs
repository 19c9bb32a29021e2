//! `whence-worker`: works for a coordinator until it is told to stop.

#![allow(
    clippy::print_stderr,
    reason = "what ends the program is told to whoever started it"
)]

use std::process::ExitCode;

use clap::Parser;
use whence_proto::status::exit_status;
use whence_schemas::{ErrorKind, chain};
use whence_telemetry::Settings;
use whence_worker::command::{Arguments, run};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // `RUST_LOG` chooses what is logged. Without it, or if it cannot be parsed, that is `info`.
    let telemetry = whence_telemetry::start(Settings {
        service: "whence-worker",
        level: "info",
        writer: std::io::stderr,
        is_colored: console::colors_enabled_stderr(),
    });
    let _telemetry = match telemetry {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(exit_status(ErrorKind::Invalid));
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::from(exit_status(error.kind()))
        }
    }
}
