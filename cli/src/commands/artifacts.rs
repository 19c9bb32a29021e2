//! The output files that a user can ask for besides the table: Inseq's format and the HTML page.

use std::io::Write;
use std::path::Path;

use whence_engine::Attribution;
use whence_schemas::{AttributionSpec, FunctionSpec, JobSpec, RowId};

use crate::args::DisplayOptions;
use crate::inseq_file::{InseqFile, ModelClasses, Origin};
use crate::output_file::OutputFile;
use crate::output_file::compressed::SavedFile;
use crate::output_pair::{OutputPair, Shown, VIZ_PATH};
use crate::results::Results;
use crate::viz::html::{Caption, Page};
use crate::{Failure, viz};

/// The requested output files, created before the work so that a bad path is found early.
pub(super) struct Targets {
    saved: Option<SavedFile>,
    page: Option<OutputFile>,
    /// The paths to report once the files are written.
    paths: Vec<String>,
}

impl Targets {
    /// Creates the files that `display` asks for. Fails if one of them cannot be written, if both
    /// have the same path, or if one shares standard output with the heatmaps.
    pub(super) fn create(display: &DisplayOptions) -> Result<Self, Failure> {
        let (saved, page) = (display.save_path.as_deref(), display.viz_path.as_deref());
        let shown = Shown {
            what: "do the heatmaps",
            hint: "add --hide-attributions",
        };
        let shown = (!display.hide_attributions).then_some(shown);
        let pair = OutputPair::create(saved, page, shown)?;
        let named = |file: &Option<OutputFile>, path: Option<&Path>| {
            let is_file = file.as_ref().is_some_and(|file| !file.is_stdout());
            path.filter(|_| is_file)
                .map(|path| path.display().to_string())
        };
        let paths = [named(&pair.saved, saved), named(&pair.page, page)];
        let paths = paths.into_iter().flatten().collect();
        let OutputPair { saved: file, page } = pair;
        let is_gzip = display.compress || saved.is_some_and(is_named_gzip);
        let saved = file.map(|file| SavedFile::new(file, is_gzip));
        Ok(Self { saved, page, paths })
    }

    /// Writes the beginning of the files: everything that is known before the first attribution.
    ///
    /// `step_scores` names the step scores, in the order in which attributions list them.
    pub(super) fn begin(
        self,
        spec: &AttributionSpec,
        step_scores: &[String],
        origin: Origin,
    ) -> Result<Files, Failure> {
        let page = self.page.map(|out| begin_page(out, spec, &origin.model));
        let saved = self
            .saved
            .map(|out| InseqFile::begin(out, spec, step_scores, origin));
        Ok(Files {
            saved: saved.transpose()?,
            page: page.transpose()?,
            step_scores: step_scores.to_vec(),
            paths: self.paths,
        })
    }
}

/// Writes the files that `display` asks for, with every attributed example of a finished job. Reads
/// the table slot by slot, so memory stays bounded.
pub(super) async fn write_results(
    results: &Results,
    display: &DisplayOptions,
) -> Result<(), Failure> {
    if display.save_path.is_none() && display.viz_path.is_none() {
        return Ok(());
    }
    let spec = results.spec();
    let names = results.step_scores();
    let origin = origin_of_table(display, &spec.model.path, spec);
    let mut files = Targets::create(display)?.begin(&spec.attribution, &names, origin)?;
    for slot in results.slots().await? {
        for row in results.rows(&slot).await? {
            let Ok(attribution) = &row.result else {
                continue;
            };
            let input_text = row.input_text.as_deref().unwrap_or_default();
            files.add(row.id, input_text, attribution)?;
        }
    }
    files.finish()
}

/// Returns what a file with the scores of a job's table says about them. `model` is what the user
/// calls the model.
pub(super) fn origin_of_table(display: &DisplayOptions, model: &str, spec: &JobSpec) -> Origin {
    let classes = ModelClasses::of_model(Path::new(&spec.model.path));
    Origin {
        aggregators: Some(aggregators_of(spec)),
        ..origin_of(display, model, classes)
    }
}

/// Returns what a saved file says about the model, with raw scores.
pub(super) fn origin_of(display: &DisplayOptions, model: &str, classes: ModelClasses) -> Origin {
    Origin {
        model: model.to_owned(),
        classes,
        aggregators: None,
        precision: display.scores_precision,
    }
}

