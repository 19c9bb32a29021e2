//! Shows a job's progress on standard error: a bar on a terminal, lines for a log, or JSON for a
//! program.
//!
//! The bar and the time left are based on work, measured in the plan's estimated tokens, because
//! rows differ in length. Rates are measured since this watch began: rows that were done before it
//! count toward the progress but not toward the rates.

mod downloads;
mod pace;
mod terminal;
mod watch;

use std::io::{self, Write};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;
use whence_proto::v1::{JobState, JobStatus};

use crate::args::ProgressMode;
use crate::output::{counted, grouped};
pub(crate) use downloads::{DataArrivals, Downloads};
use terminal::can_move_its_cursor;
use watch::{BAR_STEPS, Watch};

/// Time between two redraws of the bar.
const TICK: Duration = Duration::from_millis(120);
/// Time between two log lines while the job makes progress. Without progress it is
/// [`IDLE_LINE_EVERY`].
const LINE_EVERY: Duration = Duration::from_secs(5);
const IDLE_LINE_EVERY: Duration = Duration::from_mins(1);
/// Time between two JSON objects while the job's state stays the same.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// A display of one job's progress.
#[derive(Debug)]
pub(crate) struct JobProgress {
    shown: Shown,
    watch: Option<Watch>,
    /// Whether it was said that no worker has what the job asks for.
    has_warned: bool,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines {
        /// When the last line was written, and how much work was done by then.
        last: Option<(Instant, u64)>,
    },
    Json {
        /// When the last line was written, and the state that it told.
        last: Option<(Instant, JobState)>,
    },
    Nothing,
}

impl JobProgress {
    /// Shows progress on standard error as `mode` says.
    pub(crate) fn start(mode: ProgressMode) -> Self {
        let shown = match mode {
            ProgressMode::Auto if can_move_its_cursor() => {
                Shown::Bar(ProgressBar::new(BAR_STEPS).with_style(style()))
            }
            ProgressMode::Lines => Shown::Lines { last: None },
            ProgressMode::Json => Shown::Json { last: None },
            ProgressMode::Auto | ProgressMode::None => Shown::Nothing,
        };
        if let Shown::Bar(bar) = &shown {
            *visible_bar() = Some(bar.clone());
        }
        Self {
            shown,
            watch: None,
            has_warned: false,
        }
    }

    /// Takes in a new status of the job and shows it. The first one begins the watch.
    pub(crate) fn show(&mut self, status: &JobStatus) {
        let now = Instant::now();
        let watch = self.watch.get_or_insert_with(|| Watch::begin(status, now));
        watch.observe(status, now);
        let is_hidden = matches!(self.shown, Shown::Nothing);
        if is_hidden && !status.waiting_for.is_empty() && !self.has_warned {
            self.has_warned = true;
            let (job, asked) = (&status.job_id, &status.waiting_for);
            tracing::warn!("job {job} waits for a worker with {asked}");
        }
        self.refresh();
    }

    /// Redraws with the current time. Without new progress, rates fall and a stall becomes visible.
    pub(crate) fn refresh(&mut self) {
        let Some(watch) = &self.watch else { return };
        let now = Instant::now();
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.enable_steady_tick(TICK);
                bar.set_position(watch.steps());
                bar.set_message(watch.describe(now));
            }
            Shown::Lines { last } => {
                let done = watch.work_done();
                let is_due = last.is_none_or(|(at, before)| {
                    let every = if done > before {
                        LINE_EVERY
                    } else {
                        IDLE_LINE_EVERY
                    };
                    now - at >= every
                });
                if is_due {
                    *last = Some((now, done));
                    eprintln!("{}", watch.describe(now));
                }
            }
            Shown::Json { last } => {
                let state = watch.state();
                let is_due = last.is_none_or(|(at, told)| now - at >= JSON_EVERY || told != state);
                if is_due {
                    *last = Some((now, state));
                    eprintln!("{}", watch.to_json(now));
                }
            }
            Shown::Nothing => {}
        }
    }

    /// Summarizes a job that ended with `status`: the rows done during this watch, how many rows of
    /// the whole job failed, the duration of the watch and its rate. `None` if nothing was shown.
    pub(crate) fn summary(&self, status: &JobStatus) -> Option<String> {
        let watch = self.watch.as_ref()?;
        let elapsed = watch.began.elapsed();
        let rows = status.rows_done.saturating_sub(watch.rows_before);
        let failed = match status.rows_failed {
            0 => String::new(),
            failed => format!(" ({} failed)", grouped(failed)),
        };
        let rate = rows as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        Some(format!(
            "{}{failed} in {:.1} s, {rate:.1} rows/s",
            counted(rows, "row"),
            elapsed.as_secs_f64(),
        ))
    }

    /// Removes the bar. Nothing is shown afterward.
    pub(crate) fn finish(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
            *visible_bar() = None;
        }
        self.shown = Shown::Nothing;
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30.cyan/blue} {percent:>3}%  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Returns the bar that is currently on the terminal. It is global because the log writer must
/// suspend it while it writes a line; otherwise the two would overwrite each other.
fn visible_bar() -> std::sync::MutexGuard<'static, Option<ProgressBar>> {
    static BAR: OnceLock<Mutex<Option<ProgressBar>>> = OnceLock::new();
    BAR.get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Returns a writer to standard error that suspends the bar, so that text appears above it.
pub(crate) fn beside_the_bar() -> impl Write {
    BesideTheBar
}

struct BesideTheBar;

impl Write for BesideTheBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bar = visible_bar().clone();
        match bar {
            Some(bar) => bar.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
