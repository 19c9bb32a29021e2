//! Finds out which job each cell of a sweep is.

use std::collections::HashMap;

use indexmap::IndexMap;
use whence_schemas::{JobId, JobSpec};

use super::states::States;
use crate::Failure;
use crate::args::ProgressMode;
use crate::job::{self, KnownModels, LocatedModel};
use crate::progress::DataArrivals;
use crate::sweep::Sweep;

/// The jobs of a sweep.
pub(in crate::commands) struct Planned {
    /// For each cell its job, or why it has none.
    pub(in crate::commands) cells: Vec<Result<JobId, Failure>>,
    /// The jobs, each once, in the order of their first cells.
    pub(in crate::commands) jobs: IndexMap<JobId, PlannedJob>,
}

impl Planned {
    /// Returns the specifications of all jobs.
    pub(in crate::commands) fn specs(&self) -> impl Iterator<Item = &JobSpec> {
        self.jobs.values().map(|job| &job.spec)
    }

    /// Takes for each cell the job that has computed its failed rows again last, if there is one.
    pub(in crate::commands) fn follow_retries(&mut self, states: &States) {
        let jobs = &self.jobs;
        for cell in &mut self.cells {
            let job = cell.as_ref().ok().and_then(|id| jobs.get(id));
            if let Some(job) = job {
                *cell = Ok(last_retry(&job.spec, states));
            }
        }
    }

    /// Takes in what was answered when jobs were submitted: the job that is computed for each, or why
    /// there is none.
    pub(in crate::commands) fn answered(
        &mut self,
        answers: &HashMap<JobId, Result<JobId, Failure>>,
    ) {
        for cell in &mut self.cells {
            let answer = cell.as_ref().ok().and_then(|job| answers.get(job));
            if let Some(answer) = answer.cloned() {
                *cell = answer;
            }
        }
    }
}

/// Returns the last of the jobs that retry each other, beginning with that of `spec`.
fn last_retry(spec: &JobSpec, states: &States) -> JobId {
    let mut spec = spec.clone();
    loop {
        let id = spec.id();
        spec.retry_of = Some(id.clone());
        if !states.contains_key(&spec.id()) {
            return id;
        }
    }
}

/// A job, and where its model is on this machine.
pub(in crate::commands) struct PlannedJob {
    pub(in crate::commands) spec: JobSpec,
    pub(in crate::commands) model: LocatedModel,
}

/// Reads the models and datasets of all cells. `check` refuses a job that could not be computed.
pub(in crate::commands) async fn plan(
    sweep: &Sweep,
    mode: ProgressMode,
    check: impl Fn(&PlannedJob) -> Result<(), Failure>,
) -> Planned {
    let _arrivals = DataArrivals::show(mode);
    let mut models = KnownModels::default();
    let mut planned = Planned {
        cells: Vec::new(),
        jobs: IndexMap::new(),
    };
    for cell in &sweep.cells {
        let job = async {
            let request = cell.request()?;
            let (spec, model) = job::specification_with(request, &mut models).await?;
            let job = PlannedJob { spec, model };
            check(&job)?;
            Ok::<_, Failure>(job)
        };
        let job = Box::pin(job).await.map(|job| {
            let id = job.spec.id();
            planned.jobs.entry(id.clone()).or_insert(job);
            id
        });
        planned.cells.push(job);
    }
    planned
}
