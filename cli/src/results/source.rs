//! Attributions to read: the table of a job, or a file that Inseq or whence saved.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task;
use whence_engine::Attribution;
use whence_engine::aggregate::{Context, Pipeline};
use whence_schemas::{AttributionSpec, FunctionSpec, RowError, RowId, user_path};
use whence_worker::table::TableRow;

use super::job::Results;
use crate::Failure;
use crate::inseq_file::{ModelClasses, SavedAttributions, SavedExample};

/// The endings of names that can only be those of files.
const FILE_ENDINGS: [&str; 3] = [".json", ".gz", ".jsonl"];

/// Attributions to read.
#[derive(Debug, Clone)]
pub enum Source {
    /// The table of a job.
    Job(Arc<Results>),
    /// A file of attributions.
    File(Arc<SavedAttributions>),
}

impl Source {
    /// Opens what `name` means: a file if there is one of that name, or else the job of the storage
    /// root at `root` whose id begins with it.
    ///
    /// Fails if there is neither, or if the job has no attributions.
    pub async fn open(root: &str, name: &str) -> Result<Self, Failure> {
        let source = Self::find(root, name).await?;
        if let Self::Job(results) = &source {
            results.check_attributions()?;
        }
        Ok(source)
    }

    /// Like [`Source::open`], but the job may have another kind of table.
    pub async fn find(root: &str, name: &str) -> Result<Self, Failure> {
        if !Self::is_file(name)? {
            return Ok(Self::Job(Arc::new(Results::open(root, name).await?)));
        }
        let path = PathBuf::from(user_path::expand(name).map_err(Failure::request)?);
        let opened = task::spawn_blocking(move || SavedAttributions::open(&path)).await;
        let opened = opened.map_err(|error| Failure::run(format!("read the file: {error}")))?;
        Ok(Self::File(Arc::new(opened?)))
    }

    /// Returns whether `name` means a file: there is one, or it is written like one.
    pub fn is_file(name: &str) -> Result<bool, Failure> {
        let expanded = user_path::expand(name).map_err(Failure::request)?;
        let is_written_like_one =
            name.contains('/') || FILE_ENDINGS.iter().any(|ending| name.ends_with(ending));
        Ok(is_written_like_one || Path::new(&expanded).is_file())
    }

    /// Returns what was computed for each example.
    pub fn attribution(&self) -> &AttributionSpec {
        match self {
            Self::Job(results) => &results.spec().attribution,
            Self::File(file) => file.outline().specification(),
        }
    }

    /// Returns the name or path of the model.
    pub fn model(&self) -> &str {
        match self {
            Self::Job(results) => &results.spec().model.path,
            Self::File(file) => file.outline().model(),
        }
    }

    /// Returns the classes of the model and its tokenizer, as far as they are known.
    pub fn classes(&self) -> ModelClasses {
        match self {
            Self::Job(results) => ModelClasses::of_model(Path::new(&results.spec().model.path)),
            Self::File(file) => file.outline().classes(),
        }
    }

    /// Returns the names of the step scores, in the order in which attributions list them.
    pub fn step_scores(&self) -> Vec<String> {
        self.attribution().step_score_labels()
    }

    /// Returns the aggregators that leave one score per token; none if there is no more than one.
    pub fn default_aggregators(&self) -> Vec<FunctionSpec> {
        match self {
            Self::Job(_) => Vec::new(),
            Self::File(file) => {
                let names = file.outline().default_aggregators.iter().copied();
                names.map(FunctionSpec::named).collect()
            }
        }
    }

    /// Returns how people call the source.
    pub fn name(&self) -> String {
        match self {
            Self::Job(results) => format!("job `{}`", results.id()),
            Self::File(file) => format!("`{}`", file.path().display()),
        }
    }

    /// Returns the row `id` with one score per token. Fails if there is no such row.
    pub async fn row(&self, id: RowId) -> Result<TableRow, Failure> {
        let file = match self {
            Self::Job(results) => return results.row(id).await,
            Self::File(file) => Arc::clone(file),
        };
        let example = usize::try_from(id.example).ok().filter(|_| id.sample == 0);
        let read = task::spawn_blocking(move || match example {
            Some(index) => file.example_at(index),
            None => Ok(None),
        });
        let read = read
            .await
            .map_err(|error| Failure::run(format!("read the file: {error}")))?;
        let found =
            read?.ok_or_else(|| Failure::request(format!("{} has no {id}", self.name())))?;
        self.shown(row_of(found))
    }

    /// Returns the first row that was attributed without an error, with one score per token; `None`
    /// if there is none.
    pub async fn first_attributed(&self) -> Result<Option<TableRow>, Failure> {
        match self {
            Self::Job(results) => results.first_attributed().await,
            Self::File(file) if file.outline().sequences == 0 => Ok(None),
            Self::File(_) => {
                let first = RowId {
                    example: 0,
                    sample: 0,
                };
                self.row(first).await.map(Some)
            }
        }
    }

    /// Reduces raw scores to one per token, as Inseq does by default.
    pub fn shown(&self, row: TableRow) -> Result<TableRow, Failure> {
        let spec = self.attribution();
        let pipeline = Pipeline::build(
            &self.default_aggregators(),
            whence_engine::aggregation_defaults(spec),
        )?;
        let Ok(attribution) = row.result else {
            return Ok(row);
        };
        let context = Context {
            step_scores: &whence_engine::step_score_merges(spec),
            is_special: &|_, _| false,
            source_text: None,
            column: None,
            defaults: pipeline.defaults(),
        };
        let shown = pipeline.aggregate(attribution, &context)?;
        Ok(TableRow {
            result: Ok(shown),
            ..row
        })
    }
}

/// Returns an example of a file as a row of a table.
pub(super) fn row_of(example: SavedExample) -> TableRow {
    let attribution: Result<Attribution, RowError> = Ok(example.attribution);
    TableRow {
        id: RowId {
            example: example.index as i64,
            sample: 0,
        },
        input_text: example.input_text,
        forced: attribution
            .as_ref()
            .is_ok_and(|attribution| attribution.forced),
        result: attribution,
    }
}
