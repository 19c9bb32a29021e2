//! `whence cancel`: stops the work on a job. The rows that are done are kept.

use super::status::describe;
use crate::args::OneJob;
use crate::remote::Jobs;
use crate::{Failure, output};

pub(super) async fn run(arguments: OneJob) -> Result<(), Failure> {
    let mut jobs = Jobs::connect((&arguments.coordinator).into()).await?;
    let id = jobs.find(&arguments.job).await?;
    let status = jobs.cancel(&id).await?;
    output::line(&describe(&status))
}
