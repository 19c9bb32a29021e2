//! `whence show`: shows examples of a job or a file as heatmaps.

use std::ops::Range;

use whence_schemas::RowId;

use super::drawing::{draw, draw_context};
use super::stop::unless_stopped;
use super::{artifacts, context_ending};
use crate::args::{ExampleRange, Show};
use crate::output_file::OutputFile;
use crate::output_pair::VIZ_PATH;
use crate::results::{Results, Rows, Source};
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
        Some(ExampleRange::One(example)) => {
            let sample = arguments.sample.unwrap_or_default();
            source.row(RowId { example, sample }).await?
        }
        Some(ExampleRange::Several(first, end)) => {
            return show_several(arguments, &source, first..end).await;
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

/// Shows the attributed examples of a range, and says of the others why they are not there.
async fn show_several(arguments: &Show, source: &Source, range: Range<i64>) -> Result<(), Failure> {
    let names = source.step_scores();
    let page = arguments.viz_path.as_deref();
    let mut page = page
        .map(|path| artifacts::begin_page_at(path, source.attribution(), source.model()))
        .transpose()?;
    let mut rows = Rows::of(source).await?;
    let (mut found, mut shown) = (0_u64, 0_u64);
    while let Some(row) = rows.next().await? {
        if row.id.example >= range.end {
            break;
        }
        let is_asked = arguments
            .sample
            .is_none_or(|sample| sample == row.id.sample);
        if !range.contains(&row.id.example) || !is_asked {
            continue;
        }
        found += 1;
        let row = source.shown(row)?;
        let attribution = match row.result {
            Ok(attribution) => attribution,
            Err(error) => {
                eprintln!("{} could not be attributed: {}", row.id, error.message);
                continue;
            }
        };
        shown += 1;
        let input_text = row.input_text.unwrap_or_default();
        let heatmaps = viz::heatmaps(&attribution, &names);
        if let Some(page) = &mut page {
            let caption = Caption {
                id: row.id,
                input_text: &input_text,
                generated_text: &attribution.generated_text,
            };
            page.add(caption, &heatmaps)?;
        } else {
            eprintln!("{}: {input_text} → {}", row.id, attribution.generated_text);
            draw(&heatmaps, arguments.pictures)?;
        }
    }
    let name = source.name();
    if found == 0 {
        let asked = arguments.example.map(|asked| format!(" {asked}"));
        let asked = asked.unwrap_or_default();
        return Err(Failure::request(format!("{name} has no examples{asked}")));
    }
    if shown == 0 {
        let refused = format!("none of these examples of {name} could be attributed");
        return Err(Failure::run(refused));
    }
    match (page, &arguments.viz_path) {
        (Some(page), Some(path)) => artifacts::finished(page.finish()?, path),
        _ => Ok(()),
    }
}

/// Shows an example of a job about contexts.
async fn show_context(arguments: &Show, results: &Results) -> Result<(), Failure> {
    let row = match arguments.example {
        Some(ExampleRange::Several(..)) => {
            let refused = "of a job about contexts, one row is shown at a time";
            return Err(Failure::request(refused));
        }
        Some(ExampleRange::One(example)) => {
            let sample = arguments.sample.unwrap_or_default();
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
