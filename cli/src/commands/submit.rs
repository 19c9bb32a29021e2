//! `whence submit`: the flags of `attribute-dataset`, for a coordinator elsewhere.

use super::ending::ended_well;
use super::watch::follow;
use crate::args::Submit;
use crate::remote::Jobs;
use crate::{Failure, job, output};

pub(super) async fn run(arguments: Submit) -> Result<(), Failure> {
    let attribution = job::attribution(&arguments.attribution)?;
    // Asked first: nobody wants to wait for digests only to hear that nothing listens.
    let mut jobs = Jobs::connect(&arguments.coordinator.coordinator).await?;
    let spec = job::specification(
        &arguments.model,
        &arguments.dataset,
        attribution,
        &arguments.job,
    )?;
    let (id, existed) = jobs.submit(&spec).await?;
    output::line(id.as_str())?;
    if existed {
        eprintln!("this job was there already; what it has computed is kept");
    }
    if arguments.watch {
        let status = follow(&mut jobs, &id, false).await?;
        return ended_well(&status);
    }
    eprintln!("next: whence watch {id}");
    Ok(())
}
