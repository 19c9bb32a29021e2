//! What can be typed: the commands and their flags, Inseq's names first.
//!
//! Flags shared by commands are one struct each, flattened where they apply. What was typed becomes
//! what is meant (a [`whence_schemas::JobSpec`]) in `job`; nothing here looks at files.

mod aggregate;
mod attribution;
mod batch;
mod compare;
mod context;
mod dataset;
mod display;
mod example_range;
mod examples;
mod pictures;
mod progress;
mod queries;
mod refused;
mod schedule;
mod service;
mod sharing;
pub mod spelling;
mod suggested;
mod sweep;

use std::ffi::OsString;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use aggregate::Aggregate;
pub use attribution::{AttributionOptions, ModelOptions, TextOptions};
pub use batch::{BatchOptions, DeviceOptions};
pub use compare::{Compare, CompareMode};
pub use context::{
    AttributeContext, AttributeContextDataset, ContextFields, ContextMethod, ContextOutput,
    ContextSelection, ContextTableOutput, ContextTexts, StrategyName, TemplateOptions, Weight,
};
pub use dataset::{
    DEFAULT_ROOT, DatasetOptions, DatasetPlace, DryRun, JobOptions, PlaceOptions, StorageOptions,
};
pub use display::{DisplayOptions, Format, OutputOptions};
pub use example_range::ExampleRange;
pub use pictures::PictureOptions;
pub use progress::{ProgressMode, ProgressOptions};
pub use queries::{
    Completions, Export, FileFormat, List, Listing, Man, Retry, Show, Sql, Verify, ViewEngine,
    Views,
};
pub use schedule::{
    OneSchedule, OverlapName, Schedule, ScheduleCreate, ScheduleHistory, ScheduleList,
};
pub use service::{
    ClusterOptions, CoordinatorOptions, DoctorCheck, DoctorOptions, StorageCheck, Token,
};
pub use sharing::{Launcher, StaticOptions, Work};
pub(crate) use sweep::CellOptions;
pub use sweep::{Sweep, SweepCancel, SweepLook, SweepRetry, SweepRun};

/// Finds out which input tokens made a language model generate each output token, for whole datasets.
#[derive(Debug, Parser)]
#[command(name = "whence", version, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How much is logged on standard error.
    #[command(flatten)]
    pub verbosity: Verbosity,
}

/// Reads the arguments, the first of which is the program's name. Returns the command's name as well.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(String, Arguments), clap::Error> {
    let mut program = Arguments::command();
    let matches = program.try_get_matches_from_mut(arguments)?;
    let parsed = Arguments::from_arg_matches(&matches);
    let parsed = parsed.map_err(|error| error.format(&mut program))?;
    let name = matches.subcommand_name().unwrap_or_default();
    Ok((name.to_owned(), parsed))
}

