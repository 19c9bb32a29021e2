//! `whence verify`: reads the whole table of a job and says whether it is intact.

use crate::args::Verify;
use crate::output::{counted, grouped};
use crate::results::Results;
use crate::verification::verification;
use crate::{Failure, output};

pub(super) async fn run(arguments: Verify) -> Result<(), Failure> {
    let results = Results::open(&arguments.storage.root, &arguments.job).await?;
    let found = verification(&results).await?;
    for problem in &found.problems {
        eprintln!("{problem}");
    }
    found.check(results.id())?;
    let state = if found.is_sealed {
        "complete"
    } else {
        "not complete yet"
    };
    output::line(&format!(
        "job {}: {} ({} bytes) verified, {state}",
        results.id(),
        counted(found.files, "file"),
        grouped(found.bytes)
    ))
}
