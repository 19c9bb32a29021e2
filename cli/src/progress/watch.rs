//! Observes a job's statuses over time and describes its progress in words. Draws nothing.

use std::time::Duration;

use indicatif::HumanDuration;
use serde_json::{Value, json};
use tokio::time::Instant;
use whence_proto::v1::{JobState, JobStatus};

use super::pace::{Outlook, Pace};
use crate::output::{counted, grouped, state_name};

/// Length of the bar in steps; finer than any terminal can show.
pub(super) const BAR_STEPS: u64 = 10_000;

/// The statuses seen of one job since the watch began.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) began: Instant,
    /// Rows that were already done when the watch began.
    pub(super) rows_before: u64,
    status: JobStatus,
    rows: Pace,
    tokens: Pace,
    work: Pace,
}

impl Watch {
    /// Begins a watch at `now`, with the job's current status.
    pub(super) fn begin(status: &JobStatus, now: Instant) -> Self {
        Self {
            began: now,
            rows_before: status.rows_done,
            status: status.clone(),
            rows: Pace::default(),
            tokens: Pace::default(),
            work: Pace::default(),
        }
    }

    /// Records the job's status at `now`.
    pub(super) fn observe(&mut self, status: &JobStatus, now: Instant) {
        let at = now - self.began;
        if status.tokens_done < self.status.tokens_done {
            // The coordinator restarted, and counts tokens from zero again.
            self.tokens = Pace::default();
        }
        self.rows
            .observe(at, status.rows_done + status.rows_in_flight);
        self.tokens.observe(at, status.tokens_done);
        self.work.observe(at, work(status).0);
        self.status = status.clone();
    }

    /// Returns the work done so far, in estimated tokens. Never decreases.
    pub(super) fn work_done(&self) -> u64 {
        self.work.count()
    }

    /// Returns the position of the bar, from 0 to [`BAR_STEPS`].
    pub(super) fn steps(&self) -> u64 {
        let (_, total) = work(&self.status);
        let done = self.work.count().min(total);
        (u128::from(done) * u128::from(BAR_STEPS) / u128::from(total.max(1))) as u64
    }

    /// Returns the state of the job.
    pub(super) fn state(&self) -> JobState {
        self.status.state()
    }

    /// Returns progress, rates and time left for programs. Rates and times are null while there is too
    /// little to measure them.
    pub(super) fn to_json(&self, now: Instant) -> Value {
        let at = now - self.began;
        let status = &self.status;
        let (work_done, work_total) = work(status);
        let left = match self.work.outlook(at, work_total) {
            Outlook::Left(left) => Some(left.as_secs_f64().round()),
            Outlook::Unknown | Outlook::Stalled(_) => None,
        };
        let rounded = |rate: f64| (rate * 10.0).round() / 10.0;
        json!({
            "job": status.job_id,
            "state": state_name(status),
            "rows_total": status.rows_total,
            "rows_done": status.rows_done,
            "rows_failed": status.rows_failed,
            "work_total": work_total,
            "work_done": work_done,
            "workers": status.workers,
            "waiting_for": status.waiting_for,
            "rows_per_second": self.rows.rate(at).map(rounded),
            "tokens_per_second": self.tokens.rate(at).map(rounded),
            "seconds": at.as_secs_f64().round(),
            "seconds_left": left,
        })
    }

    /// Describes progress, rates and time left in one line.
    pub(super) fn describe(&self, now: Instant) -> String {
        let at = now - self.began;
        let status = &self.status;
        let rows = self.rows.count().min(status.rows_total);
        let mut parts = vec![format!(
            "{} of {}",
            grouped(rows),
            counted(status.rows_total, "row")
        )];
        match self.rows.rate(at) {
            _ if status.paused => parts.push("paused".to_owned()),
            Some(rate) => {
                parts.push(format!("{rate:.1} rows/s"));
                if let Some(tokens) = self.tokens.rate(at).filter(|tokens| *tokens >= 1.0) {
                    parts.push(format!("{} tokens/s", grouped(tokens.round() as u64)));
                }
            }
            _ if !status.waiting_for.is_empty() => {
                parts.push(format!("waiting for a worker with {}", status.waiting_for));
            }
            None if status.workers == 0 => parts.push("waiting for a worker".to_owned()),
            None if rows == self.rows_before => parts.push("starting".to_owned()),
            None => {}
        }
        match self.work.outlook(at, work(status).1) {
            Outlook::Left(left) if rows < status.rows_total => parts.push(time_left(left)),
            Outlook::Stalled(waited) => {
                parts.push(format!("no progress for {:#}", HumanDuration(waited)));
            }
            _ => {}
        }
        if status.rows_failed > 0 {
            parts.push(format!("{} failed", grouped(status.rows_failed)));
        }
        parts.join(", ")
    }
}

