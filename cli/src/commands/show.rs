//! `whence show`: shows one example of a job or a file as a heatmap.

use whence_schemas::RowId;

use super::drawing::{draw, draw_context};
use super::stop::unless_stopped;
use super::{artifacts, context_ending};
use crate::args::Show;
use crate::output_file::OutputFile;
use crate::output_pair::VIZ_PATH;
use crate::results::{Results, Source};
use crate::viz::html::Caption;
use crate::{Failure, viz};

pub(super) async fn run(arguments: Show) -> Result<(), Failure> {
    unless_stopped(show(&arguments), "nothing was written").await
}

async fn show(arguments: &Show) -> Result<(), Failure> {
    let source = Source::find(&arguments.storage.root, &arguments.job).await?;
    if let Source::Job(results) = &source
        && results.spec().context.is_some()
    {
        return show_context(arguments, results).await;
    }
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

/// Shows an example of a job about contexts.
async fn show_context(arguments: &Show, results: &Results) -> Result<(), Failure> {
    let row = match arguments.example {
        Some(example) => {
            let sample = arguments.sample;
            results.context_row(RowId { example, sample }).await?
        }
        None => first(results.first_analyzed().await?, results)?,
    };
    let Some(view) = context_ending::view(results, &row) else {
        let message = row.result.err().map(|error| error.message);
        return Err(Failure::run(format!(
            "{} could not be analyzed: {}",
            row.id,
            message.unwrap_or_default()
        )));
    };
    if let Some(path) = &arguments.viz_path {
        let mut page = OutputFile::create(VIZ_PATH, path)?;
        viz::context::write_page(&mut page, &view)?;
        return artifacts::finished(page, path);
    }
    draw_context(&view)
}

/// Returns the first row. Fails if there is none yet.
fn first<R>(row: Option<R>, results: &Results) -> Result<R, Failure> {
    row.ok_or_else(|| {
        let job = results.id();
        Failure::run(format!("job `{job}` has no attributed example yet"))
    })
}
