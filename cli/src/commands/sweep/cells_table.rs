//! Prints the cells of a sweep with their jobs and states.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use whence_proto::v1::{JobState, JobStatus};
use whence_schemas::JobId;

use super::planning::Planned;
use super::states::States;
use crate::output::{self, counted, grouped, state_name};
use crate::sweep::Sweep;
use crate::{Exit, Failure};

/// The state of a cell that has no job.
const REFUSED: &str = "refused";
/// The state of a job that was not submitted.
const NEW: &str = "new";

/// What is known about a sweep.
pub(super) struct Cells<'a> {
    pub(super) sweep: &'a Sweep,
    pub(super) planned: &'a Planned,
    pub(super) states: &'a States,
    /// Whether somebody is known to compute what has not ended.
    pub(super) is_served: bool,
}

impl Cells<'_> {
    /// Prints a line per cell, and says how many are in which state.
    pub(super) fn tell(&self) -> Result<(), Failure> {
        let mut lines = vec![self.head()];
        lines.extend((0..self.planned.cells.len()).map(|cell| self.line(cell)));
        for line in aligned(&lines) {
            output::line(&line)?;
        }
        self.tell_reasons();
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for cell in &self.planned.cells {
            *counts.entry(self.state(cell)).or_default() += 1;
        }
        let counts = counts
            .iter()
            .map(|(state, count)| format!("{count} {state}"));
        let counts: Vec<_> = counts.collect();
        eprintln!(
            "{} of {}: {}",
            counted(self.planned.cells.len() as u64, "cell"),
            counted(self.planned.jobs.len() as u64, "job"),
            counts.join(", ")
        );
        Ok(())
    }

    /// Prints one JSON object per cell.
    pub(super) fn tell_json(&self) -> Result<(), Failure> {
        for (number, cell) in self.planned.cells.iter().enumerate() {
            let labels = self.sweep.axes.iter().zip(&self.sweep.cells[number].labels);
            let labels: Map<_, _> = labels
                .map(|(axis, label)| (axis.clone(), Value::from(label.as_str())))
                .collect();
            let status = self.status(cell);
            output::line(
                &json!({
                    "cell": number + 1,
                    "labels": labels,
                    "job": cell.as_ref().ok().map(ToString::to_string),
                    "state": self.state(cell),
                    "rows_total": status.map(|status| status.rows_total),
                    "rows_done": status.map(|status| status.rows_done),
                    "rows_failed": status.map(|status| status.rows_failed),
                    "message": reason(cell, status),
                })
                .to_string(),
            )?;
        }
        Ok(())
    }

    /// Prints what became of the cells. Fails if they were not waited for, or if one has no table.
    pub(super) fn conclude(&self, stopped: Option<Failure>) -> Result<(), Failure> {
        self.tell()?;
        stopped.map_or_else(|| self.check(), Err)
    }

    /// Fails if a cell has not become a complete table with at least one attributed row.
    fn check(&self) -> Result<(), Failure> {
        let is_well = |cell: &&Result<JobId, Failure>| {
            self.status(cell).is_some_and(|status| {
                let has_rows = status.rows_failed < status.rows_total || status.rows_total == 0;
                status.state() == JobState::Sealed && has_rows
            })
        };
        let all = self.planned.cells.len();
        let failed = all - self.planned.cells.iter().filter(is_well).count();
        if failed == 0 {
            return Ok(());
        }
        // If every cell was refused, it is the request that is wrong.
        let mut refused = self.planned.cells.iter();
        let is_wrong = refused.all(|cell| {
            let failure = cell.as_ref().err();
            failure.is_some_and(|failure| failure.exit() == Exit::WrongRequest)
        });
        let told = format!("{failed} of {} failed", counted(all as u64, "cell"));
        Err(if is_wrong {
            Failure::request(told)
        } else {
            Failure::run(told)
        })
    }

    fn head(&self) -> Vec<String> {
        let mut head = vec!["cell".to_owned()];
        head.extend(self.sweep.axes.iter().cloned());
        head.extend(["job", "state", "rows"].map(str::to_owned));
        head
    }

    fn line(&self, number: usize) -> Vec<String> {
        let cell = &self.planned.cells[number];
        let mut line = vec![(number + 1).to_string()];
        line.extend(self.sweep.cells[number].labels.iter().cloned());
        line.push(
            cell.as_ref()
                .map_or_else(|_| "-".to_owned(), ToString::to_string),
        );
        line.push(self.state(cell).to_owned());
        line.push(self.status(cell).map_or_else(|| "-".to_owned(), rows));
        line
    }

    /// Prints each reason why a cell has no table, once.
    fn tell_reasons(&self) {
        let mut told = Vec::new();
        for (number, cell) in self.planned.cells.iter().enumerate() {
            let Some(reason) = reason(cell, self.status(cell)) else {
                continue;
            };
            if !told.contains(&reason) {
                eprintln!("cell {}: {reason}", number + 1);
                told.push(reason);
            }
        }
    }

    fn status(&self, cell: &Result<JobId, Failure>) -> Option<&JobStatus> {
        self.states.get(cell.as_ref().ok()?)
    }

    fn state(&self, cell: &Result<JobId, Failure>) -> &'static str {
        if cell.is_err() {
            return REFUSED;
        }
        match self.status(cell) {
            None => NEW,
            // The store does not say whether anybody computes it.
            Some(status) if status.state() == JobState::Running && !self.is_served => "open",
            Some(status) => state_name(status),
        }
    }
}

/// Returns why a cell has no table; `None` if it has one, or will have.
fn reason(cell: &Result<JobId, Failure>, status: Option<&JobStatus>) -> Option<String> {
    match (cell, status) {
        (Err(failure), _) => Some(failure.message().to_owned()),
        (Ok(_), Some(status)) if !status.message.is_empty() => Some(status.message.clone()),
        (Ok(_), Some(status)) if status.state() == JobState::Cancelled => {
            Some("it was cancelled; give it another `run_id` to run it again".to_owned())
        }
        (Ok(_), _) => None,
    }
}

fn rows(status: &JobStatus) -> String {
    let (done, total) = (grouped(status.rows_done), grouped(status.rows_total));
    let mut rows = if status.rows_done == status.rows_total {
        total
    } else {
        format!("{done} of {total}")
    };
    if status.rows_failed > 0 {
        rows = format!("{rows} ({} failed)", grouped(status.rows_failed));
    }
    rows
}

/// Pads the columns to the same width.
fn aligned(lines: &[Vec<String>]) -> Vec<String> {
    let num_columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| console::measure_text_width(cell)).max()
    };
    let widths: Vec<_> = (0..num_columns)
        .map(|column| width(column).unwrap_or_default())
        .collect();
    let padded = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| {
            let padding = width - console::measure_text_width(cell);
            format!("{cell}{}", " ".repeat(padding))
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(padded).collect()
}
