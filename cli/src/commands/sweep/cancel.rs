//! `whence sweep cancel`.

use whence_proto::v1::JobState;

use super::cells_table::Cells;
use super::planning::plan;
use super::states;
use crate::Failure;
use crate::args::{ProgressMode, SweepCancel};
use crate::remote::Jobs;
use crate::sweep::Sweep;

pub(super) async fn run(arguments: SweepCancel) -> Result<(), Failure> {
    let sweep = Sweep::read(&arguments.file)?;
    let mut jobs = Jobs::connect((&arguments.coordinator).into()).await?;
    let mut planned = plan(&sweep, ProgressMode::Auto, |_| Ok(())).await;
    let states = states::of_coordinator(&mut jobs).await?;
    for id in planned.jobs.keys() {
        let state = states.get(id).map(whence_proto::v1::JobStatus::state);
        if state == Some(JobState::Running) {
            jobs.cancel(id).await?;
        }
    }
    let states = states::of_coordinator(&mut jobs).await?;
    planned.follow_retries(&states);
    let cells = Cells {
        sweep: &sweep,
        planned: &planned,
        states: &states,
        is_served: true,
    };
    cells.tell()
}
