//! Flags that say where results go.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::pictures::PictureOptions;
use crate::inseq_file::Precision;

/// Where attributions go besides the table.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct DisplayOptions {
    /// Write the attributions to this file, in the format of Inseq's `save`.
    ///
    /// `attribute` saves raw scores as Inseq does, unless aggregators are named. `attribute-dataset`
    /// saves what its table holds, one score per token. The file is written when the run has finished.
    /// An existing file is replaced then; it stays as it is if the run fails or is stopped. `-` means
    /// standard output.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub save_path: Option<PathBuf>,
    /// Precision of the scores in the file of `--save-path`.
    ///
    /// A score that is too large for it raises the precision of the scores it belongs to.
    #[arg(long, value_enum, default_value_t = Precision::Float32, requires = "save_path", value_name = "NAME")]
    pub scores_precision: Precision,
    /// Compress the file of `--save-path` with gzip. A name that ends in `.gz` does so too.
    ///
    /// Inseq loads it with `decompress=True`.
    #[arg(long, requires = "save_path")]
    pub compress: bool,
    /// Write the heatmaps to this HTML file, which is self-contained.
    ///
    /// As with `--save-path`, an existing file is replaced when the run has finished.
    #[arg(long, value_name = "FILE")]
    pub viz_path: Option<PathBuf>,
    /// Do not show heatmaps.
    #[arg(long, visible_alias = "hide", num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = clap::builder::BoolishValueParser::new(), action = clap::ArgAction::Set, value_name = "BOOL")]
    pub hide_attributions: bool,
    /// How heatmaps are drawn.
    #[command(flatten)]
    pub pictures: PictureOptions,
}

/// How query results are written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Format of the result.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Write the result to this file instead of standard output.
    ///
    /// An existing file is replaced when the query has finished; it stays as it is if the query fails.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Maximum number of rows that a table shows. Other formats are never cut.
    #[arg(long, default_value_t = 1000, value_name = "ROWS")]
    pub max_rows: usize,
}

/// Format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// A JSON array with one object per row.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC file, also known as Feather.
    Arrow,
}
