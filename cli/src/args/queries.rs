//! Flags of the commands that show results or list what there is to choose from.

use clap::{Args, ValueEnum};

use super::dataset::StorageOptions;
use super::display::OutputOptions;
use super::pictures::PictureOptions;

/// `whence show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Job, or the beginning of its id.
    pub job: String,
    /// Number of the row. If absent, the first row that was attributed.
    pub example: Option<i64>,
    /// Which of the row's generated sequences (`num_return_sequences`), counted from 0.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "example")]
    pub sample: i32,
    /// Where the table is.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Write the heatmap as an HTML file instead of showing it.
    #[arg(long, value_name = "FILE")]
    pub viz_path: Option<std::path::PathBuf>,
    /// How heatmaps are drawn.
    #[command(flatten)]
    pub pictures: PictureOptions,
}

/// `whence sql`.
///
/// Tables: `jobs`, `examples` (one row per example), `steps` (one row per generated token),
/// `attributions` (one row per score), `sequence_scores` (one row per score between two source or two
/// target tokens, if the job recorded them), and `slots`, the stored table itself. `whence sql "SHOW
/// TABLES"` lists the tables, and `DESCRIBE steps` the columns of one. While a job is running, its
/// tables hold the rows that are done; `jobs.state` tells whether all are.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Sql {
    /// The query.
    pub query: String,
    /// Memory for sorting, grouping and joining: `6GiB`, `512MiB` or bytes. If a query needs more, it
    /// uses files in the temporary directory.
    #[arg(long, env = "WHENCE_MEMORY", value_parser = whence_worker::memory::parse, default_value = "2GiB", value_name = "SIZE")]
    pub memory: u64,
    /// Where the tables are.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// How results are written.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// `whence views`.
#[derive(Debug, Args)]
pub struct Views {
    /// The engine.
    #[arg(value_enum)]
    pub engine: ViewEngine,
    /// Where the tables are.
    #[command(flatten)]
    pub storage: StorageOptions,
}

/// Engines that views can be printed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ViewEngine {
    /// DuckDB.
    Duckdb,
}

/// `whence list`.
#[derive(Debug, Args)]
pub struct List {
    /// What to list.
    #[arg(value_enum)]
    pub what: Listing,
    /// Show only the entry with this name.
    pub name: Option<String>,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// Attribution methods.
    Methods,
    /// Step functions, which can be attributed or recorded in addition.
    StepFunctions,
    /// Aggregators, which reduce several scores to one.
    Aggregators,
    /// Model architectures.
    Models,
}

/// `whence completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
