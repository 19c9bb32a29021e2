//! What can be typed: the commands and their flags, Inseq's names first.
//!
//! Flags shared by commands are one struct each, flattened where they apply. What was typed becomes
//! what is meant (a [`whence_schemas::JobSpec`]) in `job`; nothing here looks at files.

mod attribution;
mod batch;
mod dataset;
mod display;
mod refused;
mod service;
pub mod spelling;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use attribution::{AttributionOptions, ModelOptions, TextOptions};
pub use batch::BatchOptions;
pub use dataset::{DatasetOptions, JobOptions, StorageOptions};
pub use display::{DisplayOptions, Format, OutputOptions};
pub use service::{CoordinatorOptions, DoctorOptions};

/// Attributes what language models generate to the tokens it came from, for whole datasets.
#[derive(Debug, Parser)]
#[command(name = "whence", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How much to tell on standard error.
    #[command(flatten)]
    pub verbosity: Verbosity,
}

/// How much to tell.
#[derive(Debug, Args)]
pub struct Verbosity {
    /// Tell more about what happens, on standard error.
    #[arg(short, long, global = true, help_heading = "Messages")]
    verbose: bool,
    /// Tell everything that happens (`-vv`).
    #[arg(long, global = true, help_heading = "Messages")]
    very_verbose: bool,
}

impl Verbosity {
    /// Returns the level of messages to show.
    pub fn level(&self) -> &'static str {
        match (self.verbose, self.very_verbose) {
            (_, true) => "debug",
            (true, false) => "info",
            (false, false) => "warn",
        }
    }
}

/// Everything `whence` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Attribute single texts and show their heatmaps.
    #[command(after_help = refused::HELP, alias = "attr")]
    Attribute(Attribute),
    /// Attribute every row of a dataset, in this process, into a table.
    ///
    /// The same command again resumes where it was stopped, and shows the result once it is there.
    #[command(after_help = refused::HELP, alias = "attr-dataset")]
    AttributeDataset(AttributeDataset),
    /// Submit a dataset to a running coordinator.
    ///
    /// Takes the flags of `attribute-dataset`. Digests are computed here, so model and dataset must
    /// be readable here under the paths by which coordinator (dataset) and workers (model) see them.
    #[command(after_help = refused::HELP)]
    Submit(Submit),
    /// Show how far jobs are.
    Status(Status),
    /// Follow a job until it ends.
    Watch(Watch),
    /// Stop working on a job. Rows that are computed are kept.
    Cancel(Cancel),
    /// Show an example of a job as a heatmap.
    Show(Show),
    /// Ask questions in SQL about everything below a storage root.
    Sql(Sql),
    /// Print the same views for another engine.
    Views(Views),
    /// List what there is to choose from.
    List(List),
    /// Check this machine and a storage root.
    Doctor(DoctorOptions),
    /// Serve a storage root: hand shards to workers, seal tables.
    Coordinator(whence_coordinator::command::Arguments),
    /// Work for a coordinator.
    Worker(whence_worker::command::Arguments),
    /// Print completions for a shell.
    Completions(Completions),
}

impl Command {
    /// Returns whether this runs until it is told to stop, and talks to a log.
    pub fn is_service(&self) -> bool {
        matches!(self, Self::Coordinator(_) | Self::Worker(_))
    }
}

/// `whence attribute`.
#[derive(Debug, Args)]
pub struct Attribute {
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// The texts.
    #[command(flatten)]
    pub texts: TextOptions,
    /// What to compute.
    #[command(flatten)]
    pub attribution: AttributionOptions,
    /// Seed of everything random.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How much at once.
    #[command(flatten)]
    pub batch: BatchOptions,
    /// Where results go.
    #[command(flatten)]
    pub display: DisplayOptions,
}

/// `whence attribute-dataset`.
#[derive(Debug, Args)]
pub struct AttributeDataset {
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// The rows.
    #[command(flatten)]
    pub dataset: DatasetOptions,
    /// What to compute.
    #[command(flatten)]
    pub attribution: AttributionOptions,
    /// How to run it.
    #[command(flatten)]
    pub job: JobOptions,
    /// Where the table goes.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Workers in this process. One uses every core; more overlap reading and writing with computing.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64), value_name = "COUNT", help_heading = "Job")]
    pub workers: u16,
    /// How much at once.
    #[command(flatten)]
    pub batch: BatchOptions,
    /// Where results go.
    #[command(flatten)]
    pub display: DisplayOptions,
    /// Show no progress.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `whence submit`.
#[derive(Debug, Args)]
pub struct Submit {
    /// The model.
    #[command(flatten)]
    pub model: ModelOptions,
    /// The rows.
    #[command(flatten)]
    pub dataset: DatasetOptions,
    /// What to compute.
    #[command(flatten)]
    pub attribution: AttributionOptions,
    /// How to run it.
    #[command(flatten)]
    pub job: JobOptions,
    /// Whom to ask.
    #[command(flatten)]
    pub coordinator: CoordinatorOptions,
    /// Follow the job until it ends, as `whence watch` does.
    #[arg(long)]
    pub watch: bool,
}

/// `whence status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Job, or the beginning of its id; all jobs when absent.
    pub job: Option<String>,
    /// Whom to ask.
    #[command(flatten)]
    pub coordinator: CoordinatorOptions,
    /// Print JSON, one object per line.
    #[arg(long)]
    pub json: bool,
}

/// `whence watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// Job, or the beginning of its id.
    pub job: String,
    /// Whom to ask.
    #[command(flatten)]
    pub coordinator: CoordinatorOptions,
    /// Show only how it ended.
    #[arg(short, long)]
    pub quiet: bool,
}

/// `whence cancel`.
#[derive(Debug, Args)]
pub struct Cancel {
    /// Job, or the beginning of its id.
    pub job: String,
    /// Whom to ask.
    #[command(flatten)]
    pub coordinator: CoordinatorOptions,
}

/// `whence show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Job, or the beginning of its id.
    pub job: String,
    /// Number of the row; the first attributed one when absent.
    pub example: Option<i64>,
    /// Which of the sequences generated for it (`num_return_sequences`), from 0.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "example")]
    pub sample: i32,
    /// Where the table is.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Write the heatmap as an HTML file instead of showing it.
    #[arg(long, value_name = "FILE")]
    pub viz_path: Option<std::path::PathBuf>,
}

/// `whence sql`.
///
/// Tables: `jobs`, `examples` (one row per example), `steps` (one row per generated token),
/// `attributions` (one row per score), `sequence_scores` (one row per score of a token for another of
/// its stack, where a method was asked for them). `whence sql "SHOW TABLES"` lists them, `DESCRIBE steps` their
/// columns; `slots` is the stored table itself. Every filled slot is final, so answers about a running job are right for the rows that
/// are done; `jobs.state` says whether all are.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Sql {
    /// The question.
    pub query: String,
    /// Memory for what must be held to sort, group or join: `6GiB`, `512MiB` or bytes. More goes to
    /// files in the temporary directory.
    #[arg(long, env = "WHENCE_MEMORY", value_parser = whence_worker::memory::parse, default_value = "2GiB", value_name = "SIZE")]
    pub memory: u64,
    /// Where the tables are.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// How answers are written.
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

/// Engines we can write views for.
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
    /// Show only the entry of this name.
    pub name: Option<String>,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// Attribution methods.
    Methods,
    /// Functions of a step: what is attributed, and what is recorded beside it.
    StepFunctions,
    /// What makes one score of several.
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
