//! Finds the job or file that is meant by a run's name.

use whence_schemas::{JobId, JobSpec, layout};

use crate::Failure;
use crate::results::{Source, get, jobs, open_root};

/// At most this many jobs are named when several are meant.
const NAMED: usize = 5;

/// Opens the run called `name`: a file of saved attributions, or, below a storage root, a job, the
/// beginning of its id, its `--run-id`, or its method if no other job has the same.
pub(crate) async fn open(root: &str, name: &str) -> Result<Source, Failure> {
    if Source::is_file(name)? {
        return Source::open(root, name).await;
    }
    let store = open_root(root).await?;
    let ids = jobs(store.as_ref()).await?;
    if ids.iter().any(|id| id.as_str().starts_with(name)) {
        return Source::open(root, name).await;
    }
    let mut found: Vec<JobId> = Vec::new();
    for id in ids {
        let spec: Option<JobSpec> = get(store.as_ref(), &layout::spec(&id)).await?;
        let is_meant = |spec: &JobSpec| {
            spec.run_id.as_deref() == Some(name) || spec.attribution.method.name == name
        };
        if spec.as_ref().is_some_and(is_meant) {
            found.push(id);
        }
    }
    match &found[..] {
        [id] => Source::open(root, id.as_str()).await,
        [] => Err(Failure::request(format!(
            "there is no job `{name}` below `{root}`, and no job has this method or run id"
        ))
        .hint(format!(
            "whence sql --root {root} \"SELECT job, method FROM jobs\""
        ))),
        several => {
            let ids: Vec<_> = several.iter().take(NAMED).map(JobId::as_str).collect();
            Err(Failure::request(format!(
                "several jobs are called `{name}`: {}",
                ids.join(", ")
            ))
            .hint("name one by its id"))
        }
    }
}
