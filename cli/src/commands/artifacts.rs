//! Files beside the table: Inseq's format and the HTML page.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use whence_engine::Attribution;
use whence_schemas::{AttributionSpec, RowId};

use crate::args::DisplayOptions;
use crate::inseq_file::InseqFile;
use crate::results::Results;
use crate::viz::html::{Caption, Page};
use crate::{Failure, viz};

/// Writes what `display` asks for of every attributed example of a job, example by example.
pub(super) async fn of_results(results: &Results, display: &DisplayOptions) -> Result<(), Failure> {
    if display.save_path.is_none() && display.viz_path.is_none() {
        return Ok(());
    }
    let spec = results.spec();
    let names = results.step_scores();
    let mut files = Files::create(display, &spec.attribution, &names, &spec.model.path)?;
    for slot in results.slots().await? {
        for row in results.rows(&slot).await? {
            let Ok(attribution) = &row.outcome else {
                continue;
            };
            let input_text = row.input_text.as_deref().unwrap_or_default();
            files.add(row.id, input_text, attribution)?;
        }
    }
    files.finish()
}

/// The files that were asked for, being written.
pub(super) struct Files {
    saved: Option<InseqFile<BufWriter<File>>>,
    page: Option<Page<BufWriter<File>>>,
    step_scores: Vec<String>,
    told: Vec<String>,
}

impl Files {
    /// Creates the files that `display` asks for. Fails if one cannot be.
    pub(super) fn create(
        display: &DisplayOptions,
        spec: &AttributionSpec,
        step_scores: &[String],
        model: &str,
    ) -> Result<Self, Failure> {
        let mut told = Vec::new();
        let mut create = |path: &Path| {
            told.push(path.display().to_string());
            create(path)
        };
        let saved = match &display.save_path {
            Some(path) => Some(InseqFile::begin(create(path)?, spec, step_scores, model)?),
            None => None,
        };
        let page = match &display.viz_path {
            Some(path) => Some(begin_page(create(path)?, spec, model)?),
            None => None,
        };
        Ok(Self {
            saved,
            page,
            step_scores: step_scores.to_vec(),
            told,
        })
    }

    /// Adds the row `id`.
    pub(super) fn add(
        &mut self,
        id: RowId,
        input_text: &str,
        attribution: &Attribution,
    ) -> Result<(), Failure> {
        if let Some(saved) = &mut self.saved {
            saved.add(input_text, attribution)?;
        }
        if let Some(page) = &mut self.page {
            let caption = Caption {
                id,
                input_text,
                generated_text: &attribution.generated_text,
            };
            page.add(caption, &viz::heatmaps(attribution, &self.step_scores))?;
        }
        Ok(())
    }

    /// Ends the files, and tells where they are.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if let Some(saved) = self.saved {
            saved.finish()?;
        }
        if let Some(page) = self.page {
            page.finish()?;
        }
        for path in self.told {
            eprintln!("wrote: {path}");
        }
        Ok(())
    }
}

/// Writes one attribution as a page.
pub(super) fn page_of(
    path: &Path,
    spec: &AttributionSpec,
    model: &str,
    (caption, attribution): (Caption<'_>, &Attribution),
) -> Result<(), Failure> {
    let mut page = begin_page(create(path)?, spec, model)?;
    let names = spec.step_score_labels();
    page.add(caption, &viz::heatmaps(attribution, &names))?;
    page.finish()?;
    eprintln!("wrote: {}", path.display());
    Ok(())
}

fn begin_page<W: Write>(out: W, spec: &AttributionSpec, model: &str) -> Result<Page<W>, Failure> {
    let function = |function: &whence_schemas::FunctionSpec| {
        if function.params.is_empty() {
            function.name.clone()
        } else {
            let parameters = serde_json::Value::Object(function.params.clone());
            format!("{} {parameters}", function.name)
        }
    };
    let facts = [
        ("Model", model.to_owned()),
        ("Method", function(&spec.method)),
        ("Attributed function", function(&spec.attributed_fn)),
        ("Program", format!("whence {}", env!("CARGO_PKG_VERSION"))),
    ];
    Ok(Page::begin(out, &spec.method.name, &facts)?)
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let file = File::create(path);
    let file =
        file.map_err(|error| Failure::request(format!("create `{}`: {error}", path.display())))?;
    Ok(BufWriter::new(file))
}
