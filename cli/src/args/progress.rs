//! Flags that say how progress is shown.

use clap::{Args, ValueEnum};

/// How progress is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct ProgressOptions {
    /// How progress is shown on standard error.
    #[arg(long, value_enum, default_value_t = ProgressMode::Auto, value_name = "MODE", help_heading = "Messages")]
    pub progress: ProgressMode,
    /// Do not show progress.
    #[arg(short, long, conflicts_with = "progress", help_heading = "Messages")]
    pub quiet: bool,
}

impl ProgressOptions {
    /// Returns how progress is shown.
    pub fn mode(self) -> ProgressMode {
        if self.quiet {
            ProgressMode::None
        } else {
            self.progress
        }
    }
}

/// A way to show progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// A bar on a terminal; nothing in a log or a pipe.
    #[default]
    Auto,
    /// A line every few seconds while there is progress, for logs.
    Lines,
    /// A JSON object per line, every second and when the job's state changes. Lines that do not begin
    /// with `{` are messages for people.
    Json,
    /// Nothing.
    None,
}
