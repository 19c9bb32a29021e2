//! `whence sweep run`.

use whence_proto::v1::JobState;

use super::super::stop::unless_stopped;
use super::cells_table::Cells;
use super::computing::{New, Place, compute};
use super::estimate;
use super::planning::{Planned, PlannedJob, plan};
use super::states::{self, States};
use crate::Failure;
use crate::args::{PlaceOptions, SweepRun};
use crate::job;
use crate::remote::Address;
use crate::sweep::Sweep;

pub(super) async fn run(arguments: SweepRun) -> Result<(), Failure> {
    let sweep = Sweep::read(&arguments.file)?;
    let SweepRun { place, batch, .. } = &arguments;
    let (root, cluster) = (&place.storage.root, address(place));
    let config = match cluster {
        Some(_) => whence_worker::Config::default(),
        None => job::worker_config(batch, place.workers)?,
    };
    let check = |planned: &PlannedJob| {
        if cluster.is_some() {
            return Ok(());
        }
        job::check_memory(config.memory, &planned.model, place.workers)?;
        job::check_workers(&planned.spec, &config)
    };
    let begun = async {
        let planned = plan(&sweep, place.progress.mode(), check).await;
        let states = states::of_jobs(cluster, root, planned.specs()).await?;
        let left = left(&planned, &states);
        if sweep.budget.rows.is_some() {
            sweep
                .budget
                .check_rows(estimate::rows(&left, &states).await?)?;
        }
        Ok((planned, states))
    };
    let (mut planned, mut states) =
        unless_stopped(Box::pin(begun), "nothing was submitted").await?;
    if let Some(format) = place.dry_run {
        let told = "nothing was computed or written";
        let left = left(&planned, &states);
        let estimated = estimate::run(&left, &config, &sweep.budget, format);
        return unless_stopped(Box::pin(estimated), told).await;
    }
    let new: Vec<_> = planned.specs().map(New::Job).collect();
    let at = Place {
        root,
        cluster,
        workers: place.workers,
        config,
        progress: place.progress,
    };
    let computed = Box::pin(compute(&new, &at, &sweep.budget)).await?;
    let jobs: Vec<_> = planned.jobs.keys().cloned().collect();
    planned.answered(&jobs.into_iter().zip(computed.submitted).collect());
    states.extend(computed.states);
    planned.follow_retries(&states);
    let cells = Cells {
        sweep: &sweep,
        planned: &planned,
        states: &states,
        is_served: cluster.is_some(),
    };
    cells.conclude(computed.stopped)
}

fn address(place: &PlaceOptions) -> Option<Address<'_>> {
    place.cluster.as_deref().map(|url| Address {
        url,
        access: &place.access,
    })
}

/// Returns the jobs that are not complete.
fn left<'a>(planned: &'a Planned, states: &States) -> Vec<&'a PlannedJob> {
    let jobs = planned.jobs.iter().filter(|(id, _)| {
        let status = states.get(*id);
        status.is_none_or(|status| status.state() != JobState::Sealed)
    });
    jobs.map(|(_, job)| job).collect()
}
