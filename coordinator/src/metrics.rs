//! The metrics of a coordinator, for Prometheus: one row each in [`CATALOG`].
//!
//! They hold numbers only, no names of jobs, models or people, so that they may be read without a
//! token. `docs/metrics.md` is made from the catalog.

use std::fmt::Write;

use crate::job::{Job, Phase, Totals};
use crate::state::State;

/// Content type of [`render`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric.
struct Metric {
    name: &'static str,
    kind: Kind,
    /// What it counts, as a sentence.
    about: &'static str,
    /// Its values, each with its label.
    values: fn(&State) -> Vec<(Label, u64)>,
}

/// The one label that a value may have: its name and value.
type Label = Option<(&'static str, &'static str)>;

/// How a metric changes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// It only goes up, until the coordinator is restarted.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// Every metric.
const CATALOG: &[Metric] = &[
    Metric {
        name: "whence_jobs",
        kind: Kind::Gauge,
        about: "Jobs of the storage root, by `state`: `running`, `sealed`, `cancelled` or `failed`.",
        values: jobs,
    },
    Metric {
        name: "whence_rows",
        kind: Kind::Gauge,
        about: "Rows of running jobs, by `state`: `open`, `in_flight`, `done` (with `failed`) or `failed`.",
        values: rows,
    },
    Metric {
        name: "whence_slots",
        kind: Kind::Gauge,
        about: "Slots of running jobs, by `state`: `pending`, `paused` (pending in a paused job), `leased` or \
                `done`. Scale workers by those that are pending or leased.",
        values: slots,
    },
    Metric {
        name: "whence_workers",
        kind: Kind::Gauge,
        about: "Workers that were heard of lately.",
        values: |state| vec![(None, state.workers.num_there() as u64)],
    },
    Metric {
        name: "whence_store_up",
        kind: Kind::Gauge,
        about: "1 if the store answered when it was last asked, 0 if it did not.",
        values: |state| vec![(None, u64::from(state.store_fault.is_none()))],
    },
    Metric {
        name: "whence_tokens",
        kind: Kind::Gauge,
        about: "Tokens attributed since the coordinator started, as workers report them.",
        values: |state| {
            let tokens = state.jobs.values().map(|job| job.totals().tokens_done);
            vec![(None, tokens.sum())]
        },
    },
    Metric {
        name: "whence_attempts_failed_total",
        kind: Kind::Counter,
        about: "Attempts that failed or were lost, by `class`, as in `error_code` of error rows; `lost` if \
                the worker vanished.",
        values: |state| {
            let failed = state.failed.iter();
            failed
                .map(|(class, count)| (Some(("class", *class)), *count))
                .collect()
        },
    },
];

/// Returns all metrics in the text format of Prometheus.
pub(crate) fn render(state: &State) -> String {
    let mut text = String::new();
    for metric in CATALOG {
        let Metric {
            name, kind, about, ..
        } = metric;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {about}\n# TYPE {name} {}", kind.name());
        for (label, value) in (metric.values)(state) {
            let label =
                label.map_or_else(String::new, |(key, value)| format!("{{{key}=\"{value}\"}}"));
            let _ = writeln!(text, "{name}{label} {value}");
        }
    }
    text
}

fn jobs(state: &State) -> Vec<(Label, u64)> {
    let count = |is: fn(&Phase) -> bool| {
        let phases = state.jobs.values().map(Job::phase);
        phases.filter(|phase| is(phase)).count() as u64
    };
    of_states([
        ("running", count(|phase| *phase == Phase::Running)),
        ("sealed", count(|phase| *phase == Phase::Sealed)),
        ("cancelled", count(|phase| *phase == Phase::Cancelled)),
        (
            "failed",
            count(|phase| matches!(phase, Phase::Failed { .. })),
        ),
    ])
}

fn rows(state: &State) -> Vec<(Label, u64)> {
    let sum = |of: fn(&Totals) -> u64| running(state, of);
    let (all, done) = (sum(|totals| totals.rows), sum(|totals| totals.rows_done));
    let in_flight = sum(|totals| totals.rows_in_flight);
    of_states([
        ("open", all.saturating_sub(done + in_flight)),
        ("in_flight", in_flight),
        ("done", done),
        ("failed", sum(|totals| totals.rows_failed)),
    ])
}

