//! `whence attribute --cluster`: the same as without, computed by the workers of a coordinator.
//!
//! The texts become a job with one row each. Its table is read as soon as it is complete.

use super::artifacts::{Targets, origin_of_table};
use super::ending::ended_well;
use super::running::on_cluster;
use super::tally::{Tally, show};
use crate::args::{Attribute, JobOptions};
use crate::remote::Address;
use crate::{Failure, job};

/// Attributes the texts on the cluster at `url`, shows the results and writes the requested files.
pub(super) async fn run(
    url: &str,
    arguments: &Attribute,
    attribution: whence_schemas::AttributionSpec,
    targets: Targets,
) -> Result<(), Failure> {
    let request = job::Request {
        model: &arguments.model,
        rows: (&arguments.texts).into(),
        fields: (&arguments.texts).into(),
        attribution,
        context: None,
        job: JobOptions::of_texts(arguments.seed),
    };
    let to = Address {
        url,
        access: &arguments.place.access,
    };
    let ended = on_cluster(to, request, arguments.place.progress).await?;
    ended_well(&ended.status)?;
    let results = ended.results().await?;
    let names = results.step_scores();
    let spec = results.spec();
    // The table holds one score per token, so that is what the file has too.
    let origin = origin_of_table(&arguments.display, &arguments.model.model, spec);
    let mut files = targets.begin(&spec.attribution, &names, origin)?;
    let mut tally = Tally::default();
    for slot in results.slots().await? {
        for row in results.rows(&slot).await? {
            match row.result {
                Ok(attribution) => {
                    show(&attribution, &names, &arguments.display)?;
                    let input_text = row.input_text.unwrap_or_default();
                    files.add(row.id, &input_text, &attribution)?;
                    tally.attributed += 1;
                }
                Err(error) => tally.failures.push((row.id, Failure::run(error.message))),
            }
        }
    }
    tally.conclude(files)
}
