//! A job as the pages name and describe it.

use std::sync::Arc;

use whence_schemas::{JobId, JobSpec};

use crate::dashboard::context::Context;
use crate::dashboard::figures;
use crate::dashboard::history::Pace;
use crate::job::{Job, Phase, Totals};
use crate::state::{JobSummary, State};

/// Letters of an id that a person needs to tell jobs apart.
const SHORT_ID: usize = 8;

/// The word and the look of a job's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JobState {
    pub(super) word: &'static str,
}

impl JobState {
    /// Every state.
    pub(super) const ALL: [Self; 5] = [
        Self { word: "running" },
        Self { word: "paused" },
        Self { word: "sealed" },
        Self { word: "cancelled" },
        Self { word: "failed" },
    ];

    fn new(phase: &Phase, is_paused: bool) -> Self {
        let word = match phase {
            Phase::Running if is_paused => "paused",
            Phase::Running => "running",
            Phase::Sealed => "sealed",
            Phase::Cancelled => "cancelled",
            Phase::Failed { .. } => "failed",
        };
        Self { word }
    }
}

/// A job, copied from the state.
#[derive(Debug)]
pub(super) struct JobLine {
    pub(super) summary: JobSummary,
    pub(super) spec: Arc<JobSpec>,
    pub(super) submitted_ms: u64,
    pub(super) pace: Option<Pace>,
}

impl JobLine {
    /// Copies a job of the state.
    pub(super) fn new(summary: JobSummary, job: &Job) -> Self {
        Self {
            summary,
            spec: Arc::clone(job.spec()),
            submitted_ms: job.order().0,
            pace: None,
        }
    }

    /// Copies every job of the state that the visitor may see, newest first.
    pub(super) fn all(context: &Context) -> Vec<Self> {
        let copy = |state: &State| {
            let summaries = state.summaries(&context.visitor.caller).into_iter();
            let lines = summaries.filter_map(|summary| {
                let job = state.jobs.get(&summary.id)?;
                Some(Self::new(summary, job))
            });
            lines.collect::<Vec<_>>()
        };
        let mut lines = context.read(copy);
        for line in &mut lines {
            line.pace = context.site.pace(&line.summary.id);
        }
        lines
    }

    pub(super) fn id(&self) -> &JobId {
        &self.summary.id
    }

    pub(super) fn state(&self) -> JobState {
        JobState::new(&self.summary.phase, self.summary.is_paused)
    }

    pub(super) fn totals(&self) -> &Totals {
        &self.summary.totals
    }

    /// Returns the model, without the folders around it.
    pub(super) fn model(&self) -> &str {
        let path = self.spec.model.path.trim_end_matches('/');
        let path = path.strip_prefix("hf://").unwrap_or(path);
        match path.rsplit_once('/') {
            Some((folders, name)) if path.starts_with('/') || folders.contains("://") => name,
            _ => path,
        }
    }

    /// Returns what is computed.
    pub(super) fn method(&self) -> String {
        let method = &self.spec.attribution.method.name;
        if self.spec.derived_from.is_some() {
            format!("aggregated {method}")
        } else if self.spec.context.is_some() {
            format!("context, {method}")
        } else {
            method.clone()
        }
    }

    /// Returns the dataset, without the folders around it.
    pub(super) fn dataset(&self) -> String {
        let name = self.spec.dataset.location.name();
        let is_path = name.starts_with('/') || name.contains("://");
        let short = name.trim_end_matches('/').rsplit('/').next();
        let name = short.filter(|_| is_path).unwrap_or(name);
        format!("{name}, {}", self.spec.dataset.split)
    }

    pub(super) fn run(&self) -> &str {
        self.spec.run_id.as_deref().unwrap_or_default()
    }

    pub(super) fn tenant(&self) -> String {
        let tenant = self.summary.tenant.as_ref();
        tenant.map_or_else(String::new, ToString::to_string)
    }

    /// Returns how many of a hundred parts of the rows are done, rounded down: 100 is the end.
    pub(super) fn percent(&self) -> u64 {
        percent(self.totals())
    }

    /// Returns the speed in words.
    pub(super) fn speed(&self) -> String {
        let pace = self.pace.filter(|_| self.state().word == "running");
        pace.map_or_else(
            || figures::NONE.to_owned(),
            |pace| figures::speed(pace.tokens),
        )
    }