fn slots(state: &State) -> Vec<(Label, u64)> {
    // Nobody takes the slots of a paused job, so no worker must be started for them.
    let open = |is_paused: bool| -> u64 {
        let jobs = state
            .jobs
            .values()
            .filter(|job| *job.phase() == Phase::Running);
        let jobs = jobs.filter(|job| job.is_paused() == is_paused);
        let open = jobs.map(|job| {
            let totals = job.totals();
            totals
                .slots
                .saturating_sub(totals.slots_done + totals.slots_leased)
        });
        open.sum()
    };
    of_states([
        ("pending", open(false)),
        ("paused", open(true)),
        ("leased", running(state, |totals| totals.slots_leased)),
        ("done", running(state, |totals| totals.slots_done)),
    ])
}

/// Sums a number over the running jobs.
fn running(state: &State, of: fn(&Totals) -> u64) -> u64 {
    let running = state
        .jobs
        .values()
        .filter(|job| *job.phase() == Phase::Running);
    running.map(|job| of(&job.totals())).sum()
}

fn of_states<const N: usize>(values: [(&'static str, u64); N]) -> Vec<(Label, u64)> {
    let value = |(state, value)| (Some(("state", state)), value);
    values.into_iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;
    use crate::job::{Event, FailureClass};
    use crate::testing::{at, attempt, filled, slot, worker};

    #[test]
    fn the_numbers_are_those_of_the_running_jobs() {
        let mut running = job(&[3, 2, 4]);
        running.apply(filled(&slot(0), 3), at(1));
        let leased = Event::Leased {
            slot: slot(1),
            attempt: attempt(7),
            worker: worker("a"),
        };
        running.apply(leased, at(2));
        let mut state = State::of_jobs(vec![running]);
        state.count_failed(FailureClass::Lost);
        state.count_failed(FailureClass::Lost);
        let text = render(&state);
        for line in [
            "whence_jobs{state=\"running\"} 1",
            "whence_rows{state=\"open\"} 6",
            "whence_rows{state=\"done\"} 3",
            "whence_slots{state=\"pending\"} 1",
            "whence_slots{state=\"leased\"} 1",
            "whence_workers 0",
            "whence_store_up 1",
            "whence_tokens 7",
            "# TYPE whence_attempts_failed_total counter",
            "whence_attempts_failed_total{class=\"lost\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        // Nobody takes what is pending in a paused job.
        let mut paused = job(&[3]);
        paused.apply(Event::Paused(true), at(1));
        let text = render(&State::of_jobs(vec![paused]));
        assert!(text.contains("whence_slots{state=\"pending\"} 0"), "{text}");
        assert!(text.contains("whence_slots{state=\"paused\"} 1"), "{text}");
        // What does not run has no rows to do.
        let mut state = State::of_jobs(vec![job(&[3])]);
        state.apply(&job(&[3]).id().clone(), Event::Cancelled, at(1));
        assert!(render(&state).contains("whence_rows{state=\"open\"} 0"));
    }

    #[test]
    fn the_page_lists_the_catalog() {
        let mut page = "# Metrics\n\nA coordinator with `--http-listen ADDRESS` serves its \
             [dashboard](dashboard.md) there, and answers three paths for programs: `/metrics` in the format of Prometheus, `/healthz` with status 200 while the process runs, \
             and `/readyz` with 200 while it serves: 503 when it shuts down or a newer coordinator has taken \
             over. Metrics hold numbers only, so none of the three asks for a token.\n\n\
             | metric | kind | what it counts |\n|---|---|---|\n"
            .to_owned();
        for Metric {
            name, kind, about, ..
        } in CATALOG
        {
            let _ = writeln!(page, "| `{name}` | {} | {about} |", kind.name());
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap();
        assert_eq!(found, page, "UPDATE_SNAPSHOTS=1 rewrites docs/metrics.md");
    }
}
