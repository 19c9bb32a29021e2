//! Flags of the commands that show results or list what there is to choose from.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use whence_proto::access::AccessOptions;

use super::batch::BatchOptions;
use super::dataset::StorageOptions;
use super::display::OutputOptions;
use super::example_range::ExampleRange;
use super::pictures::PictureOptions;
use super::progress::ProgressOptions;

/// `whence show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Job, or the beginning of its id; or a file that Inseq or whence saved (`.json`, `.json.gz`).
    pub job: String,
    /// Number of the row, or a range of rows such as `3:10`. If absent, the first row that was attributed.
    pub example: Option<ExampleRange>,
    /// Which of a row's generated sequences (`num_return_sequences`), counted from 0. Default: the first
    /// of a row, all of a range.
    #[arg(long, value_name = "N", requires = "example")]
    pub sample: Option<i32>,
    /// Where the table is.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Write the heatmaps as an HTML file instead of showing them.
    #[arg(long, value_name = "FILE")]
    pub viz_path: Option<PathBuf>,
    /// How heatmaps are drawn.
    #[command(flatten)]
    pub pictures: PictureOptions,
}

/// `whence sql`.
///
/// Tables: `jobs`, `runs`, `examples` (one row per example), `tokens`, `steps` (one row per generated
/// token), `step_scores`, `attributions` (one row per score), `alignments` (the strongest tokens of each
/// step), `word_attributions`, `token_stats`, `sequence_scores`, `attempts`, `failures`, and `slots`, the
/// stored table itself. What depends on a context is in `contexts`, `context_sensitive_tokens`,
/// `context_attributions` and `context_cues`. Other files are tables too, by their quoted paths: `FROM
/// 'labels.csv'`, also Parquet, JSON lines and Arrow. `--describe` explains every column. While a job is running,
/// its tables hold the rows that are done; `jobs.state` tells whether all are.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Sql {
    /// The query; `-` reads it from standard input. Several queries, separated by `;`, are answered one
    /// after the other, as tables. Without a query, a terminal shows a prompt.
    pub query: Option<String>,
    /// Read the query from this file.
    #[arg(short, long, value_name = "FILE", conflicts_with = "query")]
    pub file: Option<PathBuf>,
    /// Query these table files instead of a storage root: files and folders. They go after the query.
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with = "root")]
    pub tables: Vec<PathBuf>,
    /// Explain the columns of this table, or of all tables.
    #[arg(long, value_name = "TABLE", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["query", "file"])]
    pub describe: Option<String>,
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

/// `whence export`.
#[derive(Debug, Args)]
pub struct Export {
    /// Job, or the beginning of its id.
    pub job: String,
    /// The table whose rows are written, as `whence sql --describe` lists them.
    #[arg(long, value_name = "TABLE", default_value = "attributions")]
    pub view: String,
    /// The file to write; `-` is standard output.
    ///
    /// An existing file is replaced when the export has finished; it stays as it is if the export
    /// fails.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Format of the file. If absent, the file's extension decides: `.parquet`, `.csv`, `.json`,
    /// `.jsonl`, `.arrow` or `.feather`.
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,
    /// Memory for sorting, grouping and joining, which some tables need.
    #[arg(long, env = "WHENCE_MEMORY", value_parser = whence_worker::memory::parse, default_value = "2GiB", value_name = "SIZE")]
    pub memory: u64,
    /// Where the tables are.
    #[command(flatten)]
    pub storage: StorageOptions,
}

/// Format of an exported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// Parquet.
    Parquet,
    /// Comma-separated values with a header.
    Csv,
    /// A JSON array with one object per row.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// An Arrow IPC file, also known as Feather.
    Arrow,
}

/// `whence verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Job, or the beginning of its id.
    pub job: String,
    /// Where the tables are.
    #[command(flatten)]
    pub storage: StorageOptions,
}

/// `whence retry`.
#[derive(Debug, Args)]
pub struct Retry {
    /// Job, or the beginning of its id.
    pub job: String,
    /// Where the tables are.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Compute on the workers of the coordinator at this URL, not in this process. --root is not used.
    #[arg(long, value_name = "URL", help_heading = "Cluster")]
    pub cluster: Option<String>,
    /// How it is reached.
    #[command(flatten)]
    pub access: AccessOptions,
    /// How much at once.
    #[command(flatten)]
    pub batch: BatchOptions,
    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressOptions,
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
    /// An SQL script for DuckDB.
    Duckdb,
    /// A Python module for Polars.
    Polars,
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

/// `whence man`.
#[derive(Debug, Args)]
pub struct Man {
    /// The command; the overview when absent. `whence man attribute | man -l -` shows the page.
    pub command: Option<String>,
    /// Write the pages of all commands to this folder, which is created.
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    pub all: Option<PathBuf>,
}
