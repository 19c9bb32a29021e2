//! `whence sweep`: runs the jobs of all cells of a sweep, and tells how far they are.
//!
//! A cell that cannot be planned, submitted or computed never stops the others.

mod cancel;
mod cells_table;
mod computing;
mod estimate;
mod look;
pub(super) mod planning;
mod retry;
mod run;
mod states;

use crate::args::Sweep;
use crate::{Failure, output, sweep};

pub(super) async fn run(arguments: Sweep) -> Result<(), Failure> {
    match arguments {
        Sweep::Run(arguments) => run::run(*arguments).await,
        Sweep::Plan(arguments) | Sweep::Status(arguments) => look::run(arguments).await,
        Sweep::Cancel(arguments) => cancel::run(arguments).await,
        Sweep::Retry(arguments) => retry::run(*arguments).await,
        Sweep::Schema => output::line(&format!("{:#}", sweep::schema())),
    }
}
