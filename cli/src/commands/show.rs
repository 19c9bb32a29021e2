//! `whence show`: one example of a job as a heatmap.

use super::artifacts;
use crate::args::Show;
use crate::results::Results;
use crate::viz::html::Caption;
use crate::{Failure, output, viz};

pub(super) async fn run(arguments: Show) -> Result<(), Failure> {
    let results = Results::open(&arguments.storage.root, &arguments.job).await?;
    let row = results.row(arguments.example).await?;
    let attribution = row.outcome.map_err(|error| {
        Failure::run(format!(
            "example {} could not be attributed: {}",
            row.example_id, error.message
        ))
    })?;
    let input_text = row.input_text.unwrap_or_default();
    if let Some(path) = &arguments.viz_path {
        let caption = Caption {
            example_id: row.example_id,
            input_text: &input_text,
            generated_text: &attribution.generated_text,
        };
        let spec = results.spec();
        let example = (caption, &attribution);
        return artifacts::page_of(path, &spec.attribution, &spec.model.path, example);
    }
    eprintln!(
        "example {}: {input_text} → {}",
        row.example_id, attribution.generated_text
    );
    for heatmap in viz::heatmaps(&attribution, &results.step_scores()) {
        let drawn = viz::render(&heatmap, output::width(), viz::Colors::of_stdout());
        output::line(&drawn)?;
    }
    Ok(())
}
