//! The command-line interface: attribute, attribute-dataset, submit, watch, sql and more.
//!
//! [`args`] defines commands and flags. Each command is a file in `commands`: it checks the
//! request, calls the libraries of the other crates and prints the result. `local` runs the whole
//! pipeline in one process, `results` reads tables back, `aggregation` runs aggregators on them,
//! `viz` draws heatmaps, `query` answers SQL, and `prompt` asks for it. `sweep` makes many jobs of one
//! file.
//!
//! What must stay true: data goes to standard output and messages go to standard error, so that
//! every command works in a pipe. The exit status is 2 for a wrong request, 1 for a failure, 130
//! after Ctrl-C and 143 after SIGTERM. Color never carries meaning that the text lacks. Only this
//! crate's binary and the tests import it.

#![allow(
    clippy::print_stderr,
    reason = "talking to a person is what this crate is for"
)]

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use futures::FutureExt;
use tracing::Instrument;
use whence_telemetry::Settings;

mod aggregation;
pub mod args;
mod byte_level;
mod commands;
mod comparison;

mod failure;
mod job;
mod job_url;
mod local;
mod output;
mod output_file;
mod output_pair;
mod pipeline;
mod progress;
#[cfg(feature = "sql")]
mod prompt;
mod questions;
mod remote;
mod sharing;
mod supervisor;
mod sweep;
mod verification;

pub mod context_file;
pub mod inseq_file;
pub mod query;
pub mod results;
pub mod viz;

pub use failure::{Exit, Failure};

/// Runs the command given by `arguments`, the first of which is the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match args::spelling::normalize(arguments) {
        Ok(arguments) => arguments,
        Err(failure) => return failure.report(),
    };
    let (name, arguments) = match args::parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Clap prints help to standard output and errors to standard error. If printing fails,
            // there is nowhere left to report it.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    let is_service = arguments.command.is_service();
    std::panic::set_hook(Box::new(move |panic| log_panic(panic, is_service)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(command(&name, arguments));
            // After a command was stopped, a thread may still be computing. Do not wait for it.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failure::run(format!("start threads: {error}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Runs a command, with logs and traces. A panic becomes a failure.
async fn command(name: &str, arguments: args::Arguments) -> Result<(), Failure> {
    let telemetry = whence_telemetry::start(Settings {
        service: arguments.command.service(),
        level: arguments.verbosity.level(),
        writer: progress::beside_the_bar,
        is_colored: console::colors_enabled_stderr(),
    });
    // Dropped at the end, when what is left of the traces is sent.
    let _telemetry = telemetry.map_err(|error| Failure::request(error.to_string()))?;
    // What a service does is not one trace, but one for each job.
    let span = if arguments.command.is_service() {
        tracing::Span::none()
    } else {
        tracing::info_span!("command", otel.name = name)
    };
    let work = commands::run(arguments.command).instrument(span);
    let outcome = Box::pin(AssertUnwindSafe(work).catch_unwind()).await;
    outcome.unwrap_or_else(|panic| Err(Failure::panicked(panic.as_ref())))
}

/// Logs a panic, for whoever looks for the bug: always in a service, and with a backtrace at debug
/// level (`--very-verbose`). The code that catches the panic reports it to the user.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>, is_service: bool) {
    if is_service {
        tracing::error!(%panic, "a thread panicked");
    }
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::debug!(%panic, %backtrace, "a thread panicked");
}