/// Returns the work done and the total work, in estimated tokens. A coordinator of an earlier
/// version does not report work; then both are counted in rows.
fn work(status: &JobStatus) -> (u64, u64) {
    if status.work_total > 0 {
        (status.work_done, status.work_total)
    } else {
        (status.rows_done + status.rows_in_flight, status.rows_total)
    }
}

/// Words the time left, rounded down to seconds because the estimate is no more precise.
fn time_left(left: Duration) -> String {
    if left < Duration::from_secs(1) {
        return "almost done".to_owned();
    }
    format!(
        "{:#} left",
        HumanDuration(Duration::from_secs(left.as_secs()))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(rows_done: u64) -> JobStatus {
        JobStatus {
            rows_total: 300,
            rows_done,
            tokens_done: rows_done * 400,
            // Every row after the hundredth is four times as long.
            work_done: rows_done + 3 * rows_done.saturating_sub(100),
            work_total: 900,
            workers: 1,
            ..JobStatus::default()
        }
    }

    /// Watches a job for `seconds`; `rows_at` returns how many rows are done at each second.
    fn watched(seconds: u64, rows_at: impl Fn(u64) -> u64) -> (Watch, Instant) {
        let began = Instant::now();
        let mut watch = Watch::begin(&status(0), began);
        let mut now = began;
        for second in 0..=seconds {
            now = began + Duration::from_secs(second);
            watch.observe(&status(rows_at(second)), now);
        }
        (watch, now)
    }

    #[test]
    fn a_status_is_told_in_one_line() {
        let (mut watch, now) = watched(4, |second| second * 25);
        watch.status.rows_failed = 2;
        // A third of the rows are done in four seconds, but only a ninth of the work.
        assert_eq!(
            watch.describe(now),
            "100 of 300 rows, 25.0 rows/s, 10,000 tokens/s, 32s left, 2 failed"
        );
        assert_eq!(watch.steps(), BAR_STEPS / 9);
    }

    #[test]
    fn programs_get_every_number_and_null_for_what_is_not_known_yet() {
        let (mut watch, now) = watched(0, |_| 0);
        watch.status.job_id = "j".to_owned();
        watch.status.set_state(JobState::Running);
        let first = watch.to_json(now);
        assert_eq!(first["rows_per_second"], Value::Null);
        assert_eq!(first["seconds_left"], Value::Null);
        let (mut watch, now) = watched(4, |second| second * 25);
        watch.status.rows_failed = 2;
        watch.status.set_state(JobState::Running);
        let expected = json!({
            "job": "", "state": "running", "rows_total": 300, "rows_done": 100, "rows_failed": 2,
            "work_total": 900, "work_done": 100, "workers": 1, "waiting_for": "", "rows_per_second": 25.0,
            "tokens_per_second": 10_000.0, "seconds": 4.0, "seconds_left": 32.0,
        });
        assert_eq!(watch.to_json(now), expected);
    }

    #[test]
    fn a_job_that_has_not_begun_says_what_it_waits_for() {
        let (mut watch, now) = watched(60, |_| 0);
        assert_eq!(watch.describe(now), "0 of 300 rows, starting");
        watch.status.workers = 0;
        assert_eq!(watch.describe(now), "0 of 300 rows, waiting for a worker");
    }

    #[test]
    fn rows_of_a_lost_worker_are_not_taken_back() {
        let (watch, now) = watched(9, |second| if second == 9 { 20 } else { second * 10 });
        assert!(watch.describe(now).starts_with("80 of 300 rows"));
    }

    #[test]
    fn the_time_left_is_no_finer_than_it_is_known() {
        assert_eq!(time_left(Duration::from_millis(300)), "almost done");
        assert_eq!(time_left(Duration::from_millis(8900)), "8s left");
    }
}
