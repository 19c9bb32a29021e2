//! `whence compare`: two runs over the same examples, as a difference or side by side.

use std::io::Write;

use whence_schemas::RowId;

use super::artifacts::finished;
use super::drawing::draw;
use super::stop::unless_stopped;
use crate::args::Compare;
use crate::comparison::agreement::Agreement;
use crate::comparison::pairs::{self, Paired, RunRows};
use crate::comparison::pictures::{RunHeatmap, StepScores};
use crate::comparison::runs;
use crate::comparison::shared::SharedScores;
use crate::comparison::tally::Tally;
use crate::output_file::OutputFile;
use crate::output_pair::VIZ_PATH;
use crate::results::Source;
use crate::viz::Heatmap;
use crate::viz::html::{Entry, Page, Picture};
use crate::{Failure, output};

pub(super) async fn run(arguments: Compare) -> Result<(), Failure> {
    // What it holds while it reads two tables is too large for the stack of every command.
    unless_stopped(Box::pin(compare(&arguments)), "nothing was written").await
}

async fn compare(arguments: &Compare) -> Result<(), Failure> {
    let root = &arguments.storage.root;
    let other_root = arguments.other_root.as_ref().unwrap_or(root);
    let runs = [
        runs::open(root, &arguments.first).await?,
        runs::open(other_root, &arguments.second).await?,
    ];
    let mut page = match &arguments.viz_path {
        Some(path) => Some(begin_page(OutputFile::create(VIZ_PATH, path)?, &runs)?),
        None => None,
    };
    let scores = StepScores::new(runs.each_ref().map(Source::step_scores));
    let mut tally = Tally::default();
    let mut rows = [
        RunRows::begin(&runs[0]).await?,
        RunRows::begin(&runs[1]).await?,
    ];
    while let Some(paired) = pairs::next(&mut rows).await? {
        let Paired::Both(rows) = paired else {
            tally.alone += 1;
            continue;
        };
        let id = rows[0].id;
        if arguments.example.is_some_and(|wanted| wanted != id.example) {
            continue;
        }
        let [Ok(first), Ok(second)] = rows.each_ref().map(|row| row.result.as_ref()) else {
            tally.failed += 1;
            continue;
        };
        let shared = match SharedScores::new(first, second) {
            Ok(shared) => shared,
            Err(mismatch) => {
                tally.refuse(id, mismatch);
                continue;
            }
        };
        let agreement = Agreement::new(&shared, arguments.top_k.into());
        if let Some(page) = &mut page {
            let input = rows[0].input_text.as_deref().unwrap_or_default();
            let texts = [
                ("Input", input),
                ("Output", shared.first.generated_text.as_str()),
            ];
            let heatmaps = scores.heatmaps(&shared, arguments.mode);
            add(page, (id, &texts), (agreement, arguments.top_k), &heatmaps)?;
        }
        tally.add(id, agreement, shared);
    }
    tally.check(arguments.example)?;
    if let (Some(page), Some(path)) = (page, &arguments.viz_path) {
        finished(page.finish()?, path)?;
    }
    show(arguments, &runs, &scores, &tally)
}

/// Prints how far the runs agree, and the heatmaps of one example unless they are on a page.
fn show(
    arguments: &Compare,
    runs: &[Source; 2],
    scores: &StepScores,
    tally: &Tally,
) -> Result<(), Failure> {
    for notice in tally.notices() {
        output::warn(&notice);
    }
    for (name, run) in ["A", "B"].into_iter().zip(runs) {
        output::line(&format!("{name}: {}", described(run)))?;
    }
    output::line(&tally.summary(arguments.top_k))?;
    let Some((id, shared)) = tally.least_alike() else {
        return Ok(());
    };
    if arguments.viz_path.is_some() {
        return Ok(());
    }
    output::line(&format!("\n{id}"))?;
    let heatmaps = scores.heatmaps(shared, arguments.mode).into_iter();
    let heatmaps: Vec<Heatmap> = heatmaps.map(|own| own.heatmap).collect();
    draw(&heatmaps, arguments.pictures)
}

/// Returns what a run computed, in a few words.
fn described(run: &Source) -> String {
    let attribution = run.attribution();
    format!(
        "{}, {} of {} in {}",
        run.name(),
        attribution.method.name,
        attribution.attributed_fn.name,
        run.model()
    )
}

fn begin_page<W: Write>(out: W, runs: &[Source; 2]) -> Result<Page<W>, Failure> {
    let [first, second] = runs.each_ref().map(described);
    let program = format!("whence {}", env!("CARGO_PKG_VERSION"));
    let facts = [("A", first), ("B", second), ("Program", program)];
    Ok(Page::begin(out, "Comparison", &facts)?)
}

/// Adds an example to the page, with its measures.
fn add<W: Write>(
    page: &mut Page<W>,
    (id, texts): (RowId, &[(&str, &str)]),
    (agreement, top_k): (Agreement, u16),
    heatmaps: &[RunHeatmap],
) -> Result<(), Failure> {
    let pictures = heatmaps.iter().map(|own| Picture {
        run: own.run,
        heatmap: &own.heatmap,
    });
    let overlap = format!("top-{top_k} overlap");
    page.add_entry(&Entry {
        id,
        texts,
        measures: &[
            ("rank correlation", agreement.rank_correlation),
            (&overlap, agreement.top_overlap),
        ],
        pictures: &pictures.collect::<Vec<_>>(),
    })?;
    Ok(())
}
