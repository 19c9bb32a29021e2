//! `whence submit`: like `attribute-dataset`, but the job is computed elsewhere: by the workers of a
//! coordinator, or by processes that share it without one.

use super::ending::{ended_well, tell_table};
use super::launching;
use super::running::{self, Submitted};
use super::watch::follow;
use crate::args::{Launcher, Submit};
use crate::job_url::JobUrl;
use crate::local::Local;
use crate::progress::DataArrivals;
use crate::{Failure, job, output};

pub(super) async fn run(arguments: Submit) -> Result<(), Failure> {
    if arguments.sharing.is_static {
        return without_coordinator(&arguments).await;
    }
    let mode = arguments.progress.mode();
    let to = (&arguments.coordinator).into();
    let Submitted {
        mut jobs,
        id,
        existed,
    } = running::submit(to, request(&arguments)?, mode).await?;
    output::line(id.as_str())?;
    tell_existed(existed);
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

/// Writes the job to its storage root and prints what starts the processes that compute it.
async fn without_coordinator(arguments: &Submit) -> Result<(), Failure> {
    let sharing = &arguments.sharing;
    let arrivals = DataArrivals::show(arguments.progress.mode());
    let (spec, _) = job::specification(request(arguments)?).await?;
    let local = Local::start(&sharing.storage.root).await?;
    let submitted = local.jobs().submit(&spec).await;
    drop(arrivals);
    let root = local.root().to_owned();
    local.stop().await;
    let (id, existed) = submitted?;
    tell_existed(existed);
    let url = JobUrl { root, id };
    if let Some(launcher) = sharing.print {
        return output::line(&launching::script(launcher, &url, sharing.of)?);
    }
    output::line(&url.text())?;
    for launcher in Launcher::ALL {
        output::line(&format!(
            "\n{}",
            launching::script(launcher, &url, sharing.of)?
        ))?;
    }
    Ok(())
}

fn tell_existed(existed: bool) {
    if existed {
        eprintln!("this job was submitted before; the rows it has computed are kept");
    }
}

fn request(arguments: &Submit) -> Result<job::Request<'_>, Failure> {
    let attribution = job::attribution(&arguments.attribution, &arguments.model)?;
    Ok(job::Request {
        model: &arguments.model,
        rows: job::Rows::Of(&arguments.dataset.place),
        fields: (&arguments.dataset).into(),
        attribution,
        context: None,
        job: arguments.job.clone(),
    })
}