    /// Returns when it will have ended, in words.
    pub(super) fn time_left(&self) -> String {
        let totals = self.totals();
        let open = totals.work.saturating_sub(totals.work_done);
        let pace = self.pace.filter(|_| self.state().word == "running");
        let left = pace.and_then(|pace| pace.time_for(open));
        left.map_or_else(|| figures::NONE.to_owned(), figures::duration)
    }

    /// Returns whether one of the words that describe the job contains `text`, which is in lower case.
    pub(super) fn is_found_by(&self, text: &str) -> bool {
        let words = [
            self.id().as_str(),
            &self.spec.model.path,
            &self.method(),
            self.spec.dataset.location.name(),
            self.run(),
            &self.tenant(),
        ];
        words
            .iter()
            .any(|words| words.to_lowercase().contains(text))
    }
}

/// Returns the letters of an id that a person needs to tell jobs apart.
pub(super) fn short(id: &JobId) -> &str {
    &id.as_str()[..SHORT_ID]
}

fn percent(totals: &Totals) -> u64 {
    let done = (totals.rows_done + totals.rows_in_flight).min(totals.rows);
    let whole = u128::from(totals.rows.max(1));
    let percent = (u128::from(done) * 100 / whole) as u64;
    // Rows that were computed may still be lost until they are in a filled slot.
    let is_open = totals.rows_done < totals.rows;
    if is_open { percent.min(99) } else { percent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::spec;

    fn line(spec: JobSpec, totals: Totals) -> JobLine {
        let id = spec.id();
        JobLine {
            summary: JobSummary {
                id,
                phase: Phase::Running,
                is_paused: false,
                tenant: Some("nlp".parse().unwrap()),
                totals,
                table: String::new(),
                workers: 0,
                waiting_for: None,
            },
            spec: Arc::new(spec),
            submitted_ms: 0,
            pace: None,
        }
    }

    #[test]
    fn a_job_is_named_by_what_people_know_it_by() {
        let mut job = spec("m");
        for (path, name) in [
            ("/data/models/gpt2/", "gpt2"),
            ("hf://openai/gpt2@abc", "openai/gpt2@abc"),
            ("s3://bucket/models/gpt2", "gpt2"),
            ("models/m", "models/m"),
        ] {
            job.model.path = path.to_owned();
            assert_eq!(line(job.clone(), Totals::default()).model(), name);
        }
        job.dataset.location.data_files = vec!["/data/rows.jsonl".to_owned()];
        job.dataset.split = "train[:5]".to_owned();
        job.run_id = Some("Nightly".to_owned());
        let line = line(job, Totals::default());
        assert_eq!(line.dataset(), "rows.jsonl, train[:5]");
        for text in [
            "nightly",
            "saliency",
            "nlp",
            "rows",
            &line.id().as_str()[..3],
        ] {
            assert!(line.is_found_by(text), "{text}");
        }
        assert!(!line.is_found_by("attention"));
        assert_eq!(short(line.id()).len(), SHORT_ID);
    }

    #[test]
    fn only_the_end_is_a_hundred_percent() {
        let percent = |rows_done, rows_in_flight| {
            percent(&Totals {
                rows: 1000,
                rows_done,
                rows_in_flight,
                ..Totals::default()
            })
        };
        assert_eq!(
            [percent(0, 0), percent(990, 9), percent(1000, 0)],
            [0, 99, 100]
        );
        assert_eq!([percent(1000, 9), percent(900, 100)], [100, 99]);
        assert_eq!(super::percent(&Totals::default()), 0);
    }

    #[test]
    fn the_time_that_is_left_follows_from_the_pace() {
        let totals = Totals {
            work: 1000,
            work_done: 400,
            ..Totals::default()
        };
        let mut line = line(spec("m"), totals);
        assert_eq!(
            (line.speed(), line.time_left()),
            ("–".to_owned(), "–".to_owned())
        );
        line.pace = Some(Pace {
            tokens: 25.0,
            work: 10.0,
        });
        assert_eq!(
            (line.speed().as_str(), line.time_left().as_str()),
            ("25", "1 min 0 s")
        );
        line.summary.is_paused = true;
        assert_eq!(
            (line.state().word, line.time_left().as_str()),
            ("paused", "–")
        );
    }
}
