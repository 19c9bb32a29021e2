//! Plans a job: cuts its rows into shards.

use whence_schemas::{JobSpec, Plan};

use crate::Error;
use crate::blocking::blocking;
use crate::rows::{self, Generated};

/// How many tokens `transformers` generates by default. Used to estimate a row's work if the job
/// does not set `max_new_tokens`.
const GENERATED_TOKENS: u64 = 20;

/// Reads a job's dataset on a blocking thread and cuts it into shards.
pub(crate) async fn plan(spec: &JobSpec) -> Result<Plan, Error> {
    let (source, tokens) = (spec.dataset.clone(), spec.shard_tokens);
    let generated = generated(spec);
    let planned = move || rows::plan(&source, tokens, generated);
    blocking("plan the job", planned).await
}

/// Estimates how many tokens and sequences are generated for each row of a job.
pub(crate) fn generated(spec: &JobSpec) -> Generated {
    if spec.forces_targets() {
        return Generated::NOTHING;
    }
    let asked = spec.attribution.generation.max_new_tokens;
    Generated {
        tokens: asked.map_or(GENERATED_TOKENS, |tokens| tokens as u64),
        sequences: spec.num_samples() as u64,
    }
}
