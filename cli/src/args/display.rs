//! Flags that say where results go.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Where attributions go besides the table.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct DisplayOptions {
    /// Write the attributions to this file, in the format of Inseq's `save`.
    ///
    /// It appears once it is whole. A file of that name is replaced then, and kept if the run fails
    /// or is stopped. `-` is standard output.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub save_path: Option<PathBuf>,
    /// Write the heatmaps to this HTML file, which needs nothing else.
    ///
    /// As with `--save-path`, a file of that name is replaced once the new one is whole.
    #[arg(long, value_name = "FILE")]
    pub viz_path: Option<PathBuf>,
    /// Show no heatmap.
    #[arg(long, visible_alias = "hide", num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::Set, value_name = "BOOL")]
    pub hide_attributions: bool,
}

/// How answers are written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Write the answer to this file instead of standard output.
    ///
    /// A file of that name is replaced once the answer is whole, and kept if the query fails.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Rows shown in a table at most; the other forms are never cut.
    #[arg(long, default_value_t = 1000, value_name = "ROWS")]
    pub max_rows: usize,
}

/// Form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object per line.
    Json,
    /// A Parquet file.
    Parquet,
}
