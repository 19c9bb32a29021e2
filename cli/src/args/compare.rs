//! Flags of `compare`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use whence_schemas::user_path;

use super::dataset::StorageOptions;
use super::pictures::PictureOptions;

/// `whence compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// First run (A): a job, the beginning of its id, its run id, its method if only one job of the storage
    /// root has it, or a file of `--save-path` or of Inseq's `save`.
    #[arg(value_name = "A")]
    pub first: String,
    /// Second run (B), in the same form.
    #[arg(value_name = "B")]
    pub second: String,
    /// How two heatmaps are shown.
    #[arg(long, value_enum, default_value_t)]
    pub mode: CompareMode,
    /// Show this row. If absent, the terminal shows the one in which the runs agree least, and a page
    /// shows all.
    #[arg(long, value_name = "ROW")]
    pub example: Option<i64>,
    /// Number of strongest tokens in the measure of overlap.
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub top_k: u16,
    /// Where the table of the first run is, and that of the second unless `--other-root` is given.
    #[command(flatten)]
    pub storage: StorageOptions,
    /// Storage root of the second run, if it is another one.
    #[arg(long, value_name = "URL", value_parser = user_path::expand, help_heading = "Storage")]
    pub other_root: Option<String>,
    /// Write the heatmaps of both runs to this HTML file, which is self-contained.
    #[arg(long, value_name = "FILE")]
    pub viz_path: Option<PathBuf>,
    /// How heatmaps are drawn.
    #[command(flatten)]
    pub pictures: PictureOptions,
}

/// How the heatmaps of two runs are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum CompareMode {
    /// One heatmap: the scores of A minus those of B.
    #[default]
    Difference,
    /// The heatmaps of A and B, one beside the other on a page, one below the other on the terminal.
    SideBySide,
}
