//! `whence pause` and `whence resume`: stop handing out a job's shards for a while.

use super::status::describe;
use crate::args::OneJob;
use crate::remote::Jobs;
use crate::{Failure, output};

pub(super) async fn run(arguments: OneJob, is_paused: bool) -> Result<(), Failure> {
    let mut jobs = Jobs::connect((&arguments.coordinator).into()).await?;
    let id = jobs.find(&arguments.job).await?;
    let status = if is_paused {
        jobs.pause(&id).await?
    } else {
        jobs.resume(&id).await?
    };
    output::line(&describe(&status))
}
