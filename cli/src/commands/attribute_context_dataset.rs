//! `whence attribute-context-dataset`: finds the output tokens of every row of a dataset that depend
//! on a context, and the context's tokens they depend on.

use whence_engine::context::GivenContexts;

use super::context_ending::{self, conclude};
use super::running;
use crate::args::AttributeContextDataset;
use crate::{Failure, job};

pub(super) async fn run(arguments: AttributeContextDataset) -> Result<(), Failure> {
    // Only checks that the files can be created. They are written after the job, from its table.
    drop(context_ending::targets(&arguments.output)?);
    let fields = &arguments.fields;
    let given = GivenContexts {
        input: fields.input_context_field.is_some(),
        output: fields.output_context_field.is_some(),
    };
    if !given.input && !given.output && arguments.templates.output_template.is_none() {
        return Err(Failure::request(
            "there is no context; name its field with --input-context-field or --output-context-field",
        ));
    }
    let (attribution, context) = job::context_job(job::ContextFlags {
        model: &arguments.model,
        method: &arguments.method,
        templates: &arguments.templates,
        selection: &arguments.selection,
        given,
    })?;
    let request = job::Request {
        model: &arguments.model,
        rows: job::Rows::Of(&arguments.dataset),
        fields: fields.into(),
        attribution,
        context: Some(context),
        job: arguments.job.clone(),
    };
    let running = running::run(request, &arguments.place, &arguments.batch);
    let Some(ended) = running.await? else {
        return Ok(());
    };
    let results = ended.results().await?;
    let conclusion = conclude(&ended, &results, &arguments.output);
    ended.unless_stopped(conclusion).await
}
