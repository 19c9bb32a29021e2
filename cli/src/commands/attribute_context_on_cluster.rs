//! `whence attribute-context --cluster`: the same as without, computed by a worker of a coordinator.
//!
//! The texts become a job with one row.

use whence_engine::context::{ContextSpec, GivenContexts};

use super::context_result::present;
use super::ending::ended_well;
use super::running::on_cluster;
use crate::args::{AttributeContext, JobOptions};
use crate::output_pair::OutputPair;
use crate::remote::Address;
use crate::{Failure, job};

/// Analyzes the texts on the cluster at `url`, shows the result and writes the requested files.
pub(super) async fn run(
    url: &str,
    arguments: &AttributeContext,
    spec: &ContextSpec,
    targets: OutputPair,
) -> Result<(), Failure> {
    check(arguments)?;
    let texts = &arguments.texts;
    let (attribution, context) = job::context_job(job::ContextFlags {
        model: &arguments.model,
        method: &arguments.method,
        templates: &arguments.templates,
        selection: &arguments.selection,
        given: GivenContexts {
            input: texts.input_context_text.is_some(),
            output: texts.output_context_text.is_some(),
        },
    })?;
    let request = job::Request {
        model: &arguments.model,
        rows: texts.into(),
        fields: texts.into(),
        attribution,
        context: Some(context),
        job: JobOptions::of_texts(arguments.seed),
    };
    let to = Address {
        url,
        access: &arguments.place.access,
    };
    let ended = on_cluster(to, request, arguments.place.progress).await?;
    ended_well(&ended.status)?;
    let results = ended.results().await?;
    for slot in results.slots().await? {
        if let Some(row) = results.context_rows(&slot).await?.into_iter().next() {
            let attribution = row.result.map_err(|error| Failure::run(error.message))?;
            let options = &spec.options;
            return present(
                targets,
                arguments,
                &attribution,
                [options.sensitivity, options.cues],
            );
        }
    }
    Err(Failure::run("the job's table has no row"))
}

/// Fails if an option needs what only the computation itself has.
fn check(arguments: &AttributeContext) -> Result<(), Failure> {
    let texts = &arguments.texts;
    let flag = if arguments.output.show_intermediate_outputs {
        "--show-intermediate-outputs"
    } else if texts.prompt_user_for_contextless_output_next_tokens {
        "--prompt-user-for-contextless-output-next-tokens"
    } else if !texts.contextless_output_next_tokens.is_empty() {
        "--contextless-output-next-tokens"
    } else {
        return Ok(());
    };
    Err(Failure::request(format!(
        "{flag} is not available on a cluster; leave it out, or leave out --cluster"
    )))
}
