//! `whence submit`: like `attribute-dataset`, but submits the job to a coordinator elsewhere.

use super::ending::{ended_well, tell_table};
use super::running::{self, Submitted};
use super::watch::follow;
use crate::args::Submit;
use crate::{Failure, job, output};

pub(super) async fn run(arguments: Submit) -> Result<(), Failure> {
    let attribution = job::attribution(&arguments.attribution, &arguments.model)?;
    let mode = arguments.progress.mode();
    let request = job::Request {
        model: &arguments.model,
        rows: job::Rows::Of(&arguments.dataset.place),
        fields: (&arguments.dataset).into(),
        attribution,
        context: None,
        job: arguments.job.clone(),
    };
    let url = &arguments.coordinator.coordinator;
    let Submitted {
        mut jobs,
        id,
        existed,
    } = running::submit(url, request, mode).await?;
    output::line(id.as_str())?;
    if existed {
        eprintln!("this job was submitted before; the rows it has computed are kept");
    }
    if arguments.watch {
        let (status, summary) = follow(&mut jobs, &id, mode).await?;
        ended_well(&status)?;
        if let Some(summary) = summary {
            eprintln!("attributed {summary}");
        }
        tell_table(&status.root, &status);
        return Ok(());
    }
    eprintln!("next: whence watch {id}");
    Ok(())
}
