//! What a person touches: attribute, attribute-dataset, submit, watch, sql.
//!
//! [`args`] says what can be typed; each command is a file of `commands`, which checks the request,
//! acts through the libraries of the other crates and prints. `local` is the whole pipeline in one
//! process; `results` reads tables back; `viz` draws heatmaps; `query` answers SQL.
//!
//! What must stay true: standard output is data and standard error is talk, so that every command
//! can stand in a pipe; exit status 2 is a wrong request, 1 a failure, 130 Ctrl-C, 143 SIGTERM; meaning
//! never depends on color. Nobody imports this crate but its own binary and the tests.

#![allow(
    clippy::print_stderr,
    reason = "talking to a person is what this crate is for"
)]

use std::ffi::OsString;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use clap::Parser;
use futures::FutureExt;

pub mod args;
mod commands;

mod failure;
mod job;
mod local;
mod output;
mod output_file;
mod progress;
mod remote;

pub mod inseq_file;
pub mod query;
pub mod results;
pub mod viz;

pub use failure::{Exit, Failure};

/// Runs the command that `arguments` spell, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match args::spelling::normalize(arguments) {
        Ok(arguments) => arguments,
        Err(failure) => return failure.report(),
    };
    let arguments = match args::Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output, what was wrong to standard error; neither can be
            // reported better if even that fails.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    start_logging(arguments.verbosity.level());
    let is_service = arguments.command.is_service();
    std::panic::set_hook(Box::new(move |panic| log_panic(panic, is_service)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let work = AssertUnwindSafe(commands::run(arguments.command)).catch_unwind();
            let outcome = runtime.block_on(work);
            let outcome = outcome.unwrap_or_else(|panic| Err(Failure::panicked(panic.as_ref())));
            // Of a command that was stopped, a thread may still compute: nobody waits for it.
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

fn start_logging(level: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| level.into()))
        .with_writer(progress::beside_the_bar)
        .with_ansi(console::colors_enabled_stderr())
        .init();
}

/// Where and how something panicked is for whoever looks for the defect: in a service's log, and with
/// `--very-verbose`. What it means for a person at a terminal is said by whoever catches it.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>, is_service: bool) {
    if is_service {
        tracing::error!(%panic, "a thread panicked");
    }
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::debug!(%panic, %backtrace, "a thread panicked");
}
