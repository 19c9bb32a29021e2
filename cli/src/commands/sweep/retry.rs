//! `whence sweep retry`: computes the failed rows of complete cells again.

use indexmap::IndexSet;
use whence_proto::v1::JobState;
use whence_schemas::JobId;

use super::cells_table::Cells;
use super::computing::{New, Place, compute};
use super::planning::plan;
use super::states;
use crate::Failure;
use crate::args::SweepRetry;
use crate::job;
use crate::remote::Address;
use crate::sweep::{Budget, Sweep};

pub(super) async fn run(arguments: SweepRetry) -> Result<(), Failure> {
    let sweep = Sweep::read(&arguments.file)?;
    let cluster = arguments.cluster.as_deref().map(|url| Address {
        url,
        access: &arguments.access,
    });
    let root = &arguments.storage.root;
    let mut planned = plan(&sweep, arguments.progress.mode(), |_| Ok(())).await;
    let mut states = states::of_jobs(cluster, root, planned.specs()).await?;
    planned.follow_retries(&states);
    let has_failed_rows = |id: &&JobId| {
        let status = states.get(*id);
        status.is_some_and(|status| status.state() == JobState::Sealed && status.rows_failed > 0)
    };
    let cells = planned.cells.iter().flatten();
    let failed: IndexSet<_> = cells.filter(has_failed_rows).cloned().collect();
    if failed.is_empty() {
        eprintln!("no complete cell has a failed row");
        return Ok(());
    }
    let place = Place {
        root,
        cluster,
        workers: 1,
        config: job::worker_config(&arguments.batch, 1)?,
        progress: arguments.progress,
    };
    let new: Vec<_> = failed.iter().cloned().map(New::RetryOf).collect();
    let computed = Box::pin(compute(&new, &place, &Budget::default())).await?;
    // From now on, the cells are the jobs that computed their failed rows again.
    planned.answered(&failed.into_iter().zip(computed.submitted).collect());
    states.extend(computed.states);
    let cells = Cells {
        sweep: &sweep,
        planned: &planned,
        states: &states,
        is_served: cluster.is_some(),
    };
    cells.conclude(computed.stopped)
}
