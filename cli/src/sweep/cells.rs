//! A sweep whose file was read: each cell with its options, and the job that these describe.

use std::path::Path;

use super::budget::Budget;
use super::file;
use super::grid::{self, Grid};
use super::options::KnownOptions;
use crate::Failure;
use crate::args::CellOptions;
use crate::job::{self, Request};

/// A sweep.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// The names of the axes.
    pub(crate) axes: Vec<String>,
    /// The cells.
    pub(crate) cells: Vec<SweepCell>,
    /// What it may cost.
    pub(crate) budget: Budget,
}

/// A cell.
#[derive(Debug)]
pub(crate) struct SweepCell {
    /// What it is called on each axis.
    pub(crate) labels: Vec<String>,
    options: CellOptions,
}

impl Sweep {
    /// Reads the file at `path`. Fails on whatever in it is not understood, before anything runs.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let here = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::request(format!("`{here}` cannot be read: {error}")))?;
        Self::parse(&text).map_err(|failure| failure.in_context(&format!("`{here}`:")))
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let file = file::parse(text)?;
        file.budget.check()?;
        let known = KnownOptions::new();
        let grid = Grid::of(&file, &known)?;
        let cells = grid.cells.iter().map(|cell| read(cell, &known));
        Ok(Self {
            cells: cells.collect::<Result<_, _>>()?,
            axes: grid.axes,
            budget: file.budget,
        })
    }
}

fn read(cell: &grid::Cell, known: &KnownOptions) -> Result<SweepCell, Failure> {
    let named = |failure: Failure| {
        let labels = cell.labels.join(", ");
        match labels.as_str() {
            "" => failure,
            labels => failure.in_context(&format!("the cell {labels}:")),
        }
    };
    let read = SweepCell {
        labels: cell.labels.clone(),
        options: known.read(&cell.settings).map_err(named)?,
    };
    // What is wrong whatever the model and the dataset are is a mistake in the file.
    let request = read.request().map_err(named)?;
    let checked = whence_engine::check_request(&request.attribution, request.fields.given());
    checked.map_err(|error| named(error.into()))?;
    Ok(read)
}

impl SweepCell {
    /// Returns the job of the cell as if it had been typed.
    pub(crate) fn request(&self) -> Result<Request<'_>, Failure> {
        let CellOptions {
            model,
            dataset,
            attribution,
            job,
        } = &self.options;
        Ok(Request {
            model,
            rows: job::Rows::Of(&dataset.place),
            fields: dataset.into(),
            attribution: job::attribution(attribution, model)?,
            context: None,
            job: job.clone(),
        })
    }
}
