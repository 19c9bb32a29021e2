//! The commands: one file each, one arm here.

mod attribute;
mod attribute_dataset;
mod cancel;
mod completions;
mod doctor;
mod list;
mod show;
mod sql;
mod status;
mod submit;
mod views;
mod watch;

mod artifacts;
mod ending;

use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;
use crate::args::Command;

/// Does what was typed.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Attribute(arguments) => attribute::run(&arguments),
        Command::AttributeDataset(arguments) => attribute_dataset::run(arguments).await,
        Command::Submit(arguments) => submit::run(arguments).await,
        Command::Status(arguments) => status::run(arguments).await,
        Command::Watch(arguments) => watch::run(arguments).await,
        Command::Cancel(arguments) => cancel::run(arguments).await,
        Command::Show(arguments) => show::run(arguments).await,
        Command::Sql(arguments) => sql::run(arguments).await,
        Command::Views(arguments) => views::run(arguments).await,
        Command::List(arguments) => list::run(&arguments),
        Command::Doctor(arguments) => doctor::run(arguments).await,
        Command::Coordinator(arguments) => Ok(whence_coordinator::command::run(arguments).await?),
        Command::Worker(arguments) => Ok(whence_worker::command::run(arguments).await?),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

/// Returns when a person or the system asks this process to stop.
async fn stop_requested() {
    let signals = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    if let (Ok(mut interrupt), Ok(mut terminate)) = signals {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    } else {
        // Without signals, the process ends the way the system ends it.
        std::future::pending::<()>().await;
    }
}
