//! `whence show`: shows one example of a job or a file as a heatmap.

use whence_schemas::RowId;

use super::artifacts;
use super::drawing::draw;
use super::stop::unless_stopped;
use crate::args::Show;
use crate::results::Source;
use crate::viz::html::Caption;
use crate::{Failure, viz};

pub(super) async fn run(arguments: Show) -> Result<(), Failure> {
    unless_stopped(show(&arguments), "nothing was written").await
}

async fn show(arguments: &Show) -> Result<(), Failure> {
    let source = Source::open(&arguments.storage.root, &arguments.job).await?;
    let row = match arguments.example {
        Some(example) => {
            let sample = arguments.sample;
            source.row(RowId { example, sample }).await?
        }
        None => source.first_attributed().await?.ok_or_else(|| {
            let name = source.name();
            Failure::run(format!("{name} has no attributed example yet"))
        })?,
    };
    let attribution = row.result.map_err(|error| {
        let message = error.message;
        Failure::run(format!("{} could not be attributed: {message}", row.id))
    })?;
    let input_text = row.input_text.unwrap_or_default();
    if let Some(path) = &arguments.viz_path {
        let caption = Caption {
            id: row.id,
            input_text: &input_text,
            generated_text: &attribution.generated_text,
        };
        let example = (caption, &attribution);
        return artifacts::write_page(path, source.attribution(), source.model(), example);
    }
    eprintln!("{}: {input_text} → {}", row.id, attribution.generated_text);
    let heatmaps = viz::heatmaps(&attribution, &source.step_scores());
    draw(&heatmaps, arguments.pictures)
}
