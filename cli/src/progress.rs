//! How far a job is, on standard error: a bar on a terminal, a line now and then in a log.
//!
//! The rate is that of this watch: rows that stood before it began are shown, not counted.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use tokio::time::Instant;
use whence_proto::v1::JobStatus;

use crate::output::{counted, grouped};

/// Between two drawings of the bar.
const TICK: Duration = Duration::from_millis(120);
/// Between two lines of a log.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far a job is.
#[derive(Debug)]
pub(crate) struct JobProgress {
    shown: Shown,
    /// When the watch began, and what stood then.
    began: Option<(Instant, u64, u64)>,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
    Nothing,
}

/// Rates of a watch.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rate {
    rows: f64,
    tokens: f64,
}

impl JobProgress {
    /// Shows progress on standard error, unless `quiet`.
    pub(crate) fn start(quiet: bool) -> Self {
        let shown = if quiet {
            Shown::Nothing
        } else if io::stderr().is_terminal() {
            Shown::Bar(ProgressBar::new(0).with_style(style()))
        } else {
            Shown::Lines { last: None }
        };
        if let Shown::Bar(bar) = &shown {
            *visible_bar() = Some(bar.clone());
        }
        Self { shown, began: None }
    }

    /// Shows `status`.
    pub(crate) fn show(&mut self, status: &JobStatus) {
        let now = Instant::now();
        let rows = status.rows_done + status.rows_in_flight;
        let (start, rows_before, tokens_before) =
            *self.began.get_or_insert((now, rows, status.tokens_done));
        let rate = rate(
            now - start,
            rows.saturating_sub(rows_before),
            status.tokens_done.saturating_sub(tokens_before),
        );
        match &mut self.shown {
            Shown::Bar(bar) => {
                if bar.length() != Some(status.rows_total) {
                    bar.set_length(status.rows_total);
                    bar.enable_steady_tick(TICK);
                }
                bar.set_position(rows.min(status.rows_total));
                bar.set_message(describe(status, rate));
            }
            Shown::Lines { last } => {
                if last.is_none_or(|last| now - last >= LINE_EVERY) {
                    *last = Some(now);
                    eprintln!(
                        "{} of {}, {}",
                        grouped(rows),
                        counted(status.rows_total, "row"),
                        describe(status, rate)
                    );
                }
            }
            Shown::Nothing => {}
        }
    }

    /// Returns what this watch saw, for the end: how long it took and how fast it went.
    pub(crate) fn summary(&self, status: &JobStatus) -> Option<String> {
        let (start, rows_before, _) = self.began?;
        let elapsed = Instant::now() - start;
        let rows = status.rows_done.saturating_sub(rows_before);
        let rate = rate(elapsed, rows, 0)?;
        Some(format!(
            "{} in {:.1} s, {:.1} rows/s",
            counted(rows, "row"),
            elapsed.as_secs_f64(),
            rate.rows
        ))
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
            *visible_bar() = None;
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30.cyan/blue} {human_pos}/{human_len} rows  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn rate(elapsed: Duration, rows: u64, tokens: u64) -> Option<Rate> {
    let seconds = elapsed.as_secs_f64();
    (rows > 0 && seconds > 0.0).then(|| Rate {
        rows: rows as f64 / seconds,
        tokens: tokens as f64 / seconds,
    })
}

fn describe(status: &JobStatus, rate: Option<Rate>) -> String {
    let mut parts = Vec::new();
    if let Some(rate) = rate {
        parts.push(format!("{:.1} rows/s", rate.rows));
        if rate.tokens >= 1.0 {
            parts.push(format!("{} tokens/s", grouped(rate.tokens.round() as u64)));
        }
        let left = status
            .rows_total
            .saturating_sub(status.rows_done + status.rows_in_flight);
        let seconds = left as f64 / rate.rows;
        if left > 0 && seconds.is_finite() {
            let left = HumanDuration(Duration::from_secs_f64(seconds.min(1e9)));
            parts.push(format!("{left:#} left"));
        }
    } else if status.workers == 0 {
        parts.push("waiting for a worker".to_owned());
    } else {
        parts.push("starting".to_owned());
    }
    if status.rows_failed > 0 {
        parts.push(format!("{} failed", grouped(status.rows_failed)));
    }
    parts.join(", ")
}

/// The bar that stands on the terminal, which log lines must not tear.
fn visible_bar() -> std::sync::MutexGuard<'static, Option<ProgressBar>> {
    static BAR: OnceLock<Mutex<Option<ProgressBar>>> = OnceLock::new();
    BAR.get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Returns a writer to standard error that writes above the bar.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_in_one_line() {
        let status = JobStatus {
            rows_total: 300,
            rows_done: 100,
            rows_failed: 2,
            workers: 1,
            ..JobStatus::default()
        };
        let rate = rate(Duration::from_secs(4), 100, 40_000);
        assert_eq!(
            describe(&status, rate),
            "25.0 rows/s, 10,000 tokens/s, 8s left, 2 failed"
        );
        assert_eq!(describe(&status, None), "starting, 2 failed");
        let alone = JobStatus::default();
        assert_eq!(describe(&alone, None), "waiting for a worker");
    }
}
