//! `whence sweep retry`: computes the failed rows of complete cells again.

use indexmap::IndexMap;
use whence_proto::v1::JobState;
use whence_worker::memory;

use super::computing::{New, Place, compute};
use super::planning::{Planned, plan};
use super::run::conclude;
use super::states;
use crate::Failure;
use crate::args::SweepRetry;
use crate::remote::{Address, Jobs};
use crate::sweep::{Budget, Sweep};

pub(super) async fn run(arguments: SweepRetry) -> Result<(), Failure> {
    let sweep = Sweep::read(&arguments.file)?;
    let cluster = arguments.cluster.as_deref().map(|url| Address {
        url,
        access: &arguments.access,
    });
    let root = &arguments.storage.root;
    let planned = plan(&sweep, arguments.progress.mode(), |_| Ok(())).await;
    let states = match cluster {
        Some(address) => states::of_coordinator(&mut Jobs::connect(address).await?).await?,
        None => states::of_root(root, planned.jobs.keys()).await?,
    };
    let has_failed_rows = |id: &&whence_schemas::JobId| {
        let status = states.get(*id);
        status.is_some_and(|status| status.state() == JobState::Sealed && status.rows_failed > 0)
    };
    let failed: Vec<_> = planned
        .jobs
        .keys()
        .filter(has_failed_rows)
        .cloned()
        .collect();
    if failed.is_empty() {
        eprintln!("no complete cell has a failed row");
        return Ok(());
    }
    let new: Vec<_> = failed.iter().cloned().map(New::RetryOf).collect();
    let place = Place {
        root,
        cluster,
        workers: 1,
        config: whence_worker::Config {
            batch_size: arguments.batch.batch_size,
            memory: arguments.batch.memory.or_else(memory::half_of_free),
            ..whence_worker::Config::default()
        },
        progress: arguments.progress,
    };
    let computed = Box::pin(compute(&new, &place, &Budget::default())).await?;
    // The cells are now those jobs that computed their failed rows again.
    let retried: IndexMap<_, _> = failed.into_iter().zip(computed.submitted.clone()).collect();
    let of_cell = |cell: Result<whence_schemas::JobId, Failure>| {
        let id = cell?;
        retried.get(&id).cloned().unwrap_or(Ok(id))
    };
    let mut shown = Planned {
        cells: planned.cells.into_iter().map(of_cell).collect(),
        jobs: planned.jobs,
    };
    let mut computed = computed;
    let others = states.into_iter();
    computed
        .states
        .extend(others.filter(|(id, _)| !retried.contains_key(id)));
    computed.submitted.clear();
    conclude(&sweep, &mut shown, computed, cluster.is_some())
}
