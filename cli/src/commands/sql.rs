//! `whence sql`: runs a query on the storage root's tables with DataFusion.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::stop::unless_stopped;
use crate::Failure;
use crate::args::Sql;
use crate::output_file::OutputFile;
use crate::query::damage::name_damaged;
use crate::query::{self, Session};

pub(super) async fn run(arguments: Sql) -> Result<(), Failure> {
    let root = &arguments.storage.root;
    // The Parquet reader may panic on damaged bytes. That means a damaged file, not a bug.
    let answered = AssertUnwindSafe(answer(&arguments)).catch_unwind();
    let answered = async {
        match answered.await {
            Ok(Err(failure)) if failure.is_about_stored_data() => {
                Err(name_damaged(failure, root).await)
            }
            Ok(answered) => answered,
            Err(panic) => Err(name_damaged(Failure::panicked(panic.as_ref()), root).await),
        }
    };
    unless_stopped(answered, "the query was not answered to its end").await
}

async fn answer(arguments: &Sql) -> Result<(), Failure> {
    let out = match &arguments.output.output {
        Some(path) => OutputFile::create("--output", path)?,
        None => OutputFile::stdout(),
    };
    let session = Session::open(&arguments.storage.root, arguments.memory).await?;
    let answer = session.ask(&arguments.query).await?;
    query::write(answer, out, &arguments.output).await
}
