//! Flags that say where results go.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};

/// Where results go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag a person sets by its own name"
)]
pub struct ContextOutput {
    /// Write the result to this file, as the JSON that Inseq writes. `-` means standard output.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub save_path: Option<PathBuf>,
    /// Write the options to that file too.
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub add_output_info: bool,
    /// The same as `--add-output-info false`.
    #[arg(long, conflicts_with = "add_output_info", hide = true)]
    pub no_add_output_info: bool,
    /// Write a page with the result to this HTML file, which is self-contained.
    #[arg(long, value_name = "FILE")]
    pub viz_path: Option<PathBuf>,
    /// Show the result (`--no-show-viz`: do not).
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub show_viz: bool,
    /// The same as `--show-viz false`.
    #[arg(long, conflicts_with = "show_viz", hide = true)]
    pub no_show_viz: bool,
    /// Show the heatmaps that the result is made of too.
    #[arg(long, num_args = 0..=1, default_value_t = false, default_missing_value = "true", hide_default_value = true, hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub show_intermediate_outputs: bool,
}

impl ContextOutput {
    /// Returns whether the result is shown on standard output.
    pub fn shows(&self) -> bool {
        self.show_viz && !self.no_show_viz
    }

    /// Returns whether the options are saved.
    pub fn saves_info(&self) -> bool {
        self.add_output_info && !self.no_add_output_info
    }
}

/// Where results go besides the table.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct ContextTableOutput {
    /// Write the results to this file, one line per row with the JSON that Inseq writes. `-` means
    /// standard output.
    #[arg(short = 'o', long, value_name = "FILE")]
    pub save_path: Option<PathBuf>,
    /// Write a page with all results to this HTML file, which is self-contained.
    #[arg(long, value_name = "FILE")]
    pub viz_path: Option<PathBuf>,
    /// Show the first result (`--no-show-viz`: do not).
    #[arg(long, num_args = 0..=1, default_value_t = true, default_missing_value = "true", hide_possible_values = true, value_parser = BoolishValueParser::new(), action = ArgAction::Set, value_name = "BOOL")]
    pub show_viz: bool,
    /// The same as `--show-viz false`.
    #[arg(long, conflicts_with = "show_viz", hide = true)]
    pub no_show_viz: bool,
}

impl ContextTableOutput {
    /// Returns whether the first result is shown on standard output.
    pub fn shows(&self) -> bool {
        self.show_viz && !self.no_show_viz
    }
}