/// Returns the aggregators that made the scores of a job's table.
fn aggregators_of(spec: &JobSpec) -> Vec<FunctionSpec> {
    let own = effective_aggregators(&spec.attribution);
    let later = spec.derived_from.iter().flat_map(|from| &from.stages);
    own.into_iter().chain(later.cloned()).collect()
}

/// Returns the aggregators that a specification names, or the defaults of its method.
pub(super) fn effective_aggregators(spec: &AttributionSpec) -> Vec<FunctionSpec> {
    if let Some(aggregators) = &spec.aggregators {
        return aggregators.clone();
    }
    let own = whence_engine::default_aggregators(&spec.method).unwrap_or_default();
    own.iter().copied().map(FunctionSpec::named).collect()
}

fn is_named_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "gz")
}

/// The requested output files, being written. If dropped before [`Files::finish`], they leave no
/// trace.
pub(super) struct Files {
    saved: Option<InseqFile<SavedFile>>,
    page: Option<Page<OutputFile>>,
    step_scores: Vec<String>,
    paths: Vec<String>,
}

impl Files {
    /// Adds an attributed row to every file.
    pub(super) fn add(
        &mut self,
        id: RowId,
        input_text: &str,
        attribution: &Attribution,
    ) -> Result<(), Failure> {
        self.add_both(id, input_text, (attribution, attribution))
    }

    /// Adds an attributed row: the page shows the scores of `shown`, and the other file has those of
    /// `saved`.
    pub(super) fn add_both(
        &mut self,
        id: RowId,
        input_text: &str,
        (shown, saved): (&Attribution, &Attribution),
    ) -> Result<(), Failure> {
        if let Some(file) = &mut self.saved {
            file.add(input_text, saved)?;
        }
        if let Some(page) = &mut self.page {
            let caption = Caption {
                id,
                input_text,
                generated_text: &shown.generated_text,
            };
            page.add(caption, &viz::heatmaps(shown, &self.step_scores))?;
        }
        Ok(())
    }

    /// Completes the files and prints their paths.
    pub(super) fn finish(self) -> Result<(), Failure> {
        if let Some(saved) = self.saved {
            saved.finish()?.finish()?;
        }
        if let Some(page) = self.page {
            page.finish()?.finish()?;
        }
        for path in self.paths {
            eprintln!("wrote: {path}");
        }
        Ok(())
    }
}

/// Writes a page with a single attribution.
pub(super) fn write_page(
    path: &Path,
    spec: &AttributionSpec,
    model: &str,
    (caption, attribution): (Caption<'_>, &Attribution),
) -> Result<(), Failure> {
    let mut page = begin_page_at(path, spec, model)?;
    let names = spec.step_score_labels();
    page.add(caption, &viz::heatmaps(attribution, &names))?;
    finished(page.finish()?, path)
}

/// Begins a page in the file at `path`, which a user has asked for.
pub(super) fn begin_page_at(
    path: &Path,
    spec: &AttributionSpec,
    model: &str,
) -> Result<Page<OutputFile>, Failure> {
    begin_page(OutputFile::create(VIZ_PATH, path)?, spec, model)
}

/// Completes a file and prints its path.
pub(super) fn finished(file: OutputFile, path: &Path) -> Result<(), Failure> {
    let is_stdout = file.is_stdout();
    file.finish()?;
    if !is_stdout {
        eprintln!("wrote: {}", path.display());
    }
    Ok(())
}

fn begin_page<W: Write>(out: W, spec: &AttributionSpec, model: &str) -> Result<Page<W>, Failure> {
    let function = |function: &FunctionSpec| {
        if function.params.is_empty() {
            function.name.clone()
        } else {
            let parameters = serde_json::Value::Object(function.params.clone());
            format!("{} {parameters}", function.name)
        }
    };
    let mut facts = vec![
        ("Model", model.to_owned()),
        ("Method", function(&spec.method)),
        ("Attributed function", function(&spec.attributed_fn)),
    ];
    let contrast = &spec.contrast;
    let texts = [
        ("Contrast", &contrast.contrast_targets),
        ("Contrast source", &contrast.contrast_sources),
    ];
    facts.extend(
        texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, text.clone()?))),
    );
    facts.push(("Program", format!("whence {}", env!("CARGO_PKG_VERSION"))));
    Ok(Page::begin(out, &spec.method.name, &facts)?)
}