/// How much is logged.
#[derive(Debug, Args)]
pub struct Verbosity {
    /// Log more on standard error.
    #[arg(short, long, global = true, help_heading = "Messages")]
    verbose: bool,
    /// Log everything on standard error (`-vv`).
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
    #[command(after_help = refused::HELP, after_long_help = long(examples::ATTRIBUTE, refused::HELP), alias = "attr")]
    Attribute(Box<Attribute>),
    /// Find the output tokens that depend on a context, and the context's tokens they depend on.
    ///
    /// The method is PECoRe (Sarti et al. 2024). A metric compares the prediction of each output
    /// token with and without the context; tokens that stand out are attributed, and the scores of
    /// the context's tokens are their cues.
    #[command(after_help = refused::CONTEXT_HELP, after_long_help = long(examples::ATTRIBUTE_CONTEXT, refused::CONTEXT_HELP), alias = "attr-context")]
    AttributeContext(Box<AttributeContext>),
    /// Attribute every row of a dataset, in this process, into a table.
    ///
    /// Run the same command again to resume after a stop, or to show the result of a finished job.
    #[command(after_help = refused::HELP, after_long_help = long(examples::ATTRIBUTE_DATASET, refused::HELP), alias = "attr-dataset")]
    AttributeDataset(Box<AttributeDataset>),
    /// Find the output tokens of every row of a dataset that depend on a context, into a table.
    ///
    /// This is `attribute-context` for datasets. `whence show` shows a row of the table, and --save-path
    /// writes all of them. Run the same command again to resume.
    #[command(after_help = refused::HELP, after_long_help = long(examples::ATTRIBUTE_CONTEXT_DATASET, refused::HELP), alias = "attr-context-dataset")]
    AttributeContextDataset(Box<AttributeContextDataset>),
    /// Submit a dataset to a running coordinator.
    ///
    /// Takes the same flags as `attribute-dataset`. The digests of the model and the dataset are
    /// computed on this machine, so both must be readable here, under the same paths as on the
    /// coordinator (dataset) and the workers (model).
    #[command(after_help = refused::HELP, after_long_help = long(examples::SUBMIT, refused::HELP))]
    Submit(Submit),
    /// Work on a job without a coordinator, beside other processes that do the same.
    ///
    /// Each process takes the shards of its share first, and then whatever is left. They know of each
    /// other only by the files in the storage root, so any of them may be killed, restarted, or never
    /// start. Each ends when the job is complete. `submit --static` prints how to start them.
    #[command(after_long_help = examples::WORK)]
    Work(Work),
    /// Run many jobs that one file describes: every combination of models, methods and datasets.
    #[command(subcommand, after_long_help = examples::SWEEP)]
    Sweep(Sweep),
    /// Submit the jobs of a sweep again and again, at times that a cron expression or an interval names.
    ///
    /// A schedule lies in the storage root, and the coordinator of that root submits its jobs, each time
    /// under a run id of their own: `NAME@TIME`. Each time fires once, also if two coordinators serve the
    /// root, one is restarted, or clocks jump.
    #[command(subcommand, after_long_help = examples::SCHEDULE)]
    Schedule(Schedule),
    /// Show the progress of jobs.
    Status(Status),
    /// Follow a job until it ends.
    Watch(Watch),
    /// Stop a job. The rows that are done are kept.
    Cancel(OneJob),
    /// Hand out no more of a job until it is resumed.
    ///
    /// What workers are computing is finished. Other jobs go on. A job stays paused when the coordinator
    /// is restarted; submitting it again resumes it.
    Pause(OneJob),
    /// Let a paused job go on.
    Resume(OneJob),
    /// Show an example of a job or of a saved file as a heatmap.
    Show(Show),
    /// Compare two runs over the same examples.
    ///
    /// Prints how far the runs agree: the rank correlation (Spearman) and the overlap of the strongest
    /// tokens, by absolute score, averaged over the generated tokens. Examples are paired by the number
    /// of their row. An example with other tokens in one of the runs is left out and named.
    Compare(Compare),
    /// Aggregate the scores of a stored table or of a saved file.
    ///
    /// The result is a table like any other, for `show`, `sql` and `aggregate` itself; or a file. The
    /// same aggregation of the same runs is the same job: running it again resumes it, or says that
    /// it is done.
    Aggregate(Box<Aggregate>),
    /// Query the tables of a storage root in SQL.
    Sql(Sql),
    /// Write a job's table to a file: Parquet, CSV, JSON or Arrow.
    ///
    /// Rows are in the order of the dataset and are written as they are read, so memory stays bounded.
    Export(Export),
    /// Check that a job's table is whole: every file there, and each as it was written.
    ///
    /// Reads all files. Each holds the digest of its bytes, and the list of a complete job has it too.
    Verify(Verify),
    /// Compute the failed rows of a complete job again.
    ///
    /// A complete table never changes, so this is another job: the failed rows are computed, all others
    /// are copied, and the table of the first job stays. Useful after rows failed for want of memory or
    /// because workers were lost. Run the same command again to resume.
    Retry(Retry),
    /// Print the tables of `sql` as views for another engine.
    Views(Views),
    /// List methods, step functions, aggregators or models.
    List(List),
    /// Check this machine, a model, a dataset, a storage root and a coordinator.
    Doctor(Box<DoctorOptions>),
    /// Make a token for a coordinator.
    ///
    /// Prints the token, for its holder's --token-file or `WHENCE_TOKEN`, and on standard error the line
    /// for the coordinator's --tokens file, from which the token cannot be told.
    Token(Token),
    /// Run a coordinator: it leases shards to workers and seals the tables.
    Coordinator(whence_coordinator::command::Arguments),
    /// Run a worker: it attributes the shards that a coordinator leases to it.
    Worker(whence_worker::command::Arguments),
    /// Print the completion script for a shell.
    Completions(Completions),
    /// Print a manual page, or write all of them to a folder.
    Man(Man),
}

/// Returns what ends the long help of a command.
fn long(examples: &str, notes: &str) -> String {
    format!("{examples}\n\n{notes}")
}

impl Command {
    /// Returns whether this runs until it is told to stop, and talks to a log.
    pub fn is_service(&self) -> bool {
        matches!(self, Self::Coordinator(_) | Self::Worker(_))
    }

    /// Returns the name under which traces of this command are sent.
    pub(crate) fn service(&self) -> &'static str {
        match self {
            Self::Coordinator(_) => "whence-coordinator",
            Self::Worker(_) => "whence-worker",
            _ => "whence",
        }
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
    /// Seed for all random numbers.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How much at once.
    #[command(flatten)]
    pub batch: BatchOptions,
    /// Where results go.
    #[command(flatten)]
    pub display: DisplayOptions,
    /// Where to run it.
    #[command(flatten)]
    pub place: ClusterOptions,
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
    /// Where to run it.
    #[command(flatten)]
    pub place: PlaceOptions,
    /// How much at once.
    #[command(flatten)]
    pub batch: BatchOptions,
    /// Where results go.
    #[command(flatten)]
    pub display: DisplayOptions,
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
    /// Which coordinator.
    #[command(flatten)]
    pub coordinator: CoordinatorOptions,
    /// Follow the job until it ends, as `whence watch` does.
    #[arg(long, help_heading = "Job")]
    pub watch: bool,
    /// How to run it without a coordinator.
    #[command(flatten)]
    pub sharing: StaticOptions,
    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressOptions,
}

/// `whence status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Job, or the beginning of its id. If absent, all jobs.
    pub job: Option<String>,
    /// Which coordinator.
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
    /// Which coordinator.
    #[command(flatten)]
    pub coordinator: CoordinatorOptions,
    /// How progress is shown.
    #[command(flatten)]
    pub progress: ProgressOptions,
}

/// `whence cancel`, `whence pause` and `whence resume`.
#[derive(Debug, Args)]
pub struct OneJob {
    /// Job, or the beginning of its id.
    pub job: String,
    /// Which coordinator.
    #[command(flatten)]
    pub coordinator: CoordinatorOptions,
}
