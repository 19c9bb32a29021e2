//! `whence attribute-dataset`: attributes every row of a dataset into a table, in this process or on
//! a cluster, and waits until the table is complete.

use super::artifacts::Targets;
use super::ending::{Ending, conclude};
use super::running;
use crate::args::AttributeDataset;
use crate::{Failure, job};

pub(super) async fn run(arguments: AttributeDataset) -> Result<(), Failure> {
    // Only checks that the files can be created. They are written after the job, from its table.
    drop(Targets::create(&arguments.display)?);
    let request = job::Request {
        model: &arguments.model,
        rows: job::Rows::Of(&arguments.dataset.place),
        fields: (&arguments.dataset).into(),
        attribution: job::attribution(&arguments.attribution, &arguments.model)?,
        context: None,
        job: arguments.job.clone(),
    };
    let running = running::run(request, &arguments.place, &arguments.batch);
    let Some(ended) = running.await? else {
        return Ok(());
    };
    let results = ended.results().await?;
    let ending = Ending {
        display: &arguments.display,
        shown_root: &ended.shown_root,
    };
    let conclusion = conclude(&ended.status, &results, &ending);
    ended.unless_stopped(conclusion).await
}
