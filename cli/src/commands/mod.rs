//! The commands. Each has its own file and a match arm here.

mod aggregate;
mod attribute;
mod attribute_context;
mod attribute_context_dataset;
mod attribute_context_on_cluster;
mod attribute_dataset;
mod attribute_on_cluster;
mod cancel;
mod compare;
mod completions;
mod doctor;
#[cfg(feature = "sql")]
mod export;
mod list;
mod man;
mod pause;
mod retry;
mod schedule;
mod show;
#[cfg(feature = "sql")]
mod sql;
mod status;
mod submit;
mod sweep;
mod token;
mod verify;
mod views;
mod watch;
mod work;

#[cfg(feature = "sql")]
mod answering;
mod artifacts;
mod context_ending;
mod context_result;
mod drawing;
mod dry_run;
mod ending;
mod launching;
mod running;
mod stop;
mod tally;

#[cfg(not(feature = "sql"))]
mod without_sql;
#[cfg(not(feature = "sql"))]
use without_sql as export;
#[cfg(not(feature = "sql"))]
use without_sql as sql;

use crate::Failure;
use crate::args::Command;

/// Runs a command.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Attribute(arguments) => attribute::run(*arguments).await,
        Command::AttributeContext(arguments) => attribute_context::run(*arguments).await,
        Command::AttributeDataset(arguments) => attribute_dataset::run(*arguments).await,
        Command::AttributeContextDataset(arguments) => {
            attribute_context_dataset::run(*arguments).await
        }
        Command::Submit(arguments) => submit::run(arguments).await,
        Command::Work(arguments) => work::run(arguments).await,
        Command::Sweep(arguments) => Box::pin(sweep::run(arguments)).await,
        Command::Schedule(arguments) => Box::pin(schedule::run(arguments)).await,
        Command::Status(arguments) => status::run(arguments).await,
        Command::Watch(arguments) => watch::run(arguments).await,
        Command::Cancel(arguments) => cancel::run(arguments).await,
        Command::Pause(arguments) => pause::run(arguments, true).await,
        Command::Resume(arguments) => pause::run(arguments, false).await,
        Command::Show(arguments) => show::run(arguments).await,
        Command::Compare(arguments) => compare::run(arguments).await,
        Command::Aggregate(arguments) => aggregate::run(*arguments).await,
        Command::Sql(arguments) => sql::run(arguments).await,
        Command::Export(arguments) => export::run(arguments).await,
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::Retry(arguments) => retry::run(arguments).await,
        Command::Views(arguments) => views::run(arguments).await,
        Command::List(arguments) => list::run(&arguments),
        Command::Doctor(arguments) => doctor::run(*arguments).await,
        Command::Token(arguments) => token::run(&arguments),
        Command::Coordinator(arguments) => Ok(whence_coordinator::command::run(arguments).await?),
        Command::Worker(arguments) => Ok(whence_worker::command::run(arguments).await?),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    }
}
